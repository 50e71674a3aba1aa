/** Which repositories anyone may pull from: for these, and only these, the operator's logins may stand in for everyone's. */

/** Milliseconds for which a repository that was found public is taken to be so. */
const REMEMBERED = 24 * 3600 * 1000;
const MAXIMUM_REPOSITORIES = 10_000;

/** One isolate's knowledge. */
export class Visibility {
  readonly #publicUntil = new Map<string, number>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** False also where nothing is known yet. */
  isPublic(upstream: string, repository: string): boolean {
    return (this.#publicUntil.get(`${upstream}/${repository}`) ?? 0) > this.#now();
  }

  /** Something of the repository was given to an anonymous caller. */
  notePublic(upstream: string, repository: string): void {
    const name = `${upstream}/${repository}`;
    this.#publicUntil.delete(name);
    this.#publicUntil.set(name, this.#now() + REMEMBERED);
    const oldest = this.#publicUntil.keys().next().value;
    if (this.#publicUntil.size > MAXIMUM_REPOSITORIES && oldest !== undefined)
      this.#publicUntil.delete(oldest);
  }

  /** An anonymous caller was denied: whatever was known is over. */
  noteDenied(upstream: string, repository: string): void {
    this.#publicUntil.delete(`${upstream}/${repository}`);
  }
}
