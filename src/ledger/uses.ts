/** Which stored content is used, and when: gathered in the isolate with the traffic, kept by the ledger's object. */

import type { Digest } from "../oci/digest.ts";
import { boundedMap } from "../registry/bounded-map.ts";
import { USE_SPAN } from "./span.ts";

/** Content that a client got. */
export interface Use {
  digest: Digest;
  /** Upstream and repository that it was pulled from: `docker.io/library/alpine`. */
  source: string;
}

/** What is known of a digest's use. Times are milliseconds since the epoch, rounded down to USE_SPAN. */
export interface UseRecord extends Use {
  first: number;
  last: number;
  /** Hours in which it was used. */
  uses: number;
  /** The ledger's level (`worth.ts`) at the last use. */
  level: number;
}

/** Digests of which an isolate remembers that they are recorded. */
const REMEMBERED = 10_000;

/** One isolate's uses that aren't in the ledger yet. */
export class UseGatherer {
  readonly #recorded = boundedMap<Digest, number>(REMEMBERED);
  #gathered = new Map<Digest, Use>();

  /** @param at milliseconds since the epoch. */
  note(use: Use, at: number): void {
    const span = Math.floor(at / USE_SPAN);
    if (this.#recorded.get(use.digest) === span) return;
    this.#recorded.set(use.digest, span);
    this.#gathered.set(use.digest, use);
  }

  /** What was gathered since the last call. */
  take(): Use[] {
    const uses = [...this.#gathered.values()];
    this.#gathered = new Map();
    return uses;
  }

  /** Uses that couldn't be recorded are to be noted again. */
  forget(uses: readonly Use[]): void {
    for (const { digest } of uses) this.#recorded.delete(digest);
  }
}
