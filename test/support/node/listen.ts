/** Listen: puts a fetch handler, or a whole fake registry, on loopback sockets for real clients and mirrors. */
import { once } from "node:events";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { FakeRegistry } from "../fake-registry.ts";

export type FetchHandler = (request: Request) => Response | Promise<Response>;
type NodeHandler = (incoming: IncomingMessage, outgoing: ServerResponse) => Promise<void>;

export type Listening = {
  url: string;
  /** As in a Host header. */
  host: string;
  port: number;
  /** Ends all connections, also those in the middle of a body. */
  close: () => Promise<void>;
};

/** A registry's hosts are sockets of their own, so that a redirect or a realm does lead to another origin. */
export type ListeningRegistry = Listening & { storage: Listening; token: Listening };

export type ListenOptions = { port?: number };

/** Longer than any client keeps a connection: otherwise it may be reset just as a request is on its way. */
const KEEP_ALIVE_MS = 60_000;

export function listen(target: FakeRegistry, options?: ListenOptions): Promise<ListeningRegistry>;
export function listen(target: FetchHandler, options?: ListenOptions): Promise<Listening>;
export function listen(
  target: FakeRegistry | FetchHandler,
  { port = 0 }: ListenOptions = {},
): Promise<Listening> {
  return typeof target === "function" ? listenOn(target, port) : listenRegistry(target, port);
}

/** Changes the registry's settings to http and to the hosts it now has. `port` is the registry's own. */
async function listenRegistry(registry: FakeRegistry, port: number): Promise<ListeningRegistry> {
  const handler: FetchHandler = (request) => registry.fetch(request);
  const main = await listenOn(handler, port);
  const storage = await listenOn(handler, 0);
  const token = await listenOn(handler, 0);
  Object.assign(registry.settings, {
    scheme: "http",
    registryHost: main.host,
    storageHost: storage.host,
    tokenHost: token.host,
  });
  const close = async () => {
    await Promise.all([main.close(), storage.close(), token.close()]);
  };
  return { ...main, storage, token, close };
}

async function listenOn(handler: FetchHandler, port: number): Promise<Listening> {
  const handle = toNodeHandler(handler);
  const server = createServer((incoming, outgoing) => void handle(incoming, outgoing));
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const host = `127.0.0.1:${addressOf(server).port}`;
  return { url: `http://${host}`, host, port: addressOf(server).port, close: () => closeServer(server) };
}

/** A fetch handler as a Node handler, which can lose a connection and sends bodies to the letter. */
function toNodeHandler(handler: FetchHandler): NodeHandler {
  return async (incoming, outgoing) => {
    const client = new AbortController();
    outgoing.once("close", () => {
      if (!outgoing.writableFinished) client.abort(new DOMException("the client left", "AbortError"));
    });
    try {
      const response = await handler(toRequest(incoming, client.signal));
      outgoing.writeHead(response.status, [...response.headers].flat());
      await writeBody(response, incoming.method ?? "GET", outgoing, client.signal);
    } catch {
      // A handler that throws, and a body that breaks, are a lost connection: that is how fetch would tell it.
      // Soon, not at once: what came before the break has to arrive.
      outgoing.socket?.destroySoon();
    }
  };
}

function toRequest(incoming: IncomingMessage, signal: AbortSignal): Request {
  const method = incoming.method ?? "GET";
  const headers = new Headers();
  for (let index = 0; index + 1 < incoming.rawHeaders.length; index += 2) {
    headers.append(incoming.rawHeaders[index] ?? "", incoming.rawHeaders[index + 1] ?? "");
  }
  const target = incoming.url ?? "/";
  // Put together, not resolved: a path that starts with // would be taken for a host.
  const url = /^https?:/i.test(target) ? target : `http://${incoming.headers.host ?? "localhost"}${target}`;
  const hasBody = method !== "GET" && method !== "HEAD";
  return new Request(url, {
    method,
    headers,
    signal,
    redirect: "manual",
    ...(hasBody ? { body: bodyOf(incoming), duplex: "half" } : {}),
  });
}

function bodyOf(incoming: IncomingMessage): ReadableStream<Uint8Array> {
  const chunks: AsyncIterator<Uint8Array> = incoming[Symbol.asyncIterator]();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await chunks.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    cancel: () => void incoming.destroy(),
  });
}

async function writeBody(
  response: Response,
  method: string,
  outgoing: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  if (method === "HEAD" || response.body === null) {
    await response.body?.cancel();
    outgoing.end();
    return;
  }
  const declared = response.headers.get("content-length");
  const reader = response.body.getReader();
  const leave = () => void reader.cancel(signal.reason).catch(() => {});
  signal.addEventListener("abort", leave, { once: true });
  let written = 0;
  // The headers go out at once: a body that stalls before its first byte must still be seen as begun.
  outgoing.flushHeaders();
  for (;;) {
    const { done, value } = await reader.read();
    if (done || signal.aborted) break;
    written += value.byteLength;
    if (!outgoing.write(value)) await drained(outgoing);
  }
  signal.removeEventListener("abort", leave);
  if (declared === null || Number(declared) === written) {
    outgoing.end();
    return;
  }
  // Not what was declared. Kept open, the client would wait for ever, or take the excess for the next response.
  outgoing.socket?.destroySoon();
}

/** Until there is room for more, or the client has gone. */
function drained(outgoing: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const go = () => {
      outgoing.off("drain", go);
      outgoing.off("close", go);
      resolve();
    };
    outgoing.on("drain", go);
    outgoing.on("close", go);
    if (outgoing.destroyed) go();
  });
}

function addressOf(server: Server): AddressInfo {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  return address;
}

async function closeServer(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  server.closeAllConnections();
  await closed;
}
