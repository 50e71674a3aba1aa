/** Maps with a bound on their entries, of which the least recently used is forgotten first. */
import { LRUCache } from "lru-cache";

export type BoundedMap<Key extends {}, Value extends {}> = LRUCache<Key, Value>;

/** Other options of the library: for how long entries are kept, by which clock, and what each counts for if not 1. */
type Options<Key extends {}, Value extends {}> = Pick<
  LRUCache.Options<Key, Value, unknown>,
  "ttl" | "ttlResolution" | "perf" | "sizeCalculation"
>;

/**
 * The library allocates a `max` of entries at once, which for ten thousand takes a millisecond or two of an isolate's first
 * request. Entries that each have a size of one are bounded alike, and take memory as they come.
 * @param most entries, or the sum of their sizes where they have some.
 */
export function boundedMap<Key extends {}, Value extends {}>(
  most: number,
  options: Options<Key, Value> = {},
): BoundedMap<Key, Value> {
  return new LRUCache<Key, Value>({ sizeCalculation: () => 1, ...options, maxSize: most });
}
