/** What every command exits with: all is well; something is not as it should be; it couldn't be found out, or wrong usage. */
export const EXIT = { good: 0, bad: 1, unknown: 2 } as const;
