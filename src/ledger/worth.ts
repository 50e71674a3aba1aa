/**
 * What leaves first when the store exceeds its limit: size-aware GreedyDual, which the simulation in docs/eviction.md chose. An
 * image is worth the hours in which it was used by the square root of its size, above a level that rises with what was evicted:
 * so that what was popular once, and isn't used any longer, leaves too.
 */

/** What leaves as a whole: an image, or an object that no image needs. */
export interface Worth {
  /** Bytes. */
  size: number;
  /** Hours in which it was used; 0 where no use is known. */
  uses: number;
  /** The level at its last use; 0 where no use is known. */
  level: number;
  /** When it was last used or stored; milliseconds since the epoch. */
  last: number;
}

/** Bytes: what is smaller is worth no more. */
const SMALL = 1_000_000;

/** Its position between what leaves first and what leaves last. The level is that of what was evicted last. */
export function worthOf({ size, uses, level }: Omit<Worth, "last">): number {
  return level + uses / Math.sqrt(Math.max(size, SMALL) / SMALL);
}

/** Negative if the first leaves before the second. What is worth the same leaves in the order of last use. */
export function byWorth(one: Worth, other: Worth): number {
  return worthOf(one) - worthOf(other) || one.last - other.last;
}
