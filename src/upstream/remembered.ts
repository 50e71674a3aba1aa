/** Names that something is true of for a while. */

const MAXIMUM_NAMES = 10_000;

export class Remembered {
  readonly #until = new Map<string, number>();
  readonly #lifetime: number;
  readonly #now: () => number;

  /** @param lifetime milliseconds. */
  constructor(lifetime: number, now: () => number) {
    this.#lifetime = lifetime;
    this.#now = now;
  }

  has(name: string): boolean {
    return (this.#until.get(name) ?? 0) > this.#now();
  }

  add(name: string): void {
    this.#until.delete(name);
    this.#until.set(name, this.#now() + this.#lifetime);
    const oldest = this.#until.keys().next().value;
    if (this.#until.size > MAXIMUM_NAMES && oldest !== undefined) this.#until.delete(oldest);
  }

  delete(name: string): void {
    this.#until.delete(name);
  }
}
