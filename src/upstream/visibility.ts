/** Which repositories anyone may pull from: for these, and only these, the operator's logins may stand in for everyone's. */
import { Remembered } from "./remembered.ts";

/** Milliseconds for which a repository that was found public is taken to be so. */
const PUBLIC = 24 * 3600 * 1000;
/** Milliseconds for which one that wasn't is not probed again: it may be made public at any time. */
const CLOSED = 5 * 60 * 1000;

/** One isolate's knowledge. */
export class Visibility {
  readonly #public: Remembered;
  readonly #closed: Remembered;

  constructor(now: () => number) {
    this.#public = new Remembered(PUBLIC, now);
    this.#closed = new Remembered(CLOSED, now);
  }

  /** Null where nothing is known. */
  isPublic(upstream: string, repository: string): boolean | null {
    const name = `${upstream}/${repository}`;
    if (this.#public.has(name)) return true;
    return this.#closed.has(name) ? false : null;
  }

  /** Something of the repository was given to an anonymous caller. */
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
