/** Chance with a seed: a run can be repeated with the same choices, as far as the order of events lets it. */

export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From 0 up to, not including, 1 (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from 0 up to, not including, `limit`. */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** @throws RangeError for an empty list. */
  pick<Value>(list: readonly Value[]): Value {
    const index = this.below(list.length);
    if (index >= list.length) throw new RangeError("nothing to pick from");
    return list[index] as Value;
  }

  /** An element of the list, chosen in proportion to its weight. */
  weighted<Value extends { weight: number }>(list: readonly Value[]): Value {
    let left = this.next() * list.reduce((sum, { weight }) => sum + weight, 0);
    for (const each of list) {
      left -= each.weight;
      if (left < 0) return each;
    }
    return this.pick(list);
  }

  /** Another generator, whose sequence doesn't depend on how often this one is used. */
  fork(): Random {
    return new Random(this.below(2 ** 32));
  }
}
