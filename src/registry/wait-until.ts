/** Keeps work alive after the request that started it has been answered. */
export type WaitUntil = (work: Promise<unknown>) => void;
