/** Rate limits that an endpoint has reported to anonymous requests: requests before they end only extend them. */
import { UpstreamError } from "../registry/failure.ts";
import type { Registry } from "../registry/registry.ts";

/** Seconds that a limit is taken to last where upstream doesn't say. */
export const DEFAULT_LIMIT = 60;
/** Seconds beyond which no Retry-After is believed: Docker Hub's window. */
export const LONGEST_LIMIT = 6 * 3600;

interface Limited {
  upstream: Pick<Registry, "name">;
  method: string;
  /** Below the repository. */
  path: string;
}

export class Limits {
  /** By kind of request, milliseconds since the epoch. */
  readonly #until = new Map<string, number>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** @throws UpstreamError `limited` while such a request would be in vain. */
  check(request: Limited): void {
    const left = Math.ceil(((this.#until.get(kindOf(request)) ?? 0) - this.#now()) / 1000);
    if (left <= 0) return;
    const message = `${request.upstream.name} limits requests; the next request is sent in ${left} s`;
    throw new UpstreamError("limited", message, 429, left);
  }

  /** @param retryAfter seconds, or null where upstream didn't say: then there is nothing to go by. */
  note(request: Limited, retryAfter: number | null): void {
    if (retryAfter === null) return;
    this.#until.set(kindOf(request), this.#now() + Math.min(retryAfter, LONGEST_LIMIT) * 1000);
  }
}

/** Docker Hub counts GETs of manifests, but neither HEADs nor blobs: a limit on one kind may not concern the others. */
function kindOf({ method, path }: Limited): string {
  return `${method} ${path.split("/", 1)[0]}`;
}
