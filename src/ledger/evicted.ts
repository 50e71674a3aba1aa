/** What an eviction did. */
export interface Eviction {
  /** Bytes that the store holds now. */
  stored: number;
  /** Bytes that were freed. */
  freed: number;
}
