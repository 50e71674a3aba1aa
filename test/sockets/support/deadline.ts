/** Deadlines: no wait in these tests is without one, and its failure says what was awaited. */
import { setTimeout as sleep } from "node:timers/promises";

/** Milliseconds between two looks; far below anything these tests tell apart. */
const BETWEEN_LOOKS = 20;

/** @throws if the promise isn't settled after so many milliseconds. */
export async function within<Value>(
  what: string,
  milliseconds: number,
  promise: Promise<Value>,
): Promise<Value> {
  const timer = new AbortController();
  const late = sleep(milliseconds, null, { signal: timer.signal }).then(() => {
    throw new Error(`waited ${milliseconds / 1000} s in vain for ${what}`);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    timer.abort();
    late.catch(() => {});
  }
}

/** Looks again and again until it is so. @throws if that takes longer than so many milliseconds. */
export async function until(
  what: string,
  milliseconds: number,
  isSo: () => boolean | Promise<boolean>,
): Promise<void> {
  const end = Date.now() + milliseconds;
  while (!(await within(what, milliseconds, Promise.resolve(isSo())))) {
    if (Date.now() > end) throw new Error(`waited ${milliseconds / 1000} s in vain for ${what}`);
    await sleep(BETWEEN_LOOKS);
  }
}

/** Looks until the number hasn't changed for so many milliseconds, and returns it. */
export async function settled(
  what: string,
  { quiet, deadline }: { quiet: number; deadline: number },
  look: () => number,
): Promise<number> {
  let last = look();
  let since = Date.now();
  await until(`${what} to stand still`, deadline, () => {
    const now = look();
    if (now !== last) since = Date.now();
    last = now;
    return Date.now() - since >= quiet;
  });
  return last;
}
