/** Blobs that aren't stored: from upstream to the client and the store in one fetch. */

import type { CacheStatus } from "../oci/cachestatus.ts";
import { partial, unsatisfiable, whole } from "../oci/content-response.ts";
import { type Digest, digestOf, digestParts, wellKnown } from "../oci/digest.ts";
import { essence } from "../oci/mediatypes.ts";
import { type ByteRange, type ContentRange, parseContentRange, rangeHeader } from "../oci/range.ts";
import { readBounded } from "../registry/bounded-read.ts";
import { type Failure, failureOf, isTransient, mayBeHeadAlone, UpstreamError } from "../registry/failure.ts";
import type { WaitUntil } from "../registry/wait-until.ts";
import { openContentFill, putContent } from "../store/content.ts";
import { DigestMismatch, type StoreFill } from "../store/store.ts";
import type { UpstreamRequest } from "../upstream/request.ts";
import { declaredLength, isEncoded, isStorable } from "./body.ts";
import { clientError } from "./client-error.ts";
import type { FillLease, FillQueue, Turn } from "./lease.ts";
import type { PullRequest } from "./request.ts";
import { blobHeaders } from "./response.ts";
import { type BodyTransfer, type Source, streamWithResume } from "./resume.ts";
import type { PullServices } from "./services.ts";

/**
 * Milliseconds after a client has left until its fill is looked after. The runtime lets the rest of the stream run into
 * the store for 30 s; only what isn't done by then has to be fetched again.
 */
const GRACE = 35_000;
/** Bytes of what is called a page and is looked into; no page of a login or a firewall has more. */
const LARGEST_PAGE = 1024 * 1024;

/**
 * Serves a blob from upstream. A whole one is written to the store on its way to the client that holds its lease; a range
 * moves no more than was requested; a HEAD moves nothing.
 * @param turn what was found out about the blob's fill before.
 * @returns "stored" once a fill in the background has stored it: it is to be read from the store.
 * @throws RegistryError for what upstream doesn't have or can't give.
 */
export async function pullColdBlob(
  services: PullServices,
  pull: PullRequest,
  digest: Digest,
  range: ByteRange | null,
  queue: FillQueue,
  turn: Turn,
): Promise<Response | "stored"> {
  const { method } = pull;
  const { upstream, repository } = pull.target;
  const { identity, via } = pull.access;
  const upstreamRequest: UpstreamRequest = {
    upstream,
    repository,
    identity,
    via,
    method,
    path: `blobs/${digest}`,
  };
  let lease = typeof turn === "object" ? turn : null;
  let response: Response;
  try {
    response = await requestBlob(services, pull, upstreamRequest, digest, range);
  } catch (error) {
    if (lease) pull.waitUntil(lease.release());
    return withoutUpstream(pull, digest, failureOf(error));
  }
  if (method === "GET" && isEncoded(response)) {
    await response.body?.cancel();
    return fillInBackground(pull, queue, lease);
  }

  const status: CacheStatus = {
    servedBy: "upstream",
    forward: "uri-miss",
    forwardStatus: response.status,
  };
  const responseHeaders = blobHeaders(pull, digest, status);
  if (response.status === 416) {
    await response.body?.cancel();
    return unsatisfiable(responseHeaders, response.headers.get("Content-Range"));
  }
  if (response.status === 206) {
    const sent = rangeSent(pull, response, range);
    const text = response.headers.get("Content-Range") ?? "";
    const length = sent.last - sent.first + 1;
    // The rest of a blob is requested after an earlier response broke off: the next client wants the whole.
    const isRest = sent.first > 0 && sent.size !== null && sent.last === sent.size - 1;
    const isWorthIt = isRest && length * 2 >= (sent.size ?? 0) && isStorable(sent.size ?? 0);
    const onEnd = isWorthIt ? () => queue.fillInBackground() : null;
    return partial(part(pull, response, length, onEnd), responseHeaders, text, length);
  }

  // From here on it is the whole: also where upstream has ignored a range, as RFC 9110 §14.2 lets it and us.
  if (range) {
    const late = await queue.tryAcquire();
    lease = typeof late === "object" ? late : null;
  }
  const length = declaredLength(response);
  if (length === null || !response.body) {
    // What has no length can't be put as it comes: the alarm finds the length out and fetches it again.
    if (lease) pull.waitUntil(length === null ? lease.scheduleCheck(0) : lease.release());
    return whole(response.body, responseHeaders, length);
  }
  const { body } = response;
  const { waitUntil, signal } = pull;
  const started = services.now();
  const onFilled = () =>
    services.onFilled(
      { upstream: upstream.name, repository, digest, bytes: length, ms: services.now() - started },
      waitUntil,
    );
  const source = { upstreamRequest, response, body, length, waitUntil, signal };
  const name = { kind: "blobs", digest, scope: pull.access } as const;
  const fill = lease && isStorable(length) ? await openContentFill(services.store, name, length) : null;
  if (lease && fill) {
    const filled = await fillAndFollow(services, pull, digest, lease, fill, source, onFilled);
    return whole(filled, blobHeaders(pull, digest, { ...status, stored: true }), length);
  }
  const transfer = await streamWithResume(services, source);
  if (lease && isStorable(length)) {
    const toClient = teeIntoStore(services, pull, digest, lease, transfer, onFilled);
    return whole(toClient, blobHeaders(pull, digest, { ...status, stored: true }), length);
  }
  if (lease) pull.waitUntil(lease.release());
  pull.waitUntil(transfer.pumped.catch(() => {}));
  return whole(transfer.readable, responseHeaders, length);
}

