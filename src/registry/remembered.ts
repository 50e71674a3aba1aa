/** Memories with names that clients choose: bounded, so that no client can fill the memory. */
import { type BoundedMap, boundedMap } from "./bounded-map.ts";

/** Names of one kind that are remembered; the least recently used is forgotten first. */
export const MAXIMUM_NAMES = 10_000;

/** Names for which something is known to be true, for a limited time. */
export class Remembered {
  readonly #names: BoundedMap<string, true>;

  /** @param lifetime milliseconds. @param now milliseconds since the epoch. */
  constructor(lifetime: number, now: () => number) {
    // The library includes the last millisecond.
    const ttl = lifetime - 1;
    this.#names = boundedMap(MAXIMUM_NAMES, { ttl, ttlResolution: 0, perf: { now } });
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
