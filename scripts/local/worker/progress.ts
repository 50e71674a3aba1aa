/** How far a fill is. */
export interface Progress {
  /** Bytes of `growing` that can be read. */
  bytes: number;
  /** Whether the whole has the right checksum; until then its last byte is withheld. */
  isVerified: boolean;
}
