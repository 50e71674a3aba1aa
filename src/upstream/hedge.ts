/** Several ways to the same answer: the next is tried when one fails, and a second one beside the first when it is slow. */

export interface HedgeOptions<Answer> {
  /** Milliseconds for which the first attempt has the field to itself. */
  patience: number;
  /** The attempt whose error is the one that counts: the authority's, while an alternate may just not have the thing. */
  decisive: number;
  /** Whether the decisive attempt's error ends the matter, because no other could do better. */
  isFinal: (error: unknown) => boolean;
  /** Gets rid of an answer that came too late. */
  discard: (answer: Answer) => void;
}

/**
 * Makes the attempts in their order until one succeeds; at most two run at a time, the second because the first is slow.
 * What comes after the winner is discarded.
 * @throws the decisive attempt's error if none succeeds.
 */
export function hedge<Answer>(
  attempts: readonly (() => Promise<Answer>)[],
  { patience, decisive, isFinal, discard }: HedgeOptions<Answer>,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let started = 0;
    let running = 0;
    let done = false;
    let decision: { error: unknown } | null = null;

    const settle = (finish: () => void) => {
      done = true;
      clearTimeout(timer);
      finish();
    };
    const start = () => {
      const attempt = attempts[started];
      if (done || !attempt) return;
      const isDecisive = started++ === decisive;
      running++;
      attempt().then(
        (answer) => {
          running--;
          if (done) discard(answer);
          else settle(() => resolve(answer));
        },
        (error: unknown) => {
          running--;
          if (isDecisive) decision = { error };
          if (done) return;
          if (isDecisive && isFinal(error)) settle(() => reject(error));
          else if (started < attempts.length) start();
          else if (running === 0) settle(() => reject((decision ?? { error }).error));
        },
      );
    };
    const timer = setTimeout(start, patience);
    start();
  });
}