/** @throws UpstreamError also for a part where the whole was requested. */
async function requestBlob(
  services: PullServices,
  { waitUntil }: PullRequest,
  upstreamRequest: UpstreamRequest,
  digest: Digest,
  range: ByteRange | null,
): Promise<Response> {
  const response =
    upstreamRequest.method === "HEAD"
      ? await head(services, upstreamRequest, waitUntil)
      : await services.upstream.fetch(
          range ? { ...upstreamRequest, range: rangeHeader(range) } : upstreamRequest,
          waitUntil,
        );
  const { status } = response;
  const accepted =
    status === 200 ? await blobIn(response, digest, upstreamRequest.method) : range && response;
  if (accepted) return accepted;
  if (!response.bodyUsed) await response.body?.cancel();
  const what = status === 200 ? "something else than the blob" : `${status} to a plain request`;
  throw new UpstreamError("unavailable", `upstream answered ${what}`, status);
}

/** The headers of a blob; by a GET whose body is cancelled where upstream doesn't support HEAD. */
async function head(
  services: PullServices,
  upstreamRequest: UpstreamRequest,
  waitUntil: WaitUntil,
): Promise<Response> {
  try {
    return await services.upstream.fetch(upstreamRequest, waitUntil);
  } catch (error) {
    if (!mayBeHeadAlone(error)) throw error;
    const response = await services.upstream.fetch({ ...upstreamRequest, method: "GET" }, waitUntil);
    await response.body?.cancel();
    return new Response(null, response);
  }
}

/**
 * A response that can be the blob, or null. A page is from somebody in between, a login or a firewall, unless its digest says
 * otherwise; and only one digest has no bytes. An error sends a client on to the next mirror, where most give up on content
 * that is wrong.
 */
async function blobIn(response: Response, digest: Digest, method: string): Promise<Response | null> {
  const { algorithm } = digestParts(digest);
  const length = declaredLength(response);
  if (length === 0) return digest === (await digestOf(new Uint8Array(0), algorithm)) ? response : null;
  const isPage = essence(response.headers.get("Content-Type")) === "text/html";
  if (method === "HEAD" || !isPage || (length ?? 0) > LARGEST_PAGE) return response;
  const bytes = await readBounded(response, LARGEST_PAGE, "a page");
  if (digest !== (await digestOf(bytes, algorithm))) return null;
  const headers = new Headers(response.headers);
  headers.delete("Content-Encoding");
  headers.set("Content-Length", String(bytes.byteLength));
  return new Response(bytes, { headers });
}

/** The response when upstream fails: the content of two well-known digests, or an error for all others. */
function withoutUpstream(pull: PullRequest, digest: Digest, failure: Failure): Response {
  const known = isTransient(failure.kind) ? wellKnown(digest) : null;
  if (known === null) throw clientError(failure, "blob", pull.clientInfo);
  const status: CacheStatus = { servedBy: "memory", forward: "uri-miss" };
  const body = pull.method === "GET" ? known : null;
  return whole(body, blobHeaders(pull, digest, status), known.length);
}

/**
 * Has a blob filled that can't be passed on as it comes: where its body is labelled as encoded, only its digest tells
 * whether that is so.
 */
