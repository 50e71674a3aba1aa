/** Milliseconds: uses within it count once, so that popular content costs the ledger a write an hour, not one a pull. */
export const USE_SPAN = 3_600_000;
