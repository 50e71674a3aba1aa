/** Who pulled which digest: gathered in the isolate with the traffic, kept by the ledger's object. */
import type { Digest } from "../oci/digest.ts";
import { boundedMap } from "../registry/bounded-map.ts";
import type { TagName } from "../store/tag-records.ts";
import { USE_SPAN } from "./span.ts";

/** Content that the holder of a key got. */
export interface KeyPull {
  digest: Digest;
  /** Name of the access key; "" where none was needed. */
  key: string;
}

/** What is kept of a key's pulls of a digest. Times are milliseconds since the epoch, to the hour. */
export interface PullRecord {
  key: string;
  first: number;
  last: number;
  /** Hours in which it was pulled. */
  hours: number;
}

/** A tag that named a digest, or an image that has it. */
export interface TagOfDigest extends TagName {
  /** What the tag named: the digest itself, or the index or manifest that it is part of. */
  named: Digest;
  /** When it was first seen to; milliseconds since the epoch. */
  from: number;
}

/** What is known of how a digest came to clients. */
export interface DigestTrace {
  /** The latest first. */
  pulls: PullRecord[];
  /** The latest first. */
  tags: TagOfDigest[];
}

/** The ledger's object. */
export interface PullLedger {
  traceOf(digest: Digest): Promise<DigestTrace>;
}

/** Pulls of which an isolate remembers that they are recorded. */
const REMEMBERED = 10_000;

/** One isolate's pulls that aren't in the ledger yet. */
export class PullGatherer {
  readonly #recorded = boundedMap<string, number>(REMEMBERED);
  #gathered = new Map<string, KeyPull>();

  /** @param at milliseconds since the epoch. */
  note(pull: KeyPull, at: number): void {
    const id = `${pull.digest} ${pull.key}`;
    const span = Math.floor(at / USE_SPAN);
    if (this.#recorded.get(id) === span) return;
    this.#recorded.set(id, span);
    this.#gathered.set(id, pull);
  }

  /** What was gathered since the last call. */
  take(): KeyPull[] {
    const pulls = [...this.#gathered.values()];
    this.#gathered = new Map();
    return pulls;
  }

  /** Pulls that couldn't be recorded are to be noted again. */
  forget(pulls: readonly KeyPull[]): void {
    for (const { digest, key } of pulls) this.#recorded.delete(`${digest} ${key}`);
  }
}