async function fillInBackground(
  pull: PullRequest,
  queue: FillQueue,
  held: FillLease | null,
): Promise<"stored"> {
  const lease = held ?? (await queue.tryAcquire());
  if (typeof lease === "object") await lease.scheduleCheck(0);
  if (lease === "stored" || (await queue.join()) === "stored") return "stored";
  const message = "upstream labels the blob as encoded, and it isn't stored yet";
  throw clientError(new UpstreamError("unavailable", message).failure, "blob", pull.clientInfo);
}

/**
 * A range's body. A client that leaves ends upstream's sending, too.
 * @param onEnd called once the client has taken all of it.
 */
function part(
  pull: PullRequest,
  { body }: Response,
  length: number,
  onEnd: (() => Promise<void>) | null,
): ReadableStream | null {
  if (!body) return null;
  const { readable, writable } = new FixedLengthStream(length);
  const piped = body.pipeTo(writable, { signal: pull.signal });
  pull.waitUntil(piped.then(() => onEnd?.()).catch(() => {}));
  return readable;
}

/**
 * Stores a body at upstream's pace, and gives the client what is stored at the client's own. What becomes of the client doesn't
 * matter to the fill.
 */
async function fillAndFollow(
  services: PullServices,
  pull: PullRequest,
  digest: Digest,
  lease: FillLease,
  fill: StoreFill,
  source: Source,
  onFilled: () => void,
): Promise<ReadableStream<Uint8Array>> {
  const { readable, pumped, responses } = await streamWithResume(services, { ...source, signal: null });
  const settled = Promise.allSettled([pumped, fill.write(readable)]).then(async ([, write]) => {
    if (write.status === "fulfilled") {
      onFilled();
      return lease.release();
    }
    await retryLater(services, pull, digest, lease, responses, write.reason);
  });
  pull.waitUntil(settled);
  return fill.read();
}

/** Retries a failed fill in the background, without the endpoint that sent wrong content. */
async function retryLater(
  services: PullServices,
  pull: PullRequest,
  digest: Digest,
  lease: FillLease,
  responses: readonly Response[],
  reason: unknown,
): Promise<void> {
  console.warn(`storing ${digest} failed: ${reason}`);
  services.onFillFailed("failed", pull.waitUntil);
  if (reason instanceof DigestMismatch)
    for (const each of responses) services.upstream.quarantine(each, pull.target.upstream);
  await lease.scheduleCheck(0);
}

/**
 * Splits a body of known length between the client and the store. First the FixedLengthStream, then tee: the two native
 * branches then move in lockstep with the slower one, while in the other order the faster one's lead is buffered without
 * bound. A body that stays cut short breaks both off, so neither the client nor the store takes it for whole.
 */
function teeIntoStore(
  services: PullServices,
  pull: PullRequest,
  digest: Digest,
  lease: FillLease,
  { readable, pumped, responses }: BodyTransfer,
  onFilled: () => void,
): ReadableStream<Uint8Array> {
  const [toClient, toStore] = readable.tee();
  const stored = putContent(services.store, { kind: "blobs", digest, scope: pull.access }, toStore);
  const settled = Promise.allSettled([pumped, stored]).then(async ([, put]) => {
    if (put.status === "fulfilled") onFilled();
    else await retryLater(services, pull, digest, lease, responses, put.reason);
  });
  pull.waitUntil(settled);
  // The runtime may end this request's work before the store has all, and then nothing above runs.
  pull.signal.addEventListener("abort", () => pull.waitUntil(lease.scheduleCheck(GRACE)));
  return toClient;
}

/**
 * What part of the blob upstream says it sent.
 * @throws RegistryError if that isn't what was requested.
 */
function rangeSent(pull: PullRequest, response: Response, requested: ByteRange | null): ContentRange {
  const sent = parseContentRange(response.headers.get("Content-Range"));
  if (sent && requested && isWhatWasRequested(sent, requested)) return sent;
  pull.waitUntil(response.body?.cancel() ?? Promise.resolve());
  const { failure } = new UpstreamError("unavailable", "upstream sent another range than the requested one");
  throw clientError(failure, "blob", pull.clientInfo);
}

/** A part may end earlier than requested, but it begins where it was requested to. */
function isWhatWasRequested({ first, last, size }: ContentRange, requested: ByteRange): boolean {
  if ("suffix" in requested)
    return size !== null && first === Math.max(0, size - requested.suffix) && last === size - 1;
  return first === requested.first && (requested.last === null || last <= requested.last);
}
