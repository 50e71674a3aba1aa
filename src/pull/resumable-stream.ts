/** A native way for bytes that outlives the body which feeds it, and knows how many have passed. */
import { RpcStub, RpcTarget } from "cloudflare:workers";

/**
 * Two hops: what feeds it goes into the first, and what is left of the first one's length tells how much has passed on
 * into the second. A body may break off then without either of them noticing, and another one take its place. No
 * JavaScript touches the bytes, and the second hop costs hardly any processor time.
 */
export class ResumableStream {
  /** Of the whole length, so that it can be stored, or split between two readers. It breaks off when the relay does. */
  readonly readable: ReadableStream<Uint8Array>;
  readonly #length: number;
  readonly #intake: FixedLengthStream;
  readonly #delivered: Promise<void>;
  readonly #unread = new AbortController();

  /** @param length bytes that have to pass in all. */
  constructor(length: number) {
    const outlet = new FixedLengthStream(length);
    this.readable = outlet.readable;
    this.#length = length;
    this.#intake = new FixedLengthStream(length);
    this.#delivered = connect(this.#intake.readable, outlet.writable);
    // The runtime doesn't report to the writing side that the reader has gone.
    this.#delivered.catch((error) => this.#unread.abort(error));
  }

  /** Bytes that have passed; null where the runtime doesn't report it, and once the reader has gone. */
  get passed(): number | null {
    const left = bytesLeft(this.#intake.readable);
    return left === null ? null : this.#length - left;
  }

  /**
   * Passes a body on to its end.
   * @param stall milliseconds without a byte after which it is taken to have stalled; twice as many at most.
   * @throws when it breaks off, stalls, or is given up by the signal; another may follow, unless the reader has gone.
   */
  async feed(body: ReadableStream<Uint8Array>, signal: AbortSignal, stall: number): Promise<void> {
    const stalled = new AbortController();
    const watch = setInterval(watchful(body, this, stalled), stall);
    const piped = body.pipeTo(this.#intake.writable, {
      preventClose: true,
      preventAbort: true,
      signal: AbortSignal.any([signal, stalled.signal, this.#unread.signal]),
    });
    try {
      // A body without a reader must not be waited for.
      await Promise.race([piped, this.#delivered.then(() => piped)]);
    } finally {
      clearInterval(watch);
    }
  }

  /** @throws when fewer bytes have passed than should, or they can't be delivered. */
  async close(): Promise<void> {
    await this.#intake.writable.close();
    await this.#delivered;
  }

  /** Breaks off what is read. */
  async abort(reason: unknown): Promise<void> {
    await this.#intake.writable.abort(reason).catch(() => {});
    await this.#delivered.catch(() => {});
  }
}

/** Milliseconds, far more than one byte takes. */
const TRIAL = 1_000;
let isProved: boolean | null = null;

/**
 * Whether this runtime lets bytes pass so. Neither the way nor the count is documented: it is tried with one byte, once an
 * isolate, before anybody's layer depends on it.
 */
export async function canResume(): Promise<boolean> {
  isProved ??= await prove();
  return isProved;
}

async function prove(): Promise<boolean> {
  try {
    const stream = new ResumableStream(1);
    const read = new Response(stream.readable).text();
    const { body } = new Response("1");
    if (!body) return false;
    await stream.feed(body, AbortSignal.timeout(TRIAL), TRIAL);
    const { passed } = stream;
    await stream.close();
    return passed === 1 && (await read) === "1";
  } catch (error) {
    console.warn(`bodies that break off aren't continued here: ${error}`);
    return false;
  }
}

/** Whether a body can be found to have stalled. */
export function isMeasured(body: ReadableStream): boolean {
  return bytesLeft(body) !== null;
}

/** Fires `stalled` when nothing has come since the last time it was called, and nothing of what came is still waiting. */
function watchful(body: ReadableStream, stream: ResumableStream, stalled: AbortController): () => void {
  const [whole, start] = [bytesLeft(body), stream.passed];
  let before = whole;
  return () => {
    const left = bytesLeft(body);
    const { passed } = stream;
    if (whole === null || left === null || start === null || passed === null) return;
    // What was read and hasn't passed waits for a slow reader, which is no fault of who sends.
    const isOwed = whole - left === passed - start;
    if (left === before && isOwed) stalled.abort(new Error("upstream has stopped sending"));
    before = left;
  };
}

class Handover extends RpcTarget {
  pass(stream: WritableStream): WritableStream {
    return stream;
  }
}

/**
 * Pipes one FixedLengthStream into another. The runtime refuses that, lest anybody build a circle; but not once the
 * other one has been passed over a stub, be it only from here to here.
 */
async function connect(readable: ReadableStream, writable: WritableStream): Promise<void> {
  const stub = new RpcStub(new Handover());
  const passed = await stub.pass(writable).finally(() => stub[Symbol.dispose]());
  await readable.pipeTo(passed);
}

/** What the runtime shows of an inspected stream: the bytes that are still to be read, also while it is piped. */
const LENGTH = Object.getOwnPropertySymbols(ReadableStream.prototype).find(
  ({ description }) => description === "length",
);

function bytesLeft(stream: ReadableStream): number | null {
  const left: unknown = LENGTH && Reflect.get(stream, LENGTH);
  return typeof left === "bigint" ? Number(left) : null;
}
