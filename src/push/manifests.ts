/** Manifests of hosted repositories: pushed, read and deleted (distribution-spec, "Pushing Manifests", "Deleting Manifests"). */
import * as v from "valibot";
import { contentHeaders, isUnchanged, REVALIDATE } from "../oci/content-response.ts";
import type { Digest } from "../oci/digest.ts";
import { digestOf, digestParts } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { parseJson } from "../oci/json.ts";
import { isForeign, MAXIMUM_MANIFEST, type Manifest, readManifest } from "../oci/manifest.ts";
import { essence, OCI_INDEX, OCI_MANIFEST } from "../oci/mediatypes.ts";
import { isTag } from "../oci/names.ts";
import { hostedKey } from "../store/store.ts";
import { overQuota } from "./link.ts";
import { policyFor } from "./policy.ts";
import type { ManifestRecord, NewManifest, Policy, PutManifestResult } from "./records.ts";
import type { HostedRequest } from "./request.ts";
import type { PushServices } from "./services.ts";
import type { Reference } from "./target.ts";

/** Tags that one push may set by `?tag=`. */
const MOST_TAGS = 50;
/** Characters of a media type: two names of 127 (RFC 6838 §4.2). */
const LONGEST_TYPE = 255;

/** @throws RegistryError */
export async function serveManifest(
  { hostedRecords, store }: PushServices,
  { method, headers, target }: HostedRequest,
  reference: Reference,
): Promise<Response> {
  const record = await hostedRecords.findManifest(target.repository, reference);
  if (!record) throw unknown(reference);
  const responseHeaders = {
    ...contentHeaders(record.digest),
    "Cache-Control": REVALIDATE,
    "Content-Type": record.mediaType,
  };
  if (isUnchanged(headers, record.digest))
    return new Response(null, { status: 304, headers: responseHeaders });
  const object = method === "HEAD" ? null : await store.get(hostedKey("manifests", record.digest));
  if (method !== "HEAD" && !object) throw lost(record);
  return new Response(object?.body ?? null, {
    headers: { ...responseHeaders, "Content-Length": String(record.size) },
  });
}

/** @throws RegistryError */
export async function putManifest(
  { hostedRecords, store, config }: PushServices,
  request: HostedRequest,
  reference: Reference,
): Promise<Response> {
  const { target, prefix } = request;
  const bytes = await readBody(request);
  const algorithm = "digest" in reference ? digestParts(reference.digest).algorithm : "sha256";
  const digest = await digestOf(bytes, algorithm);
  if ("digest" in reference && reference.digest !== digest) {
    throw new RegistryError(400, "DIGEST_INVALID", `the manifest's digest is ${digest}`);
  }
  request.refuseRecalled(digest);
  const tags = "tag" in reference ? [reference.tag] : tagsIn(request.search);
  const manifest = newManifest(bytes, digest, essence(request.headers.get("Content-Type")));
  const policy = policyFor(config.hosted, target.repository);
  if (!(await hostedRecords.reserveManifest(target.repository, manifest, policy))) throw overQuota(policy);
  await store.put(hostedKey("manifests", digest), bytes, { digest, contentType: manifest.mediaType });
  const result = await hostedRecords.putManifest(target.repository, manifest, tags, policy);
  if (result.kind !== "stored") throw refusal(result, policy);
  const headers = new Headers({
    Location: `${prefix}${target.path}/manifests/${digest}`,
    "Docker-Content-Digest": digest,
    "Content-Length": "0",
  });
  if (manifest.subject !== null) headers.set("OCI-Subject", manifest.subject);
  if ("digest" in reference) for (const tag of tags) headers.append("OCI-Tag", tag);
  return new Response(null, { status: 201, headers });
}

/** Deletes a tag, or a manifest with all its tags. @throws RegistryError */
export async function deleteManifest(
  { hostedRecords, config }: PushServices,
  { target: { repository } }: HostedRequest,
  reference: Reference,
): Promise<Response> {
  const policy = policyFor(config.hosted, repository);
  const result =
    "tag" in reference
      ? await hostedRecords.deleteTag(repository, reference.tag, policy)
      : await hostedRecords.deleteManifest(repository, reference.digest, policy);
  if (result === "immutable") throw immutable();
  if (result === "unknown") throw unknown(reference);
  return new Response(null, { status: 202, headers: { "Content-Length": "0" } });
}

