/** A client that reads as much as it is told to, can leave at any byte, and tells a clean end from a broken one. */
import { createHash } from "node:crypto";
import { type ClientRequest, get, type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import { within } from "./deadline.ts";

/** How a body ended: as the headers had said, or with the connection. */
export type Ending = "whole" | "broken";

/** Milliseconds; longer than the mirror waits for upstream (10 s), and what clients give a mirror. */
const HEADERS_DEADLINE = 15_000;
const BODY_DEADLINE = 20_000;

export class Download {
  readonly #request: ClientRequest;
  readonly #response: IncomingMessage;
  readonly #hash = createHash("sha256");
  /** Bytes of the body read so far. */
  received = 0;

  private constructor(request: ClientRequest, response: IncomingMessage) {
    this.#request = request;
    this.#response = response;
    // A break is found by whoever reads next; unheard, it would end the test run.
    response.on("error", () => {});
  }

  /** Sends a GET on a connection of its own, and waits for the answer's headers. */
  static async open(url: string, headers: Record<string, string> = {}): Promise<Download> {
    const request = get(url, { agent: false, headers });
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      request.once("response", resolve);
      request.on("error", reject);
    });
    try {
      return new Download(request, await within(`an answer to GET ${url}`, HEADERS_DEADLINE, answered));
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

  /** Where the mirror says the answer came from. */
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
    await within(`byte ${count} of ${this.#request.path}`, BODY_DEADLINE, reading());
  }

  /** Reads on to the end, whatever that is. */
  async end(deadline = BODY_DEADLINE): Promise<Ending> {
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
      deadline,
      reading(),
    );
  }

  /** Ends the connection, as a client does that is interrupted. */
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

/** The whole of a blob, or the error instead of it. */
export async function download(url: string): Promise<{ answer: Download; ending: Ending }> {
  const answer = await Download.open(url);
  return { answer, ending: await answer.end() };
}
