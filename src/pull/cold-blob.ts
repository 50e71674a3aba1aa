/** Blobs that aren't held: from upstream to the client and the store in one fetch. */
import { blobKey, DigestMismatch, type Sphere } from "../cache/store.ts";
import type { CacheStatus } from "../oci/cachestatus.ts";
import { type Digest, digestOf, digestParts } from "../oci/digest.ts";
import { essence } from "../oci/mediatypes.ts";
import { type ByteRange, type ContentRange, parseContentRange } from "../oci/range.ts";
import type { Target } from "../routing/target.ts";
import { failureOf, isHeadUnsupported, UpstreamError } from "../upstream/failure.ts";
import type { Question } from "../upstream/question.ts";
import type { Background } from "../upstream/tokens.ts";
import { blobHeadings, type Pull, partial, unsatisfiable, whole } from "./answer.ts";
import { declaredLength, isStorable } from "./body.ts";
import { keep } from "./holdings.ts";
import { type FillLease, leaseOf } from "./lease.ts";
import type { Mirror } from "./mirror.ts";
import { placeOf } from "./place.ts";
import { refusal } from "./refusal.ts";
import { ResumableBody } from "./resume.ts";

/**
 * Milliseconds after a client has left until its fill is looked after. The runtime lets the rest of the stream run into
 * the store for 30 s; only what isn't done by then has to be fetched again.
 */
const GRACE = 35_000;

/**
 * Answers a blob from upstream. A whole one is led into the store on its way to the client by whoever holds its lease; a
 * range moves no more than was asked, and the whole is fetched apart from it; a HEAD moves nothing.
 * @throws RegistryError for what upstream doesn't have or can't give.
 */
export async function pullColdBlob(
  mirror: Mirror,
  pull: Pull,
  target: Target,
  digest: Digest,
  range: ByteRange | null,
): Promise<Response> {
  const { upstream, repository } = target;
  const { method, authority } = pull;
  const question: Question = { upstream, repository, authority, method, path: `blobs/${digest}` };
  const lease = leaseOf(mirror, placeOf(target, authority), digest);
  const leading = method === "GET" && !range ? acquire(lease) : null;
  let response: Response;
  try {
    response = await ask(mirror, pull, question, digest, range);
  } catch (error) {
    if (await leading) pull.background(lease.release());
    throw refusal(failureOf(error), "blob", pull.asker);
  }

  const status: CacheStatus = {
    servedBy: "upstream",
    forward: "uri-miss",
    forwardStatus: response.status,
  };
  const headings = blobHeadings(target, digest, status);
  if (response.status === 416) {
    await response.body?.cancel();
    return unsatisfiable(headings, response.headers.get("Content-Range"));
  }
  if (response.status === 206) {
    const sent = rangeSent(pull, response, range);
    if (sent.size === null || isStorable(sent.size)) pull.background(lease.fillApart());
    const text = response.headers.get("Content-Range") ?? "";
    return partial(response.body, headings, text, sent.last - sent.first + 1);
  }

  // From here on it is the whole: also where upstream has ignored a range, as RFC 9110 §14.2 lets it and us.
  const isLeading = await leading;
  const length = declaredLength(response);
  if (length === null || !response.body) {
    // What has no length can't be put as it comes: the alarm finds the length out and fetches it again.
    if (isLeading) pull.background(length === null ? lease.lookAgain(0) : lease.release());
    return whole(response.body, headings, length);
  }
  const { body } = response;
  const source = { question, response, body, length, background: pull.background, signal: pull.signal };
  const resumed = new ResumableBody(mirror, source);
  if (isLeading && isStorable(length)) {
    const toClient = leadIntoStore(mirror, pull, target, digest, lease, resumed);
    return whole(toClient, blobHeadings(target, digest, { ...status, stored: true }), length);
  }
  if (isLeading) pull.background(lease.release());
  pull.background(resumed.pumped.catch(() => {}));
  return whole(resumed.readable, headings, length);
}

