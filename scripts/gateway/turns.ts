/** Receives bodies in turns, a limited number at a time, so that a client that sends slowly, or not at all, blocks no other. */
import pLimit from "p-limit";

/** Milliseconds after which a turn ends if another body waits. */
const TURN = 5_000;
/** Milliseconds between checks whether another body waits, once TURN has passed. */
const LOOK = 500;

export class Turns {
  readonly #limit: ReturnType<typeof pLimit>;

  constructor(count: number) {
    this.#limit = pLimit(count);
  }

  /**
   * Has a body received turn by turn. Between two turns, only what its connection buffers is in memory.
   * @param receive takes the bytes of one turn, and keeps none of them when it returns.
   * @param isWhole whether one turn takes the whole body, however long that is.
   */
  async take(
    bytes: AsyncIterable<Uint8Array>,
    receive: (bytes: AsyncIterable<Uint8Array>) => Promise<void>,
    isWhole: boolean,
  ): Promise<void> {
    const iterator = bytes[Symbol.asyncIterator]();
    const read = () => {
      const promise = iterator.next();
      // A failure is reported when the next turn reads it. That may be later, or never: it mustn't count as unhandled until then.
      promise.catch(() => {});
      return promise;
    };
    let next = read();
    const limit = this.#limit;
    const turn = async function* () {
      for (let end = Date.now() + TURN; ; ) {
        while (!(await isSettledBefore(end, next))) {
          if (!isWhole && limit.pendingCount > 0) return;
          end = Date.now() + LOOK;
        }
        const isOver = Date.now() > end && !isWhole && limit.pendingCount > 0;
        const { done, value } = await next;
        if (done) return;
        yield value;
        next = read();
        if (isOver) return;
      }
    };
    while (!(await next).done) await limit(() => receive(turn()));
  }
}

async function isSettledBefore(time: number, promise: Promise<unknown>): Promise<boolean> {
  const { promise: outcome, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(resolve, Math.max(0, time - Date.now()), false);
  promise.then(
    () => resolve(true),
    () => resolve(true),
  );
  return outcome.finally(() => clearTimeout(timer));
}
