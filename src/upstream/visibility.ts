/**
 * Which repositories were found public, so that a caller who could show more than an anonymous one is served as one. It
 * opens nothing: the operator's logins are used by what is known of single objects (`principals.ts`).
 */
import { Remembered } from "../registry/remembered.ts";

/** Milliseconds for which a repository is taken to be as it was found: it may be made private or public at any time. */
const LIFETIME = 5 * 60 * 1000;

/** One isolate's knowledge. */
export class Visibility {
  readonly #public: Remembered;
  readonly #closed: Remembered;

  constructor(now: () => number) {
    this.#public = new Remembered(LIFETIME, now);
    this.#closed = new Remembered(LIFETIME, now);
  }

  /** Null where nothing is known. */
  isPublic(upstream: string, repository: string): boolean | null {
    const name = `${upstream}/${repository}`;
    if (this.#public.has(name)) return true;
    return this.#closed.has(name) ? false : null;
  }

  /** A manifest or a blob of the repository was given to an anonymous caller. */
  notePublic(upstream: string, repository: string): void {
    const name = `${upstream}/${repository}`;
    this.#closed.delete(name);
    this.#public.add(name);
  }

  /** An anonymous caller was denied: whatever was known is over. */
  noteClosed(upstream: string, repository: string): void {
    const name = `${upstream}/${repository}`;
    this.#public.delete(name);
    this.#closed.add(name);
  }
}
