/** Bringing one blob from upstream into the store apart from any client's request. */
import { type Digest, parseDigest } from "../oci/digest.ts";
import { parseContentRange } from "../oci/range.ts";
import { UpstreamError } from "../registry/failure.ts";
import type { WaitUntil } from "../registry/wait-until.ts";
import { type ContentName, headContent, openContentFill, putContent } from "../store/content.ts";
import { DigestMismatch } from "../store/store.ts";
import type { UpstreamRequest } from "../upstream/request.ts";
import { declaredLength, isEncoded, isStorable, lengthSent } from "./body.ts";
import type { FillJob, FillOutcome } from "./fill-leases.ts";
import { accessForFill, upstreamOf } from "./repository-access.ts";
import { streamWithResume } from "./resume.ts";
import type { PullServices } from "./services.ts";

/** Brings a blob into the store; one that is there already is left as it is. */
export async function fillBlob(
  services: PullServices,
  job: FillJob,
  waitUntil: WaitUntil,
): Promise<FillOutcome> {
  const digest = parseDigest(job.digest);
  if (!digest) return "permanent";
  const fill = { services, job, name: nameOf(job, digest), waitUntil };
  try {
    if (await headContent(services.store, fill.name)) return "stored";
    const request = upstreamRequest(fill, "GET");
    const response = await services.upstream.fetch({ ...request, isRaw: true }, waitUntil);
    if (!isEncoded(response)) return await store(fill, request, response, declaredLength(response), true);
    // Only the digest tells whether the label is true: first the bytes as they were sent, then what they decode to. No
    // client may follow an attempt that is likely to be wrong.
    const outcome = await store(fill, request, response, lengthSent(response), false);
    if (outcome === "stored") return outcome;
    const decoded = await services.upstream.fetch(request, waitUntil);
    return await store(fill, request, decoded, declaredLength(decoded), false);
  } catch (error) {
    const kind = error instanceof UpstreamError ? error.failure.kind : null;
    if (kind === "missing" || kind === "denied") return "permanent";
    console.warn(`filling ${digest} failed: ${error}`);
    return "failed";
  }
}

/** Whether a job's blob is in the store. */
export async function isBlobStored({ store }: Pick<PullServices, "store">, job: FillJob): Promise<boolean> {
  const digest = parseDigest(job.digest);
  return digest !== null && (await headContent(store, nameOf(job, digest))) !== null;
}

interface Fill {
  services: PullServices;
  job: FillJob;
  name: ContentName;
  waitUntil: WaitUntil;
}

/** @param mayBeFollowed whether requests may read it while it is stored, where the store can do that. */
async function store(
  fill: Fill,
  request: UpstreamRequest,
  response: Response,
  declared: number | null,
  mayBeFollowed: boolean,
): Promise<FillOutcome> {
  const { services, name, waitUntil } = fill;
  const length = declared ?? (await measure(fill, response));
  const { body } = response;
  if (length === null || !isStorable(length) || !body) {
    await body?.cancel();
    return "permanent";
  }
  const source = { upstreamRequest: request, response, body, length, waitUntil, signal: null };
  const { readable, pumped: pumping, responses } = await streamWithResume(services, source);
  const started = services.now();
  const running = mayBeFollowed ? await openContentFill(services.store, name, length) : null;
  const storing = running ? running.write(readable) : putContent(services.store, name, readable);
  const [pumped, stored] = await Promise.allSettled([pumping, storing]);
  if (stored.status === "fulfilled") {
    const { digest, scope } = name;
    const { upstream, repository } = scope;
    const ms = services.now() - started;
    services.onFilled({ upstream, repository, digest, bytes: length, ms }, waitUntil);
    return "stored";
  }
  if (stored.reason instanceof DigestMismatch) {
    for (const each of responses) services.upstream.quarantine(each, request.upstream);
  }
  const reason = pumped.status === "rejected" ? pumped.reason : stored.reason;
  console.warn(`filling ${name.digest} failed: ${reason}`);
  return "failed";
}

/**
 * The length of a blob that upstream sends without one, from a HEAD or else from a range of one byte.
 * @param waiting the response it is needed for, which is cancelled if it can't be found out.
 */
async function measure(fill: Fill, waiting: Response): Promise<number | null> {
  const { upstream } = fill.services;
  try {
    const head = await upstream.fetch(upstreamRequest(fill, "HEAD"), fill.waitUntil);
    const length = declaredLength(head);
    if (length !== null) return length;
    const byte = await upstream.fetch(
      { ...upstreamRequest(fill, "GET"), range: "bytes=0-0" },
      fill.waitUntil,
    );
    await byte.body?.cancel();
    return parseContentRange(byte.headers.get("Content-Range"))?.size ?? null;
  } catch (error) {
    await waiting.body?.cancel();
    throw error;
  }
}

function upstreamRequest({ services, job }: Fill, method: UpstreamRequest["method"]): UpstreamRequest {
  const { repository, identity, via } = accessForFill(job);
  return {
    upstream: upstreamOf(services, job),
    repository,
    identity,
    via,
    method,
    path: `blobs/${job.digest}`,
  };
}

function nameOf(job: FillJob, digest: Digest): ContentName {
  return { kind: "blobs", digest, scope: job };
}
