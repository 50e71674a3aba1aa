/** Whole bodies that go on when upstream breaks them off: the rest is asked for, and follows in the same stream. */
import { parseContentRange } from "../oci/range.ts";
import { UpstreamError } from "../upstream/failure.ts";
import type { Question } from "../upstream/question.ts";
import type { Background } from "../upstream/tokens.ts";
import { declaredLength, patience } from "./body.ts";
import type { Mirror } from "./mirror.ts";
import { Relay } from "./relay.ts";

/** What a body is the answer to, and how to ask for the rest of it. */
export interface Source {
  question: Question;
  response: Response;
  body: ReadableStream<Uint8Array>;
  /** Bytes of the whole. */
  length: number;
  background: Background;
  /** Fires when nobody waits for the body any more: what breaks off then isn't continued. */
  signal: AbortSignal | null;
}

export interface Resumed {
  /** Of the whole length. It breaks off, as the body would, when upstream can't give the rest either. */
  readable: ReadableStream<Uint8Array>;
  /** Settles when all has been passed on, or not. */
  pumped: Promise<void>;
  /** The answers that the bytes came from. */
  answers: readonly Response[];
}

/** Milliseconds to wait before each try for the rest, as long as those before brought too little. */
const PAUSES = [0, 500, 1_000, 2_000, 4_000];
/** Bytes that an answer must bring, so that breaking off isn't held against it. */
const WORTHWHILE = 1024 * 1024;
/** Tries for one body, however much each of them brings: the Free plan has 50 requests to upstreams for one of a client's. */
const MOST_TRIES = 15;

/** Leads a body on, natively, from as many answers as it takes. */
export function resumable(mirror: Mirror, source: Source): Resumed {
  const relay = new Relay(source.length);
  const answers = [source.response];
  const pumped = pump(mirror, source, relay, answers);
  return { readable: relay.readable, pumped, answers };
}

async function pump(mirror: Mirror, source: Source, relay: Relay, answers: Response[]): Promise<void> {
  const overdue = patience(source.length);
  let body: ReadableStream<Uint8Array> | null = source.body;
  let before = 0;
  let fruitless = 0;
  for (let tries = 0; ; tries++) {
    try {
      body ??= await rest(mirror, source, answers, before);
      await relay.feed(body, overdue);
      break;
    } catch (error) {
      const { passed } = relay;
      if (passed === source.length) break;
      fruitless = passed !== null && passed - before >= WORTHWHILE ? 0 : fruitless + 1;
      const pause = PAUSES[fruitless];
      const isOver = overdue.aborted || source.signal?.aborted || tries === MOST_TRIES || isFinal(error);
      if (passed === null || pause === undefined || isOver) {
        await relay.abort(error);
        throw error;
      }
      console.warn(`${source.question.path} broke off after ${passed} bytes: ${error}`);
      await new Promise((resolve) => setTimeout(resolve, pause));
      before = passed;
      body = null;
    }
  }
  await relay.close();
}

function isFinal(error: unknown): boolean {
  return error instanceof UpstreamError && error.failure.kind !== "unavailable";
}

/**
 * The body that goes on after the first bytes.
 * @throws UpstreamError also for anything but exactly the rest.
 */
async function rest(
  mirror: Mirror,
  { question, length, background }: Source,
  answers: Response[],
  passed: number,
): Promise<ReadableStream<Uint8Array>> {
  const asked = { ...question, range: `bytes=${passed}-`, continues: answers };
  const response = await mirror.upstream.ask(asked, background);
  if (response.body && isRest(response, passed, length)) {
    answers.push(response);
    return response.body;
  }
  await response.body?.cancel();
  throw new UpstreamError(
    "missing",
    `upstream doesn't send the rest from byte ${passed} on`,
    response.status,
  );
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
