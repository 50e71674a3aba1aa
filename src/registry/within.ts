/**
 * Waits for something that a client isn't kept waiting for any longer; it goes on by itself.
 * @throws Error if it isn't there after so many milliseconds.
 */
export function within<Result>(milliseconds: number, work: Promise<Result>): Promise<Result> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("it takes too long")), milliseconds);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
