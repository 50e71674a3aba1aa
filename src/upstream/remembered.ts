/** What is remembered of things whose names callers choose: never more than so many of them. */
import { LRUCache } from "lru-cache";

/** Names of one kind that are remembered; the one that was used longest ago is forgotten first. */
export const MAXIMUM_NAMES = 10_000;

/** Names that something is true of for a while. */
export class Remembered {
  readonly #names: LRUCache<string, true>;

  /** @param lifetime milliseconds. @param now milliseconds since the epoch. */
  constructor(lifetime: number, now: () => number) {
    // The library counts the last millisecond in.
    const ttl = lifetime - 1;
    this.#names = new LRUCache({ max: MAXIMUM_NAMES, ttl, ttlResolution: 0, perf: { now } });
  }

  has(name: string): boolean {
    return this.#names.has(name);
  }

  add(name: string): void {
    this.#names.set(name, true);
  }

  delete(name: string): void {
    this.#names.delete(name);
  }
}
