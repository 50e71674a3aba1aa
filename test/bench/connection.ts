/**
 * One HTTP/1.1 connection, as lean as Node allows: one reused read buffer, and no parsing beyond
 * the head. The load must cost so little that what is measured is the server (undici and node:http need 3 to 5 times
 * the time per request, and allocate an object for each piece of a body).
 */
import { connect, type Socket } from "node:net";

export interface Received {
  status: number;
  /** Declared bytes of the body; those of a GET have all been received. */
  length: number;
  /** Field names as sent; read with `field`. */
  head: string;
}

/** Receives a piece of a body, which is overwritten afterwards. False stops reading until `resume`. */
export type Receiver = (piece: Buffer) => boolean;

interface Pending {
  isHead: boolean;
  receive: Receiver | null;
  resolve: (response: Received) => void;
  reject: (error: Error) => void;
}

const READ_BUFFER = 256 * 1024;
const END_OF_HEAD = "\r\n\r\n";
const EMPTY = Buffer.alloc(0);

export class Connection {
  readonly #socket: Socket;
  #pending: Pending | null = null;
  #head = EMPTY;
  #response: Received | null = null;
  #left = 0;

  private constructor(port: number) {
    const buffer = Buffer.allocUnsafe(READ_BUFFER);
    const callback = (bytes: number): boolean => this.#read(buffer.subarray(0, bytes));
    this.#socket = connect({ port, host: "127.0.0.1", noDelay: true, onread: { buffer, callback } });
  }

  static async open(port: number): Promise<Connection> {
    const connection = new Connection(port);
    const socket = connection.#socket;
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    socket.removeAllListeners("error");
    socket.on("error", (error) => connection.#fail(error));
    socket.on("close", () => connection.#fail(new Error("the server closed the connection")));
    return connection;
  }

  /** Sends a request made by `requestFor`; one at a time. Rejects if the response is cut or has no length. */
  send(request: Buffer, receive: Receiver | null = null): Promise<Received> {
    if (this.#pending !== null) throw new Error("a request is in progress on this connection");
    return new Promise((resolve, reject) => {
      this.#pending = { isHead: request[0] === 0x48, receive, resolve, reject };
      this.#socket.write(request);
    });
  }

  resume(): void {
    this.#socket.resume();
  }

  close(): void {
    this.#pending = null;
    this.#socket.destroy();
  }

  #read(piece: Buffer): boolean {
    const pending = this.#pending;
    if (pending === null) return true;
    const body = this.#response === null ? this.#readHead(piece, pending) : piece;
    if (body === null) return true;
    let goOn = true;
    if (body.length > 0) {
      this.#left -= body.length;
      goOn = pending.receive?.(body) ?? true;
    }
    if (this.#left < 0) this.#fail(new Error("the body is longer than its Content-Length"));
    else if (this.#left === 0) this.#finish(pending);
    return goOn;
  }

  /** Returns what follows the head in this piece, or null while the head isn't complete. */
  #readHead(piece: Buffer, pending: Pending): Buffer | null {
    const bytes = this.#head.length === 0 ? piece : Buffer.concat([this.#head, piece]);
    const end = bytes.indexOf(END_OF_HEAD);
    if (end < 0) {
      this.#head = Buffer.from(bytes);
      return null;
    }
    const head = bytes.toString("latin1", 0, end);
    const status = Number(head.slice(9, 12));
    const length = /\ncontent-length: *(\d+)/i.exec(head)?.[1];
    if (length === undefined && !pending.isHead) {
      this.#fail(new Error(`a response without Content-Length: ${head}`));
      return null;
    }
    this.#response = { status, length: Number(length ?? 0), head };
    this.#left = pending.isHead ? 0 : this.#response.length;
    return bytes.subarray(end + END_OF_HEAD.length);
  }

  #finish({ resolve }: Pending): void {
    const response = this.#response;
    this.#pending = null;
    this.#response = null;
    this.#head = EMPTY;
    if (response) resolve(response);
  }

  #fail(error: Error): void {
    const pending = this.#pending;
    this.close();
    pending?.reject(error);
  }
}

/** A request's bytes, made once and sent as often as needed. */
export function requestFor(method: "GET" | "HEAD", path: string): Buffer {
  const accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, */*";
  return Buffer.from(
    `${method} ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: portolan-bench\r\nAccept: ${accept}\r\n\r\n`,
    "latin1",
  );
}

export function field(response: Received, name: string): string | null {
  const start = `\n${name.toLowerCase()}:`;
  const line = response.head.split("\r").find((text) => text.toLowerCase().startsWith(start));
  return line === undefined ? null : line.slice(start.length).trim();
}
