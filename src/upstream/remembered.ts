/** What is remembered of things that callers choose the names of: never more than so much. */

const MAXIMUM_NAMES = 10_000;

/** A map that forgets what was set longest ago. */
export class Bounded<Value> {
  readonly #values = new Map<string, Value>();
  readonly #maximum: number;

  constructor(maximum = MAXIMUM_NAMES) {
    this.#maximum = maximum;
  }

  get(name: string): Value | undefined {
    return this.#values.get(name);
  }

  set(name: string, value: Value): void {
    this.#values.delete(name);
    this.#values.set(name, value);
    const oldest = this.#values.keys().next().value;
    if (this.#values.size > this.#maximum && oldest !== undefined) this.#values.delete(oldest);
  }

  delete(name: string): void {
    this.#values.delete(name);
  }
}

/** Names that something is true of for a while. */
export class Remembered {
  readonly #until = new Bounded<number>();
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
    this.#until.set(name, this.#now() + this.#lifetime);
  }

  delete(name: string): void {
    this.#until.delete(name);
  }
}
