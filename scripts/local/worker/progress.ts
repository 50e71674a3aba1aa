/** How far a fill is. */
export interface Progress {
  /** Bytes of `growing` that can be read. */
  bytes: number;
  /** Whether the whole has the right checksum; until then nobody may be given its last byte. */
  isVerified: boolean;
}
