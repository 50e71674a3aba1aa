/** Whole bodies that go on when upstream breaks them off: the rest is requested, and follows in the same stream. */
import { parseContentRange } from "../oci/range.ts";
import { UpstreamError } from "../registry/failure.ts";
import type { WaitUntil } from "../registry/wait-until.ts";
import type { UpstreamRequest } from "../upstream/request.ts";
import { declaredLength, overdue } from "./body.ts";
import { canResume, isMeasured, ResumableStream } from "./resumable-stream.ts";
import type { PullServices } from "./services.ts";

/** A body, and the request by which the rest of it can be had. */
export interface Source {
  upstreamRequest: UpstreamRequest;
  response: Response;
  body: ReadableStream<Uint8Array>;
  /** Bytes of the whole. */
  length: number;
  waitUntil: WaitUntil;
  /** Fires when the client has gone: a body that breaks off then isn't resumed. */
  signal: AbortSignal | null;
}

/** Bytes that a try must bring to count as progress. */
const WORTHWHILE = 1024 * 1024;
/** Tries for the rest, however much each brings: on the Free plan all that one request asks for is 50 requests at most. */
const MOST_TRIES = 15;

const NEVER = new AbortController().signal;

/** A body on its way. */
export interface BodyTransfer {
  /** Of the whole length. It breaks off, as the body would, when upstream can't give the rest either. */
  readonly readable: ReadableStream<Uint8Array>;
  /** Settles when all has been passed on, or not. */
  readonly pumped: Promise<void>;
  /** The responses that the bytes came from. */
  readonly responses: readonly Response[];
}

/** Streams a body natively, from as many responses as it takes; where resuming is off or impossible, from the first alone. */
export async function streamWithResume(services: PullServices, source: Source): Promise<BodyTransfer> {
  if (services.config.resume && (await canResume())) return new ResumableBody(services, source);
  const { readable, writable } = new FixedLengthStream(source.length);
  const pumped = source.body.pipeTo(writable, { signal: overdue(source.length, services.bodyLimits) });
  return { readable, pumped, responses: [source.response] };
}

class ResumableBody implements BodyTransfer {
  readonly readable: ReadableStream<Uint8Array>;
  readonly pumped: Promise<void>;
  readonly responses: Response[];
  /** Those and the ones that weren't the requested range. */
  readonly #tried: Response[];
  readonly #services: PullServices;
  readonly #source: Source;
  readonly #stream: ResumableStream;
  readonly #overdue: AbortSignal;

  constructor(services: PullServices, source: Source) {
    this.#services = services;
    this.#source = source;
    this.#stream = new ResumableStream(source.length);
    // A client may take its time, and upstream is found to have stalled in spite of that.
    const isPacedByClient = source.signal !== null && isMeasured(source.body);
    this.#overdue = isPacedByClient ? NEVER : overdue(source.length, services.bodyLimits);
    this.responses = [source.response];
    this.#tried = [source.response];
    this.readable = this.#stream.readable;
    this.pumped = this.#pump();
  }

  async #pump(): Promise<void> {
    const { upstreamRequest, length, signal } = this.#source;
    const late = Promise.withResolvers<never>();
    late.promise.catch(() => {});
    this.#overdue.addEventListener("abort", () => late.reject(this.#overdue.reason));
    let body: ReadableStream<Uint8Array> | null = this.#source.body;
    let before = 0;
    let fruitless = 0;
    for (let tries = 0; ; tries++) {
      try {
        body ??= await Promise.race([this.#requestRest(before), late.promise]);
        await this.#stream.feed(body, this.#overdue, this.#services.bodyLimits.stall);
        // Some end their bodies in good order where they break off.
        if ((this.#stream.passed ?? length) === length) break;
        throw new Error("it ended too early");
      } catch (error) {
        const { passed } = this.#stream;
        if (passed === length) break;
        fruitless = passed !== null && passed - before >= WORTHWHILE ? 0 : fruitless + 1;
        const pause = this.#services.bodyLimits.pauses[fruitless];
        const isOver = this.#overdue.aborted || signal?.aborted || tries === MOST_TRIES || isFinal(error);
        if (passed === null || pause === undefined || isOver) {
          await this.#stream.abort(error);
          throw error;
        }
        const count = ++this.#services.resumes.count;
        console.warn(`${upstreamRequest.path} broke off after ${passed} bytes (resume ${count}): ${error}`);
        await new Promise((resolve) => setTimeout(resolve, pause));
        before = passed;
        body = null;
      }
    }
    await this.#stream.close();
  }

  /**
   * What follows the first bytes.
   * @throws UpstreamError also for anything but exactly that.
   */
  async #requestRest(passed: number): Promise<ReadableStream<Uint8Array>> {
    const { upstreamRequest, length, waitUntil } = this.#source;
    const request = { ...upstreamRequest, range: `bytes=${passed}-`, continues: this.#tried };
    const response = await this.#services.upstream.fetch(request, waitUntil);
    this.#tried.push(response);
    if (response.body && isRest(response, passed, length) && !this.#overdue.aborted) {
      this.responses.push(response);
      return response.body;
    }
    await response.body?.cancel();
    // Another endpoint may do better, but none does twice.
    const refused = this.#tried.length - this.responses.length;
    const kind = refused < upstreamRequest.upstream.endpoints.length ? "unavailable" : "missing";
    throw new UpstreamError(kind, `upstream doesn't send the rest from byte ${passed} on`, response.status);
  }
}

/** Whether another try would fail too; a body that broke off doesn't show that. */
function isFinal(error: unknown): boolean {
  return error instanceof UpstreamError && error.failure.kind !== "unavailable";
}

function isRest(response: Response, passed: number, length: number): boolean {
  const sent = parseContentRange(response.headers.get("Content-Range"));
  return (
    response.status === 206 &&
    sent?.first === passed &&
    sent.last === length - 1 &&
    (sent.size ?? length) === length &&
    declaredLength(response) === length - passed
  );
}
