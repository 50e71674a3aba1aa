/** The bodies of requests to the gateway. */
import type { IncomingMessage, ServerResponse } from "node:http";

/** Milliseconds without a byte from a client that has more to send. */
const SILENCE = 120_000;
/** Bytes that are read of a body that isn't taken, as by the Worker. */
const DRAINED = 1024 ** 3;

/**
 * A request's body, which is given up once its client is silent. After reading has stopped, a response can still be sent.
 * @param silence milliseconds.
 */
export async function* bytesOf(request: IncomingMessage, silence = SILENCE): AsyncGenerator<Uint8Array> {
  const iterator = request[Symbol.asyncIterator]();
  for (;;) {
    const timer = setTimeout(() => request.destroy(new Error("the client is silent")), silence);
    try {
      const { done, value } = await iterator.next();
      if (done) return;
      yield value;
    } finally {
      clearTimeout(timer);
    }
  }
}

/**
 * Reads the rest of a body: what is sent before that is lost, or makes clients hang. One that doesn't end is cut off with the
 * response.
 */
export async function drain(request: IncomingMessage, response: ServerResponse): Promise<void> {
  let read = 0;
  try {
    for await (const { byteLength } of bytesOf(request)) {
      read += byteLength;
      if (read <= DRAINED) continue;
      response.shouldKeepAlive = false;
      return;
    }
  } catch {
    // The client has gone.
  }
}
