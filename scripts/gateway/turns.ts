/** Bodies are received in turns, of which so many run at a time: a client that sends slowly, or not at all, keeps no other one out. */
import pLimit from "p-limit";

/** Milliseconds after which a turn ends if another body waits for one. */
const TURN = 5_000;
/** Milliseconds after which it is seen again whether one waits. */
const LOOK = 500;

export class Turns {
  readonly #limit: ReturnType<typeof pLimit>;

  constructor(count: number) {
    this.#limit = pLimit(count);
  }

  /**
   * Has a body received turn by turn. Between two turns no more of it is in memory than its connection has.
   * @param receive takes the bytes of one turn, and keeps none of them when it returns.
   * @param isWhole whether there is but one turn, however long.
   */
  async take(
    bytes: AsyncIterable<Uint8Array>,
    receive: (bytes: AsyncIterable<Uint8Array>) => Promise<void>,
    isWhole: boolean,
  ): Promise<void> {
    const iterator = bytes[Symbol.asyncIterator]();
    const read = () => {
      const promise = iterator.next();
      // Reported in the next turn, which may begin later than it fails, or not at all.
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
