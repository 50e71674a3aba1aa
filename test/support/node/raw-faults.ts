/** Raw faults: a server that writes HTTP byte by byte, for the faults that no HTTP library agrees to send. */
import { once } from "node:events";
import type { Socket } from "node:net";
import { createServer } from "node:net";

export const EIGHT_MIB = 8 * 1024 * 1024;

export type RawFault =
  /** The connection ends after so many bytes of the body, with the full Content-Length, or while chunked. */
  | { type: "cut"; after: number; framing?: "length" | "chunked" }
  /** The same with a reset (RST) instead of an end. */
  | { type: "reset"; after: number; framing?: "length" | "chunked" }
  /** mcr.microsoft.com: ends at the last multiple of 8 MiB below the length. */
  | { type: "cut-at-8-mib" }
  /** Content-Length is off by so many bytes: positive is too large. The whole body is sent. */
  | { type: "wrong-length"; by: number }
  /** Two Content-Length headers, the true one and one that is off by so many bytes. */
  | { type: "two-lengths"; by: number }
  /** Nothing more after so many bytes; the connection stays open until the client leaves. */
  | { type: "stall"; after: number }
  /** Nothing more after so many bytes until the promise is settled, then the rest. */
  | { type: "gate"; after: number; opened: Promise<void> }
  | { type: "trickle"; bytesPerSecond: number }
  /** Chunked to its proper end, hence without a Content-Length. */
  | { type: "no-length" };

export type RawAnswer = {
  status?: number;
  /** Written as they are. Content-Length and Transfer-Encoding are the server's to add. */
  headers?: Record<string, string>;
  body: Uint8Array;
  fault?: RawFault;
  /** After so many requests the response is whole. Without it the fault stays. */
  times?: number;
  /** Answers `Range: bytes=N-[M]` with 206; the fault then counts bytes of that part. */
  ranges?: boolean;
};

export type RawRequest = {
  method: string;
  path: string;
  query: string;
  headers: Record<string, string>;
  status: number;
  /** Bytes of the body handed to the socket. */
  bytesSent: number;
  /** The client ended the connection before the server did. */
  clientLeft: boolean;
};

export type RawFaults = {
  url: string;
  host: string;
  port: number;
  requests: RawRequest[];
  /** Any query is accepted on the path. Serving a path again replaces it. */
  serve: (path: string, response: RawAnswer) => void;
  close: () => Promise<void>;
};

type Framing = "length" | "chunked";
type Part = { status: number; headers: Record<string, string>; body: Uint8Array };

const PIECE_BYTES = 64 * 1024;
const TRICKLE_PIECES_PER_SECOND = 10;
const HEAD_END = "\r\n\r\n";
/** Time for bytes on their way to be read: a reset throws away what the client hasn't read yet. */
const BEFORE_RESET_MS = 50;

