/** Repeats requests that fail for a moment. */
import type { ResponseHead } from "./redirects.ts";

export type Wait = (milliseconds: number, signal?: AbortSignal) => Promise<void>;

/**
 * Makes attempts until one is final.
 * @param pauseAfter milliseconds to wait after an attempt before the next one; null where its outcome is final.
 * @param signal ends a pause.
 * @param wait waits for a pause; tests don't.
 * @returns the last attempt's response.
 * @throws the last attempt's error, or the signal's reason.
 */
export async function retry<Received extends Pick<ResponseHead, "body">>(
  attempt: () => Promise<Received>,
  pauseAfter: (outcome: PromiseSettledResult<Received>, attempts: number) => number | null,
  signal?: AbortSignal,
  wait: Wait = sleep,
): Promise<Received> {
  for (let attempts = 1; ; attempts++) {
    const [outcome] = await Promise.allSettled([attempt()]);
    const pause = pauseAfter(outcome, attempts);
    if (pause === null) {
      if (outcome.status === "rejected") throw outcome.reason;
      return outcome.value;
    }
    if (outcome.status === "fulfilled") await outcome.value.body?.cancel();
    await wait(pause, signal);
  }
}

export function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop, { once: true });
  });
}
