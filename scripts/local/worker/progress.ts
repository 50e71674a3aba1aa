/** How far a fill is. */
export interface Progress {
  /** Bytes of `growing` that clients may be given: all of them only once the whole has the right checksum. */
  bytes: number;
}
