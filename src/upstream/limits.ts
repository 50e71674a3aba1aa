/** Rate limits that an endpoint has reported to anonymous requests: requests before they end only extend them. */
import { UpstreamError } from "../registry/failure.ts";
import type { Registry } from "../registry/registry.ts";

/** Seconds that a limit is taken to last where upstream doesn't say. */
export const DEFAULT_LIMIT = 60;
/** Seconds beyond which no Retry-After is believed: Docker Hub's window. */
export const LONGEST_LIMIT = 6 * 3600;

/** Every kind of request. */
const ALL = "*";

interface Limited {
  upstream: Pick<Registry, "name">;
  method: string;
  /** Below the repository. */
  path: string;
}

export class Limits {
  /** By kind of request, or ALL; milliseconds since the epoch. */
  readonly #until = new Map<string, number>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** @throws UpstreamError `limited` while such a request would be in vain. */
  check(request: Limited): void {
    const until = Math.max(this.#until.get(kindOf(request)) ?? 0, this.#until.get(ALL) ?? 0);
    const left = Math.ceil((until - this.#now()) / 1000);
    if (left <= 0) return;
    const message = `${request.upstream.name} limits requests; the next request is sent in ${left} s`;
    throw new UpstreamError("limited", message, 429, left);
  }

  /** @param retryAfter seconds, or null where upstream didn't say: then there is nothing to go by. */
  note(request: Limited, retryAfter: number | null): void {
    if (retryAfter === null) return;
    this.#set(kindOf(request), retryAfter);
  }

  /** The endpoint gives no tokens, without which nothing can be requested. @param retryAfter seconds. */
  noteAll(retryAfter: number | null): void {
    this.#set(ALL, retryAfter ?? DEFAULT_LIMIT);
  }

  /** Seconds until the last limit of any kind ends; 0 if there is none. */
  longest(): number {
    const until = Math.max(0, ...this.#until.values());
    return Math.max(0, Math.ceil((until - this.#now()) / 1000));
  }

  #set(kind: string, seconds: number): void {
    this.#until.set(kind, this.#now() + Math.min(seconds, LONGEST_LIMIT) * 1000);
  }
}

/** Docker Hub counts GETs of manifests, but neither HEADs nor blobs: a limit on one kind may not concern the others. */
function kindOf({ method, path }: Limited): string {
  return `${method} ${path.split("/", 1)[0]}`;
}
