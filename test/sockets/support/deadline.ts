/** Deadlines: every wait in these tests has one, and its failure says what was awaited. */
import { setTimeout as sleep } from "node:timers/promises";

/** Milliseconds: far more than anything takes on a busy machine. What is in time costs nothing of it. */
export const DEADLINE = 60_000;
/** Milliseconds between two polls; far below any interval that these tests distinguish. */
const POLL_INTERVAL = 20;

/** @throws if the promise isn't settled after so many milliseconds. */
export async function within<Value>(
  what: string,
  milliseconds: number,
  promise: Promise<Value>,
): Promise<Value> {
  const timer = new AbortController();
  const late = sleep(milliseconds, null, { signal: timer.signal }).then(() => {
    throw new Error(`waited ${milliseconds / 1000} s without success for ${what}`);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    timer.abort();
    late.catch(() => {});
  }
}

/** Polls until the condition is true. @throws if that takes longer than so many milliseconds. */
export async function until(
  what: string,
  milliseconds: number,
  condition: () => boolean | Promise<boolean>,
): Promise<void> {
  const end = Date.now() + milliseconds;
  while (!(await within(what, milliseconds, Promise.resolve(condition())))) {
    if (Date.now() > end) throw new Error(`waited ${milliseconds / 1000} s without success for ${what}`);
    await sleep(POLL_INTERVAL);
  }
}

/** Polls until the number hasn't changed for so many milliseconds, and returns it. */
export async function settled(
  what: string,
  { quiet, deadline }: { quiet: number; deadline: number },
  read: () => number,
): Promise<number> {
  let last = read();
  let since = Date.now();
  await until(`${what} to stop changing`, deadline, () => {
    const now = read();
    if (now !== last) since = Date.now();
    last = now;
    return Date.now() - since >= quiet;
  });
  return last;
}