/** One request a connection: every response says `Connection: close`. */
export async function startRawFaults(port = 0): Promise<RawFaults> {
  const answers = new Map<string, RawAnswer>();
  const requests: RawRequest[] = [];
  const sockets = new Set<Socket>();

  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    socket.on("error", () => {});
    readHead(socket, (head) => {
      const request = parseHead(head);
      requests.push(request);
      const response = answers.get(request.path);
      const isFaulty = response?.fault !== undefined && (response.times ?? 1) > 0;
      if (response?.times !== undefined) response.times -= 1;
      void send(socket, request, response, isFaulty ? response.fault : undefined);
    });
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  const host = `127.0.0.1:${address.port}`;

  return {
    url: `http://${host}`,
    host,
    port: address.port,
    requests,
    serve: (path, response) => void answers.set(path, { ...response }),
    close: async () => {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

async function send(
  socket: Socket,
  request: RawRequest,
  response: RawAnswer | undefined,
  fault: RawFault | undefined,
): Promise<void> {
  let endedHere = false;
  const closed = new Promise<void>((resolve) => {
    socket.once("close", () => {
      request.clientLeft = !endedHere;
      resolve();
    });
  });
  const part = response === undefined ? unknownPath() : partOf(response, request);
  request.status = part.status;
  const framing = framingOf(fault);
  await write(socket, headOf(part, fault, framing));
  const isHead = request.method === "HEAD";

  const end = stopOf(part.body.byteLength, fault);
  const pause = fault?.type === "trickle" ? 1000 / TRICKLE_PIECES_PER_SECOND : 0;
  const size =
    fault?.type === "trickle"
      ? Math.max(1, Math.round(fault.bytesPerSecond / TRICKLE_PIECES_PER_SECOND))
      : PIECE_BYTES;
  const gate = fault?.type === "gate" ? fault : null;
  for (let offset = 0; !isHead && offset < end && !socket.destroyed; ) {
    if (offset === gate?.after) await Promise.race([gate.opened, closed]);
    const before = gate && offset < gate.after ? gate.after : end;
    const piece = part.body.subarray(offset, Math.min(offset + size, before, end));
    offset += piece.byteLength;
    await write(socket, framing === "chunked" ? chunk(piece) : piece);
    request.bytesSent += piece.byteLength;
    if (pause > 0) await sleep(pause);
  }
  if (!isHead && fault?.type === "stall") return;
  if (!isHead && fault?.type === "reset") {
    await sleep(BEFORE_RESET_MS);
    endedHere = !socket.destroyed;
    socket.resetAndDestroy();
    return;
  }
  const isCut = fault?.type === "cut";
  if (!isHead && framing === "chunked" && !isCut) await write(socket, Buffer.from("0\r\n\r\n"));
  endedHere = !socket.destroyed;
  socket.end();
}

function stopOf(length: number, fault: RawFault | undefined): number {
  if (fault === undefined) return length;
  if (fault.type === "cut-at-8-mib") return Math.floor(Math.max(0, length - 1) / EIGHT_MIB) * EIGHT_MIB;
  return "after" in fault && fault.type !== "gate" ? Math.min(fault.after, length) : length;
}

function framingOf(fault: RawFault | undefined): Framing {
  if (fault?.type === "no-length") return "chunked";
  return fault?.type === "cut" || fault?.type === "reset" ? (fault.framing ?? "length") : "length";
}

function headOf({ status, headers, body }: Part, fault: RawFault | undefined, framing: Framing): Buffer {
  const length = body.byteLength;
  const lengths =
    fault?.type === "wrong-length"
      ? [length + fault.by]
      : fault?.type === "two-lengths"
        ? [length, length + fault.by]
        : [length];
  const lines = [
    `HTTP/1.1 ${status} ${status < 400 ? "OK" : "Error"}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    ...(framing === "chunked"
      ? ["Transfer-Encoding: chunked"]
      : lengths.map((value) => `Content-Length: ${value}`)),
    "Connection: close",
  ];
  return Buffer.from(lines.join("\r\n") + HEAD_END, "latin1");
}

function partOf(response: RawAnswer, request: RawRequest): Part {
  const { body, headers = {}, status = 200 } = response;
  const match = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
  if (response.ranges !== true || match === null || request.method !== "GET")
    return { status, headers, body };
  const first = Number(match[1]);
  const last = match[2] ? Math.min(Number(match[2]), body.byteLength - 1) : body.byteLength - 1;
  if (first > last) {
    const contentRange = { "Content-Range": `bytes */${body.byteLength}` };
    return { status: 416, headers: { ...headers, ...contentRange }, body: new Uint8Array(0) };
  }
  const contentRange = { "Content-Range": `bytes ${first}-${last}/${body.byteLength}` };
  return { status: 206, headers: { ...headers, ...contentRange }, body: body.subarray(first, last + 1) };
}

function unknownPath(): Part {
  const body = Buffer.from('{"errors":[{"code":"BLOB_UNKNOWN","message":"path not served","detail":null}]}');
  return { status: 404, headers: { "Content-Type": "application/json" }, body };
}

function readHead(socket: Socket, onHead: (head: string) => void): void {
  let received = "";
  const onData = (data: Buffer) => {
    received += data.toString("latin1");
    const end = received.indexOf(HEAD_END);
    if (end < 0) return;
    socket.off("data", onData);
    onHead(received.slice(0, end));
  };
  socket.on("data", onData);
}

function parseHead(head: string): RawRequest {
  const [requestLine = "", ...lines] = head.split("\r\n");
  const [method = "", target = ""] = requestLine.split(" ");
  const [path = "", query = ""] = target.split("?", 2);
  const headers = Object.fromEntries(
    lines.map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
  return { method, path, query, headers, status: 0, bytesSent: 0, clientLeft: false };
}

function chunk(piece: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`${piece.byteLength.toString(16)}\r\n`), piece, Buffer.from("\r\n")]);
}

/** Resolves once written, or once the client has gone. */
function write(socket: Socket, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    if (socket.destroyed || !socket.writable) {
      resolve();
      return;
    }
    socket.once("close", resolve);
    socket.write(bytes, () => {
      socket.off("close", resolve);
      resolve();
    });
  });
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });
}
