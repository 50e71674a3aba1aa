/** Uploads of blobs: started, appended to, finished and cancelled (distribution-spec, "Pushing Blobs"). */
import { type Digest, parseDigest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { type AppendBound, BeyondBound, DigestMismatch, StoreFull } from "../store/store.ts";
import { linkBlob, overQuota } from "./link.ts";
import { mountBlob } from "./mounts.ts";
import { discard } from "./parts.ts";
import { policyFor } from "./policy.ts";
import type { Part } from "./records.ts";
import type { HostedRequest } from "./request.ts";
import type { PushServices } from "./services.ts";
import { appendBody, publishUpload, storeWhole, UploadTaken } from "./staging.ts";

/** Bytes that are read of a body that can't be stored, so that the client sees why. */
const DISCARDED = 1024 ** 3;

/** `POST`: a mount, a whole blob, or an upload of its own. @throws RegistryError */
export async function startUpload(services: PushServices, request: HostedRequest): Promise<Response> {
  const { search, target } = request;
  const mount = digestIn(search, "mount");
  if (mount !== null && (await mountBlob(services, request, mount))) return created(request, mount);
  const digest = digestIn(search, "digest");
  if (digest !== null && isOnePut(services, request)) {
    await pushWhole(services, request, digest);
    return created(request, digest);
  }
  const { hostedRecords, config } = services;
  const policy = policyFor(config.hosted, target.repository);
  const started = await hostedRecords.startUpload(target.repository, policy);
  if (started.kind === "over-quota") throw overQuota(policy);
  if (started.kind === "too-many") throw tooManyUploads();
  const { id } = started;
  if (digest === null) return progress(request, 202, id, 0);
  const finished = finishUpload(services, request, id);
  // Its client, which may have gone, doesn't know the upload, and so can't continue it.
  request.waitUntil(finished.catch(() => hostedRecords.cancelUpload(target.repository, id)).catch(() => {}));
  return finished;
}

/** `GET`: how far an upload is. @throws RegistryError */
export async function uploadStatus(
  services: PushServices,
  request: HostedRequest,
  id: string,
): Promise<Response> {
  const offset = await services.hostedRecords.findUpload(request.target.repository, id);
  if (offset === null) throw unknownUpload();
  return progress(request, 204, id, offset);
}

/** `PATCH`: appends. @throws RegistryError 416 where the content begins at another byte than the upload ends at. */
export async function appendToUpload(
  services: PushServices,
  request: HostedRequest,
  id: string,
): Promise<Response> {
  const claim = await claimUpload(services, request, id);
  if (claim instanceof Response) return claim;
  const offset = await append(services, request, id, claim);
  return progress(request, 202, id, offset ?? claim.offset);
}

/** `PUT`: appends what the body has, and finishes the upload. @throws RegistryError */
export async function finishUpload(
  services: PushServices,
  request: HostedRequest,
  id: string,
): Promise<Response> {
  const { hostedRecords, store } = services;
  const digest = digestIn(request.search, "digest");
  if (digest === null) throw new RegistryError(400, "DIGEST_INVALID", "the query has no digest");
  const claim = await claimUpload(services, request, id);
  if (claim instanceof Response) return claim;
  if (claim.offset === 0 && lengthOf(request) !== null && isOnePut(services, request)) {
    await pushWhole(services, request, digest, id);
    return created(request, digest);
  }
  await append(services, request, id, claim);
  await hostedRecords.reserve("blobs", digest);
  const parts = await hostedRecords.partsOf(id, claim.holder);
  if (parts === null) throw unknownUpload();
  try {
    const size = await publishUpload(store, id, parts, digest);
    await linkBlob(services, request.target.repository, { digest, size }, id);
  } catch (error) {
    if (!(error instanceof DigestMismatch)) throw error instanceof RegistryError ? error : failed(error);
    await hostedRecords.cancelUpload(request.target.repository, id);
    throw mismatch(digest);
  }
  return created(request, digest);
}

/** `DELETE`: gives an upload up. @throws RegistryError */
export async function cancelUpload(
  services: PushServices,
  { target }: HostedRequest,
  id: string,
): Promise<Response> {
  if (!(await services.hostedRecords.cancelUpload(target.repository, id))) throw unknownUpload();
  return new Response(null, { status: 204 });
}

/** Stores a body that is the whole blob natively, under its digest. */
async function pushWhole(
  services: PushServices,
  request: HostedRequest,
  digest: Digest,
  upload: string | null = null,
): Promise<void> {
  const length = lengthOf(request);
  if (length === null) throw new RegistryError(411, "SIZE_INVALID", "the request has no Content-Length");
  const { hostedRecords, config } = services;
  const body = request.body ?? new Blob([]).stream();
  const policy = policyFor(config.hosted, request.target.repository);
  if (policy.quota !== null && !(await hostedRecords.hasRoom({ digest, size: length }, policy))) {
    await discard(body, DISCARDED).catch(() => {});
    throw overQuota(policy);
  }
  await hostedRecords.reserve("blobs", digest);
  try {
    await storeWhole(services.store, digest, body, length);
  } catch (error) {
    await discard(body, DISCARDED).catch(() => {});
    throw error instanceof DigestMismatch ? mismatch(digest) : failed(error);
  }
  await linkBlob(services, request.target.repository, { digest, size: length }, upload);
}

/** Whether a whole blob is put under its digest at once. A blob larger than one put becomes an upload; in a store that appends, each one does. */
function isOnePut({ store }: PushServices, request: HostedRequest): boolean {
  return !store.uploads && (lengthOf(request) ?? 0) <= store.maximumPut;
}

/** @returns the response where the content begins at a wrong byte. */
async function claimUpload(services: PushServices, request: HostedRequest, id: string) {
  const { hostedRecords, config } = services;
  const { repository } = request.target;
  const policy = policyFor(config.hosted, repository);
  const start = startOf(request.headers.get("Content-Range"));
  const body = { start, length: lengthOf(request), digest: digestIn(request.search, "digest") };
  const claim = await hostedRecords.claimUpload(repository, id, body, policy);
  if (claim.kind === "unknown") throw unknownUpload();
  if (claim.kind === "over-quota") {
    if (request.body) await discard(request.body, DISCARDED).catch(() => {});
    throw overQuota(policy);
  }
  return claim.kind === "claimed" ? claim : progress(request, 416, id, claim.offset);
}

/** @returns the bytes that the upload has then; null if there was nothing to append. */
async function append(
  { hostedRecords, store, config }: PushServices,
  { body, headers, target, waitUntil }: HostedRequest,
  id: string,
  claim: { holder: string; offset: number; bound: AppendBound | null },
): Promise<number | null> {
  const length = lengthOf({ headers, body });
  if (!body || length === 0) return null;
  let offset: number | null = null;
  const policy = policyFor(config.hosted, target.repository);
  const onPart = async (part: Part) => {
    const added = await hostedRecords.addPart(id, claim.holder, part, policy);
    if (added.kind === "taken") throw new UploadTaken();
    if (added.kind === "over-quota") throw overQuota(policy);
    offset = added.offset;
  };
  const { bound } = claim;
  const appended = appendBody(store, id, claim.offset, { stream: body, length, bound }, onPart);
  // What has arrived is recorded even if the client has gone.
  waitUntil(appended.catch(() => {}));
  try {
    await appended;
  } catch (error) {
    const isBeyond = error instanceof BeyondBound;
    if (isBeyond || error instanceof StoreFull) await hostedRecords.cancelUpload(target.repository, id);
    await discard(body, DISCARDED).catch(() => {});
    if (isBeyond) throw overQuota(policy);
    throw error instanceof RegistryError ? error : failed(error);
  }
  return offset;
}

/** Bytes of the body; null for a body without a length. */
function lengthOf({ headers, body }: Pick<HostedRequest, "headers" | "body">): number | null {
  const length = headers.get("Content-Length");
  if (length !== null && /^\d+$/.test(length)) return Number(length);
  return body === null ? 0 : null;
}

/** The first byte of a Content-Range as uploads have it, `0-1023`; null where there is none. */
function startOf(header: string | null): number | null {
  if (header === null) return null;
  const start = Number(/^(?:bytes )?(\d+)-\d+(?:\/.*)?$/.exec(header)?.[1] ?? Number.NaN);
  if (!Number.isSafeInteger(start)) {
    throw new RegistryError(400, "BLOB_UPLOAD_INVALID", "Content-Range must have the form 0-1023");
  }
  return start;
}

function digestIn(search: URLSearchParams, name: string): Digest | null {
  const text = search.get(name);
  if (text === null) return null;
  const digest = parseDigest(text);
  if (!digest) throw new RegistryError(400, "DIGEST_INVALID", `${name} is not a sha256 or sha512 digest`);
  return digest;
}

/** How far an upload is, and where it is continued. */
function progress(request: HostedRequest, status: number, id: string, offset: number): Response {
  const { target, prefix } = request;
  return new Response(null, {
    status,
    headers: {
      Location: `${prefix}${target.path}/blobs/uploads/${id}`,
      Range: `0-${Math.max(0, offset - 1)}`,
      "Docker-Upload-UUID": id,
      "Content-Length": "0",
    },
  });
}

function created({ target, prefix }: HostedRequest, digest: Digest): Response {
  const headers = {
    Location: `${prefix}${target.path}/blobs/${digest}`,
    "Docker-Content-Digest": digest,
    "Content-Length": "0",
  };
  return new Response(null, { status: 201, headers });
}

/** Why content couldn't be stored. Where the client has gone, it is for the log only. */
function failed(error: unknown): RegistryError {
  if (error instanceof UploadTaken) {
    return new RegistryError(409, "BLOB_UPLOAD_INVALID", "another request continues this upload");
  }
  console.warn(`a push broke off: ${error}`);
  // With this code clients show the message at once, and don't try again.
  if (error instanceof StoreFull) return new RegistryError(413, "DENIED", "the mirror's disk is full");
  return new RegistryError(
    503,
    "UNAVAILABLE",
    "the content couldn't be stored; the mirror's log says why. Push again",
  );
}

function unknownUpload(): RegistryError {
  return new RegistryError(
    404,
    "BLOB_UPLOAD_UNKNOWN",
    "there is no such upload here, or it has expired: push again",
  );
}

function tooManyUploads(): RegistryError {
  return new RegistryError(
    429,
    "TOOMANYREQUESTS",
    "the repository has too many unfinished uploads: finish or cancel some, or wait a day until they expire",
  );
}

function mismatch(digest: Digest): RegistryError {
  return new RegistryError(400, "DIGEST_INVALID", `the content is not ${digest}`);
}
