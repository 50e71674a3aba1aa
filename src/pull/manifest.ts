/** Manifests, by tag and by digest. */

import type { CacheStatus } from "../oci/cachestatus.ts";
import type { Digest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { type Failure, failureOf, isTransient } from "../registry/failure.ts";
import type { TagName, TagRecord } from "../store/tag-records.ts";
import { clientError } from "./client-error.ts";
import { findManifest, remember } from "./content.ts";
import type { RepositoryAccess } from "./repository-access.ts";
import type { PullRequest } from "./request.ts";
import { fetchManifest, headManifest, resolveTag } from "./resolve.ts";
import type { Fetched, Resolution, ResolveMode, StoredManifest } from "./resolver.ts";
import {
  commonHeaders,
  contentHeaders,
  IMMUTABLE,
  isUnchanged,
  REVALIDATE,
  staleStatus,
  staleWarning,
} from "./response.ts";
import type { PullServices } from "./services.ts";
import { findStale } from "./stale.ts";

/** A manifest about to be answered; its bytes are null where a HEAD is answered without having them. */
interface Outcome {
  digest: Digest;
  mediaType: string;
  size: number;
  bytes: Uint8Array | null;
  status: CacheStatus;
}

/**
 * Answers a manifest by digest from what is held, else from upstream.
 * @throws RegistryError for what upstream doesn't have or can't give.
 */
export async function pullManifestByDigest(
  services: PullServices,
  pull: PullRequest,
  digest: Digest,
): Promise<Response> {
  const content = await contentOf(services, pull, digest);
  if ("failure" in content) throw clientError(content.failure, "manifest", pull.clientInfo);
  return answer(pull, content, { "Cache-Control": IMMUTABLE });
}

/**
 * Answers a manifest by tag: at once while the tag is fresh, else after upstream has confirmed it; and when upstream
 * fails, with what the tag last meant (`stale.ts`).
 * @throws RegistryError
 */
export async function pullManifestByTag(
  services: PullServices,
  pull: PullRequest,
  tag: string,
): Promise<Response> {
  const access = pull.access;
  const name = {
    upstream: access.upstream,
    repository: access.repository,
    tag,
    visibility: access.visibility,
  };
  const ttl = pull.target.upstream.tagTtl;
  const fresh = await services.tags.fresh(name, ttl);
  const known = fresh && (await meaningOf(services, pull, fresh.record, { servedBy: fresh.from }));
  if (known) return answer(pull, known, { "Cache-Control": REVALIDATE });

  // What a record leads to may be gone, here and upstream: then the tag itself has the last word.
  for (const mode of fresh ? (["refetch"] as const) : ([pull.method, "refetch"] as const)) {
    const resolution = await resolve(services, pull, tag, mode);
    if (!resolution.ok) return answerStale(services, pull, name, resolution);
    const { record, manifest, said } = resolution;
    const outcome = manifest
      ? fetched(services, access, manifest)
      : await meaningOf(services, pull, record, STATUS_OF[said]);
    if (!outcome) continue;
    pull.waitUntil(services.tags.remember(name, record, ttl));
    return answer(pull, outcome, { "Cache-Control": REVALIDATE });
  }
  throw new RegistryError(
    404,
    "MANIFEST_UNKNOWN",
    `upstream has nothing behind ${pull.target.repository}:${tag}`,
  );
}

/** What a resolved tag's answer says of itself, before it is known where the content comes from. */
const STATUS_OF: Record<"nothing" | "the same" | "something new", CacheStatus> = {
  nothing: { servedBy: "edge" },
  "the same": { servedBy: "upstream", forward: "stale", forwardStatus: 200 },
  "something new": { servedBy: "upstream", forward: "uri-miss", forwardStatus: 200 },
};

/** @throws RegistryError where what the tag last meant can't be served. */
async function answerStale(
  services: PullServices,
  pull: PullRequest,
  name: TagName,
  { failure, record }: { failure: Failure; record: TagRecord | null },
): Promise<Response> {
  if (!isTransient(failure.kind)) await services.tags.forget(name);
  const stale = await findStale(services, pull.access, record, failure, pull.clientInfo);
  if (!stale || !record) throw clientError(failure, "manifest", pull.clientInfo);
  const warning = staleWarning(failure, "what the tag meant", services.tags.age(record));
  const responseHeaders = { "Cache-Control": REVALIDATE, Warning: warning };
  return answer(pull, outcomeOf(stale, staleStatus(failure)), responseHeaders);
}

/**
 * What a tag's record leads to; null if that is nowhere to be had. A HEAD needs no more than the record.
 * @throws RegistryError if it is to be had but can't be got.
 */
async function meaningOf(
  services: PullServices,
  pull: PullRequest,
  record: TagRecord,
  status: CacheStatus,
): Promise<Outcome | null> {
  if (pull.method === "HEAD") return { ...record, bytes: null, status };
  const content = await contentOf(services, pull, record.digest);
  if (!("failure" in content)) return { ...content, status: { ...status, ...content.status } };
  if (content.failure.kind === "missing") return null;
  throw clientError(content.failure, "manifest", pull.clientInfo);
}

/** A manifest's content by digest, wherever it is to be had. */
async function contentOf(
  services: PullServices,
  pull: PullRequest,
  digest: Digest,
): Promise<Outcome | { failure: Failure }> {
  const access = pull.access;
  const held = await findManifest(services, access, digest);
  if (held) return outcomeOf(held.manifest, { servedBy: held.from });
  if (pull.method === "HEAD") {
    const head = await headByDigest(services, pull, access, digest);
    if (head) return head;
  }
  const answered = await fetchByDigest(services, pull, access, digest);
  return answered.ok ? fetched(services, access, answered.manifest) : answered;
}

/** What upstream says of a manifest to a HEAD, which Docker Hub doesn't count; null where it has to be fetched to know. */
async function headByDigest(
  services: PullServices,
  pull: PullRequest,
  access: RepositoryAccess,
  digest: Digest,
): Promise<Outcome | { failure: Failure } | null> {
  try {
    const head = await headManifest(services, access, digest, pull.waitUntil);
    const status: CacheStatus = { servedBy: "upstream", forward: "uri-miss", forwardStatus: 200 };
    return head && { ...head, bytes: null, status };
  } catch (error) {
    return { failure: failureOf(error) };
  }
}

function fetched(services: PullServices, access: RepositoryAccess, manifest: StoredManifest): Outcome {
  remember(services, access, manifest);
  return outcomeOf(manifest, { servedBy: "upstream", forward: "uri-miss", forwardStatus: 200, stored: true });
}

function outcomeOf(manifest: StoredManifest, status: CacheStatus): Outcome {
  return { ...manifest, size: manifest.bytes.byteLength, status };
}

async function resolve(
  services: PullServices,
  pull: PullRequest,
  tag: string,
  mode: ResolveMode,
): Promise<Resolution> {
  const access = pull.access;
  return throughResolver(
    access,
    () => services.resolverOf(access).resolve(access, tag, mode),
    () => resolveTag(services, access, tag, mode, pull.waitUntil),
  );
}

async function fetchByDigest(
  services: PullServices,
  pull: PullRequest,
  access: RepositoryAccess,
  digest: Digest,
): Promise<Fetched> {
  return throughResolver(
    access,
    () => services.resolverOf(access).fetchManifest(access, digest),
    () => fetchManifest(services, access, digest, pull.waitUntil),
  );
}

/**
 * Asks the repository's resolver, or alone if that can't be reached: coalescing saves requests and decides nothing. A user
 * with a login of their own sends their own request: no other client may have its response.
 */
async function throughResolver<Answer>(
  { identity }: RepositoryAccess,
  together: () => Promise<Answer>,
  alone: () => Promise<Answer>,
): Promise<Answer> {
  if (identity.kind === "user") return alone();
  try {
    return await together();
  } catch (error) {
    console.warn(`a repository's resolver failed: ${error}`);
    return alone();
  }
}

function answer(pull: PullRequest, outcome: Outcome, responseHeaders: Record<string, string>): Response {
  const headers = {
    ...commonHeaders(pull.target, outcome.status),
    ...contentHeaders(outcome.digest),
    ...responseHeaders,
    "Content-Type": outcome.mediaType,
  };
  if (isUnchanged(pull.headers, outcome.digest)) return new Response(null, { status: 304, headers });
  const body = pull.method === "GET" ? outcome.bytes : null;
  return new Response(body, { headers: { ...headers, "Content-Length": String(outcome.size) } });
}
