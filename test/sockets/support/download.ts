/** A client that reads a given number of bytes, can disconnect at any byte, and distinguishes a clean end from a broken one. */
import { createHash } from "node:crypto";
import { type ClientRequest, get, type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import { get as getHttps } from "node:https";
import { DEADLINE, within } from "./deadline.ts";

/** How a body ended: at the length that the headers declared, or with the connection. */
export type Ending = "whole" | "broken";

export class Download {
  readonly #request: ClientRequest;
  readonly #response: IncomingMessage;
  readonly #hash = createHash("sha256");
  /** Bytes of the body read so far. */
  received = 0;

  private constructor(request: ClientRequest, response: IncomingMessage) {
    this.#request = request;
    this.#response = response;
    // The next read reports a broken connection; without a listener the event would end the test run.
    response.on("error", () => {});
  }

  /**
   * Sends a GET on a new connection, and waits for the response headers.
   * @param ca the authority that an https server's certificate must come from, in PEM.
   */
  static async open(url: string, headers: Record<string, string> = {}, ca?: string): Promise<Download> {
    const request = ca ? getHttps(url, { agent: false, headers, ca }) : get(url, { agent: false, headers });
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      request.once("response", resolve);
      request.on("error", reject);
    });
    try {
      return new Download(request, await within(`a response to GET ${url}`, DEADLINE, answered));
    } catch (error) {
      request.destroy();
      throw error;
    }
  }

  get status(): number {
    return this.#response.statusCode ?? 0;
  }

  get headers(): IncomingHttpHeaders {
    return this.#response.headers;
  }

  /** The source that the mirror names in Cache-Status. */
  get servedBy(): string {
    return /detail=([a-z]+)/.exec(String(this.headers["cache-status"]))?.[1] ?? "nowhere";
  }

  /** Of the bytes read so far, as digests are written. */
  get digest(): string {
    return `sha256:${this.#hash.copy().digest("hex")}`;
  }

  /** Reads until so many bytes have been read in all, no more than one buffer's worth further; the rest waits in the socket. */
  async readTo(count: number): Promise<void> {
    const reading = async (): Promise<void> => {
      while (this.received < count && !this.#response.readableEnded && !this.#response.destroyed) {
        const bytes: Buffer | null = this.#response.read();
        if (bytes === null) await this.#readable();
        else this.#take(bytes);
      }
    };
    await within(`byte ${count} of ${this.#request.path}`, DEADLINE, reading());
  }

  /** Reads to the end, clean or broken. */
  async end(): Promise<Ending> {
    const reading = async (): Promise<Ending> => {
      try {
        for await (const bytes of this.#response) this.#take(bytes);
      } catch {
        return "broken";
      }
      return this.#response.complete ? "whole" : "broken";
    };
    return within(
      `the end of ${this.#request.path}; ${this.received} bytes had come by then`,
      DEADLINE,
      reading(),
    );
  }

  /** Closes the connection, as an interrupted client does. */
  leave(): void {
    this.#request.destroy();
  }

  #take(bytes: Buffer): void {
    this.received += bytes.byteLength;
    this.#hash.update(bytes);
  }

  #readable(): Promise<void> {
    return new Promise((resolve) => {
      const go = () => {
        this.#response.off("readable", go).off("end", go).off("close", go);
        resolve();
      };
      this.#response.on("readable", go).on("end", go).on("close", go);
    });
  }
}

/** Downloads a whole blob, or the error response. */
export async function download(url: string): Promise<{ response: Download; ending: Ending }> {
  const response = await Download.open(url);
  return { response, ending: await response.end() };
}
