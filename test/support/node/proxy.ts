// HTTP and SOCKS5 proxies that are the only route to hosts whose names don't resolve elsewhere, each counting the requested
// hosts.
import { once } from "node:events";
import {
  createServer as createHttpServer,
  type IncomingMessage,
  request,
  type ServerResponse,
} from "node:http";
import { connect, createServer, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";

export interface Proxy {
  url: string;
  /** By `host:port`, the number of connections or requests, unknown hosts included. */
  requested: Map<string, number>;
  stop(): Promise<void>;
}

/** @param hosts by `host:port`, the loopback port where it really is */
export async function startHttpProxy(hosts: Readonly<Record<string, number>>): Promise<Proxy> {
  const requested = new Map<string, number>();
  const server = createHttpServer((incoming: IncomingMessage, outgoing: ServerResponse) => {
    const url = URL.parse(incoming.url ?? "");
    const port = url && find(hosts, requested, `${url.hostname}:${url.port || 80}`);
    if (!url || !port) {
      outgoing.writeHead(502).end();
      return;
    }
    const { method, headers } = incoming;
    const path = url.pathname + url.search;
    const onward = request({ host: "127.0.0.1", port, method, path, headers }, (response) => {
      outgoing.writeHead(response.statusCode ?? 502, response.headers);
      response.pipe(outgoing);
    });
    onward.once("error", () => outgoing.destroy());
    incoming.pipe(onward);
  });
  server.on("connect", (incoming: IncomingMessage, socket: Duplex) => {
    const port = find(hosts, requested, incoming.url ?? "");
    if (!port) socket.end("HTTP/1.1 502 no such host\r\n\r\n");
    else pass(socket, port, () => socket.write("HTTP/1.1 200 connected\r\n\r\n"));
  });
  return listening(server, "http", requested);
}

/** SOCKS version 5, without authentication, for names alone (RFC 1928): an address would be one that was looked up here. */
export async function startSocksProxy(hosts: Readonly<Record<string, number>>): Promise<Proxy> {
  const requested = new Map<string, number>();
  const server = createServer((socket) => {
    let received = Buffer.alloc(0);
    let isGreeted = false;
    const onData = (chunk: Buffer): void => {
      received = Buffer.concat([received, chunk]);
      if (!isGreeted) {
        const methods = received[1] ?? 0;
        if (received.length < 2 + methods) return;
        received = received.subarray(2 + methods);
        isGreeted = true;
        socket.write(Buffer.from([5, 0]));
      }
      const length = received[4] ?? 0;
      if (received.length < 7 + length) return;
      socket.off("data", onData);
      const isName = received[3] === 3;
      const name = received.subarray(5, 5 + length).toString("latin1");
      const port = isName ? find(hosts, requested, `${name}:${received.readUInt16BE(5 + length)}`) : null;
      const response = (code: number) => Buffer.from([5, code, 0, 1, 0, 0, 0, 0, 0, 0]);
      if (!port) socket.end(response(4));
      else pass(socket, port, () => socket.write(response(0)));
    };
    socket.on("data", onData);
    socket.on("error", () => socket.destroy());
  });
  return listening(server, "socks5h", requested);
}

function find(
  hosts: Readonly<Record<string, number>>,
  requested: Map<string, number>,
  name: string,
): number | null {
  requested.set(name, (requested.get(name) ?? 0) + 1);
  return hosts[name] ?? null;
}

function pass(socket: Duplex, port: number, onConnect: () => void): void {
  const onward = connect(port, "127.0.0.1", () => {
    onConnect();
    socket.pipe(onward).pipe(socket);
  });
  onward.on("error", () => socket.destroy());
  socket.on("error", () => onward.destroy());
  socket.on("close", () => onward.destroy());
}

async function listening(server: Server, scheme: string, requested: Map<string, number>): Promise<Proxy> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    url: `${scheme}://127.0.0.1:${address.port}`,
    requested,
    stop: async () => {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
