/**
 * A native stream that outlives the body which feeds it, and knows how many bytes have passed.
 *
 * It rests on two behaviours of the runtime that Cloudflare doesn't document, which is why the variable RESUME switches it
 * off, one byte is tried in each isolate before it is used, and every resume is logged:
 * - A FixedLengthStream can be piped into another one if the writable side has passed through an RPC stub; without that the
 *   runtime refuses (`connect`).
 * - An inspected stream shows how many of its bytes are still to be read, also while it is piped (`bytesLeft`).
 */
import { RpcStub, RpcTarget } from "cloudflare:workers";

/**
 * Two streams in a row: bodies are piped into the first, whose remaining length tells how much has passed on into the second.
 * When a body breaks off, neither of them ends, and another body can follow. No JavaScript touches the bytes, and the second
 * stream costs hardly any processor time.
 */
export class ResumableStream {
  /** Of the whole length, so that it can be stored, or split between two readers. */
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
const TRIAL = 5_000;
let isProved: boolean | null = null;

/** Whether this runtime has both behaviours, tried with one byte once an isolate. */
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
    console.warn(`bodies that break off can't be resumed in this runtime: ${error}`);
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
    // Bytes that were read and haven't passed wait for a slow reader, which isn't upstream's fault.
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

/** Pipes one FixedLengthStream into another, whose writable side has passed through an RPC stub within this isolate. */
async function connect(readable: ReadableStream, writable: WritableStream): Promise<void> {
  const stub = new RpcStub(new Handover());
  const passed = await stub.pass(writable).finally(() => stub[Symbol.dispose]());
  await readable.pipeTo(passed);
}

/** The property under which the runtime shows an inspected stream's remaining length. */
const LENGTH = Object.getOwnPropertySymbols(ReadableStream.prototype).find(
  ({ description }) => description === "length",
);

function bytesLeft(stream: ReadableStream): number | null {
  const left: unknown = LENGTH && Reflect.get(stream, LENGTH);
  return typeof left === "bigint" ? Number(left) : null;
}