/** @throws UpstreamError also for a part where the whole was asked for. */
async function ask(
  mirror: Mirror,
  { background }: Pull,
  question: Question,
  digest: Digest,
  range: ByteRange | null,
): Promise<Response> {
  const response =
    question.method === "HEAD"
      ? await head(mirror, question, background)
      : await mirror.upstream.ask(range ? { ...question, range: rangeHeader(range) } : question, background);
  const { status } = response;
  if (status === 200 ? await canBe(response, digest) : range) return response;
  await response.body?.cancel();
  const what = status === 200 ? "something else than the blob" : `${status} to a plain request`;
  throw new UpstreamError("unavailable", `upstream answered ${what}`, status);
}

/** The headers of a blob; by a GET whose body nobody reads where upstream doesn't answer HEAD. */
async function head(mirror: Mirror, question: Question, background: Background): Promise<Response> {
  try {
    return await mirror.upstream.ask(question, background);
  } catch (error) {
    if (!isHeadUnsupported(error)) throw error;
    const response = await mirror.upstream.ask({ ...question, method: "GET" }, background);
    await response.body?.cancel();
    return new Response(null, response);
  }
}

/**
 * Whether an answer can be the blob at all. A page is from somebody in between, a login or a firewall, and only one digest
 * has no bytes: an error sends a client on to the next mirror, where most give up on content that is wrong.
 */
async function canBe(response: Response, digest: Digest): Promise<boolean> {
  if (essence(response.headers.get("Content-Type")) === "text/html") return false;
  return (
    declaredLength(response) !== 0 ||
    digest === (await digestOf(new Uint8Array(0), digestParts(digest).algorithm))
  );
}

/** Whether this request fills. A lease that can't be had is as good as one held: content addressing forgives doubles. */
async function acquire(lease: FillLease): Promise<boolean> {
  try {
    return await lease.acquire();
  } catch (error) {
    console.warn(`a lease can't be had: ${error}`);
    return true;
  }
}

/**
 * Splits a body of known length between the client and the store. First the FixedLengthStream, then tee: the two native
 * branches then move in lockstep with the slower one, while in the other order the faster one's lead is buffered without
 * bound. A body that stays cut short breaks both off, so neither the client nor the store takes it for whole.
 */
function leadIntoStore(
  mirror: Mirror,
  pull: Pull,
  target: Target,
  digest: Digest,
  lease: FillLease,
  { readable, pumped, answers }: ResumableBody,
): ReadableStream<Uint8Array> {
  const [toClient, toStore] = readable.tee();
  const keyOf = (sphere: Sphere) => blobKey(digest, sphere);
  const stored = keep(mirror, placeOf(target, pull.authority), keyOf, toStore, { digest });
  const settled = Promise.allSettled([pumped, stored]).then(async ([, put]) => {
    if (put.status === "fulfilled") return;
    console.warn(`storing ${digest} failed: ${put.reason}`);
    if (put.reason instanceof DigestMismatch)
      for (const answer of answers) mirror.upstream.distrust(answer, target.upstream);
    await lease.lookAgain(0);
  });
  pull.background(settled);
  // The runtime may end this request's work before the store has all, and then nothing above runs.
  pull.signal.addEventListener("abort", () => pull.background(lease.lookAgain(GRACE)));
  return toClient;
}

/**
 * What part of the blob upstream says it sent.
 * @throws RegistryError if that isn't what it was asked for.
 */
function rangeSent(pull: Pull, response: Response, asked: ByteRange | null): ContentRange {
  const sent = parseContentRange(response.headers.get("Content-Range"));
  if (sent && asked && isWhatWasAsked(sent, asked)) return sent;
  pull.background(response.body?.cancel() ?? Promise.resolve());
  const { failure } = new UpstreamError("unavailable", "upstream sent another range than the one asked for");
  throw refusal(failure, "blob", pull.asker);
}

/** A part may end earlier than asked, but it begins where it was asked to. */
function isWhatWasAsked({ first, last, size }: ContentRange, asked: ByteRange): boolean {
  if ("suffix" in asked)
    return size !== null && first === Math.max(0, size - asked.suffix) && last === size - 1;
  return first === asked.first && (asked.last === null || last <= asked.last);
}

function rangeHeader(range: ByteRange): string {
  return "suffix" in range ? `bytes=-${range.suffix}` : `bytes=${range.first}-${range.last ?? ""}`;
}