/** @throws RegistryError 413 for one that is too large; the rest of it isn't read. */
async function readBody({ body }: HostedRequest): Promise<Uint8Array> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  for await (const chunk of body ?? []) {
    size += chunk.byteLength;
    if (size > MAXIMUM_MANIFEST) {
      throw new RegistryError(413, "DENIED", `a manifest has ${MAXIMUM_MANIFEST} bytes at most`);
    }
    chunks.push(chunk as Uint8Array<ArrayBuffer>);
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

const Annotated = v.object({ annotations: v.optional(v.record(v.string(), v.string()), {}) });

/** @throws RegistryError 400 for what is no manifest, or says that it is of another type than the client does. */
function newManifest(bytes: Uint8Array, digest: Digest, sent: string): NewManifest {
  const manifest = readManifest(bytes);
  const annotated = parseJson(Annotated, bytes);
  if (!manifest || !annotated) {
    throw new RegistryError(400, "MANIFEST_INVALID", "the body is not an image manifest or index");
  }
  const fallback = manifest.kind === "index" ? OCI_INDEX : OCI_MANIFEST;
  const mediaType = manifest.mediaType ?? (sent || fallback);
  if (sent !== "" && sent !== mediaType) {
    throw new RegistryError(
      400,
      "MANIFEST_INVALID",
      `the manifest is of type ${mediaType}, its Content-Type is ${sent}`,
    );
  }
  const artifactType = manifest.artifactType ?? manifest.config?.mediaType ?? null;
  if (artifactType !== null && artifactType.length > LONGEST_TYPE) {
    throw new RegistryError(
      400,
      "MANIFEST_INVALID",
      "the manifest's artifact type is too long for a media type",
    );
  }
  return {
    digest,
    mediaType,
    size: bytes.byteLength,
    references: referencesOf(manifest),
    subject: manifest.subject?.digest ?? null,
    artifactType,
    annotations: annotated.annotations,
  };
}

function referencesOf({ config, layers, manifests }: Manifest): NewManifest["references"] {
  const blobs = [...(config ? [config] : []), ...layers].filter((each) => !isForeign(each));
  return [
    ...blobs.map(({ digest }) => ({ kind: "blobs" as const, digest })),
    ...manifests.map(({ digest }) => ({ kind: "manifests" as const, digest })),
  ];
}

/** @throws RegistryError */
function tagsIn(search: URLSearchParams): string[] {
  const tags = search.getAll("tag");
  const wrong = tags.find((tag) => !isTag(tag));
  if (wrong !== undefined)
    throw new RegistryError(400, "MANIFEST_INVALID", "a tag of the query is not a valid tag");
  if (tags.length > MOST_TAGS) {
    throw new RegistryError(414, "MANIFEST_INVALID", `one push can set ${MOST_TAGS} tags at most`);
  }
  return tags;
}

function refusal(result: Exclude<PutManifestResult, { kind: "stored" }>, policy: Policy): RegistryError {
  switch (result.kind) {
    case "missing": {
      const what = [...new Set(result.references.map(({ kind }) => kind))].join(" and ");
      const digests = result.references.map(({ digest }) => digest).join(", ");
      return new RegistryError(
        404,
        "MANIFEST_BLOB_UNKNOWN",
        `the manifest needs ${what} that aren't in this repository: ${digests}`,
      );
    }
    case "immutable":
      return immutable(result.tag);
    case "over-quota":
      return overQuota(policy);
  }
}

function immutable(tag?: string): RegistryError {
  const what = tag === undefined ? "this repository" : `the tag ${tag}`;
  return new RegistryError(403, "DENIED", `${what} is immutable here (HOSTED_IMMUTABLE)`);
}

function unknown(reference: Reference): RegistryError {
  const name = "tag" in reference ? reference.tag : reference.digest;
  return new RegistryError(404, "MANIFEST_UNKNOWN", `${name} is not in this repository`);
}

function lost({ digest }: ManifestRecord): RegistryError {
  return new RegistryError(503, "UNAVAILABLE", `the store has lost ${digest}: push it again`);
}
