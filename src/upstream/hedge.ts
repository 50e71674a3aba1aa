/** Hedged attempts: the next one starts when one fails, and a second one beside the first when that is slow. */

/** Why a request is cancelled whose response is no longer needed. */
export const OVERTAKEN = new Error("another endpoint answered first");

export interface HedgeOptions<Result> {
  /** Milliseconds for which the first attempt runs alone. */
  patience: number;
  /** The attempts whose errors count, the first of them most: a fallback may just not have the content. */
  decisive: readonly number[];
  /** Whether a decisive attempt's error is final, because no other attempt could succeed. */
  isFinal: (error: unknown) => boolean;
  /** Receives the index of an attempt that was still running when another one ended the matter; its signal has fired. */
  overtaken?: (index: number) => void;
  /** Disposes of a result that came too late. */
  discard: (result: Result) => void;
}

/**
 * Makes the attempts in order until one succeeds; at most two run at a time, the second because the first is slow. Those
 * still running then are cancelled.
 * @throws the first decisive attempt's error if none succeeds.
 */
export function hedge<Result>(
  attempts: readonly ((signal: AbortSignal) => Promise<Result>)[],
  { patience, decisive, isFinal, overtaken, discard }: HedgeOptions<Result>,
): Promise<Result> {
  return new Promise((resolve, reject) => {
    const running = new Map<number, AbortController>();
    let started = 0;
    let done = false;
    let decision: { index: number; error: unknown } | null = null;

    const settle = (finish: () => void) => {
      done = true;
      clearTimeout(timer);
      for (const [index, controller] of running) {
        controller.abort(OVERTAKEN);
        overtaken?.(index);
      }
      finish();
    };
    const start = () => {
      const attempt = attempts[started];
      if (done || !attempt) return;
      const index = started++;
      const controller = new AbortController();
      running.set(index, controller);
      attempt(controller.signal).then(
        (result) => {
          running.delete(index);
          if (done) discard(result);
          else settle(() => resolve(result));
        },
        (error: unknown) => {
          running.delete(index);
          const isDecisive = decisive.includes(index);
          if (isDecisive && !(decision && decision.index < index)) decision = { index, error };
          if (done) return;
          if (isDecisive && isFinal(error)) settle(() => reject(error));
          else if (started < attempts.length) start();
          else if (running.size === 0) settle(() => reject((decision ?? { error }).error));
        },
      );
    };
    const timer = setTimeout(start, patience);
    start();
  });
}
