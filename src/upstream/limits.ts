/** Limits that an endpoint has told anonymous callers of: asking again before they end only makes them longer. */
import { LRUCache } from "lru-cache";
import { UpstreamError } from "../registry/failure.ts";
import { MAXIMUM_NAMES } from "../registry/remembered.ts";
import type { Upstream } from "./registries.ts";

/** Seconds that a limit is taken to last, where upstream doesn't say. */
export const DEFAULT_LIMIT = 60;
/** Seconds beyond which no Retry-After is believed: Docker Hub's window. */
export const LONGEST_LIMIT = 6 * 3600;

interface Asked {
  upstream: Upstream;
  method: string;
  path: string;
}

/** One isolate's knowledge. */
export class Limits {
  /** Milliseconds since the epoch. */
  readonly #until = new LRUCache<string, number>({ max: MAXIMUM_NAMES });
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** @throws UpstreamError `limited` while such a request would be in vain. */
  check(asked: Asked, endpoint: URL): void {
    const left = Math.ceil(((this.#until.get(kindOf(asked, endpoint)) ?? 0) - this.#now()) / 1000);
    if (left <= 0) return;
    const message = `${asked.upstream.name} limits requests; it is asked again in ${left} s`;
    throw new UpstreamError("limited", message, 429, left);
  }

  /** @param retryAfter seconds, or null where upstream didn't say: then there is nothing to go by. */
  note(asked: Asked, endpoint: URL, retryAfter: number | null): void {
    if (retryAfter === null) return;
    this.#until.set(kindOf(asked, endpoint), this.#now() + Math.min(retryAfter, LONGEST_LIMIT) * 1000);
  }
}

/** Docker Hub counts the GETs of manifests, and neither HEAD nor blobs: what limits one needn't limit the others. */
function kindOf({ method, path }: Asked, endpoint: URL): string {
  return [endpoint.href, method, path.split("/", 1)[0]].join(" ");
}
