/** Manifests, by tag and by digest. */

import type { CacheStatus } from "../oci/cachestatus.ts";
import { contentHeaders, IMMUTABLE, isUnchanged, REVALIDATE } from "../oci/content-response.ts";
import type { Digest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { type Failure, failureOf, isTransient } from "../registry/failure.ts";
import type { TagName, TagRecord } from "../store/tag-records.ts";
import { clientError } from "./client-error.ts";
import { findManifest, remember } from "./content.ts";
import type { RepositoryAccess } from "./repository-access.ts";
import type { PullRequest } from "./request.ts";
import { fetchManifest, type HeadServices, headManifest } from "./resolve.ts";
import type {
  AgreedManifest,
  Fetched,
  Resolution,
  ResolveMode,
  StoredManifest,
  TagChange,
} from "./resolver.ts";
import { commonHeaders, quorumStatus, staleStatus, staleWarning } from "./response.ts";
import type { PullServices } from "./services.ts";
import { findStale } from "./stale.ts";
import { resolveByPolicy } from "./tag-policy.ts";

/** A manifest about to be served; its bytes are null where a HEAD doesn't need them. */
interface Outcome {
  digest: Digest;
  mediaType: string;
  size: number;
  bytes: Uint8Array | null;
  status: CacheStatus;
}

/**
 * Serves a manifest by digest from the store, else from upstream.
 * @throws RegistryError for what upstream doesn't have or can't give.
 */
export async function pullManifestByDigest(
  services: PullServices,
  pull: PullRequest,
  digest: Digest,
): Promise<Response> {
  const content = await contentOf(services, pull, digest);
  if ("failure" in content) throw clientError(content.failure, "manifest", pull.clientInfo);
  return respond(pull, content, { "Cache-Control": IMMUTABLE });
}

/**
 * Serves a manifest by tag: at once while the tag is fresh, else after upstream has confirmed it; and when upstream
 * fails, the manifest that the tag last named (`stale.ts`).
 * @throws RegistryError
 */
export async function pullManifestByTag(
  services: PullServices,
  pull: PullRequest,
  tag: string,
): Promise<Response> {
  const { access } = pull;
  const { day } = pull.target;
  const name = {
    upstream: access.upstream,
    repository: access.repository,
    // No tag has such a name.
    tag: day === null ? tag : `${tag}@${day}`,
    visibility: access.visibility,
  };
  const ttl = pull.target.upstream.tagTtl;
  const fresh = await services.tags.fresh(name, ttl);
  const known = fresh && (await outcomeOfRecord(services, pull, fresh.record, { servedBy: fresh.from }));
  if (known) return respond(pull, known, headersOfTag(pull, fresh.record));

  // The manifest that a record names may be gone, here and upstream: then only resolving the tag again can tell.
  for (const mode of fresh ? (["refetch"] as const) : ([pull.method, "refetch"] as const)) {
    const resolution = await resolve(services, pull, tag, mode);
    if (!resolution.ok) {
      const { failure, record: before, agreed } = resolution;
      // A mirror that this one is a relay of takes what it is given for confirmed.
      return agreed && !pull.clientInfo.isForAnonymous
        ? serveAgreed(services, pull, agreed, quorumStatus(failure, before !== null), failure)
        : serveStale(services, pull, name, resolution);
    }
    const { record, manifest, change, isPast = false } = resolution;
    const outcome = manifest
      ? fetched(services, access, manifest)
      : await outcomeOfRecord(services, pull, record, STATUS_OF[change], isPast);
    if (!outcome && isPast) throw lost(pull, tag, record);
    if (!outcome) continue;
    pull.waitUntil(services.tags.remember(name, record, ttl));
    return respond(pull, outcome, headersOfTag(pull, record));
  }
  throw new RegistryError(
    404,
    "MANIFEST_UNKNOWN",
    `upstream has nothing behind ${pull.target.repository}:${tag}`,
  );
}

/** Clients show the Warning to people (distribution spec, "Warnings"). */
function headersOfTag({ access }: PullRequest, { gone }: TagRecord): Record<string, string> {
  if (gone === undefined) return { "Cache-Control": REVALIDATE };
  const found = new Date(gone).toISOString().slice(0, 10);
  const text = `this tag of ${access.upstream}/${access.repository} was deleted upstream, as was found on ${found}; this mirror serves it on`;
  return { "Cache-Control": REVALIDATE, Warning: `299 - "${text}"` };
}

/** What a tag named before may be gone: neither stored nor upstream any more. */
function lost({ target, access }: PullRequest, tag: string, { digest }: TagRecord): RegistryError {
  const when = target.day === null ? "is served with, by COOLDOWN" : `named on ${target.day}`;
  const message = `${digest}, which ${access.upstream}/${access.repository}:${tag} ${when}, is neither stored nor upstream any more`;
  return new RegistryError(404, "MANIFEST_UNKNOWN", message);
}

/** The Cache-Status of a resolved tag, before it is known where the content comes from. */
const STATUS_OF: Record<TagChange, CacheStatus> = {
  unchecked: { servedBy: "edge" },
  unchanged: { servedBy: "upstream", forward: "stale", forwardStatus: 200 },
  deleted: { servedBy: "stale", forward: "stale", forwardStatus: 404 },
  changed: { servedBy: "upstream", forward: "uri-miss", forwardStatus: 200 },
};

/** @throws RegistryError where the manifest that the tag last named can't be served. */
async function serveStale(
  services: PullServices,
  pull: PullRequest,
  name: TagName,
  { failure, record }: { failure: Failure; record: TagRecord | null },
): Promise<Response> {
  if (!isTransient(failure.kind)) await services.tags.forget(name);
  const stale = await findStale(services, pull.access, record, failure, pull.clientInfo);
  if (!stale || !record) throw clientError(failure, "manifest", pull.clientInfo);
  const warning = staleWarning(failure, "what the tag named", services.tags.age(record));
  const responseHeaders = { "Cache-Control": REVALIDATE, Warning: warning };
  return respond(pull, outcomeOf(stale, staleStatus(failure)), responseHeaders);
}

/** Serves what other sources agree that the tag names, marked as such, and remembers no more than the content. */
function serveAgreed(
  services: PullServices,
  pull: PullRequest,
  { manifest, votes, sources }: AgreedManifest,
  status: CacheStatus,
  { message }: Failure,
): Response {
  remember(services, pull.access, manifest);
  const by = `the tag is resolved by the agreement of ${votes} of ${sources} sources`;
  return respond(pull, outcomeOf(manifest, status), {
    "Cache-Control": REVALIDATE,
    Warning: `299 - "${message}; ${by}"`,
  });
}

/**
 * The manifest that a tag's record names; null if it exists nowhere. A HEAD needs no more than the record.
 * @param isPast whether upstream says nothing of it any more, so that it has to be looked for.
 * @throws RegistryError if upstream fails.
 */
async function outcomeOfRecord(
  services: PullServices,
  pull: PullRequest,
  record: TagRecord,
  status: CacheStatus,
  isPast = false,
): Promise<Outcome | null> {
  const isKept = record.gone !== undefined;
  if (pull.method === "HEAD" && !isPast && !isKept) return { ...record, bytes: null, status };
  const content = await contentOf(services, pull, record.digest);
  const servedBy = isKept ? ({ servedBy: "stale" } as const) : {};
  if (!("failure" in content)) return { ...content, status: { ...status, ...content.status, ...servedBy } };
  if (content.failure.kind === "missing") return null;
  throw clientError(content.failure, "manifest", pull.clientInfo);
}

/** A manifest by digest, from the store or from upstream. */
async function contentOf(
  services: PullServices,
  pull: PullRequest,
  digest: Digest,
): Promise<Outcome | { failure: Failure }> {
  const access = pull.access;
  const stored = await findManifest(services, access, digest);
  if (stored) return outcomeOf(stored.manifest, { servedBy: stored.from });
  if (pull.method === "HEAD") {
    const head = await headByDigest(services, pull, access, digest);
    if (head) return head;
  }
  const result = await fetchByDigest(services, pull, access, digest);
  return result.ok ? fetched(services, access, result.manifest) : result;
}

/** A manifest's type and size from a HEAD, which Docker Hub doesn't count; null where only a GET can tell. */
async function headByDigest(
  services: HeadServices,
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

function fetched(
  services: Pick<PullServices, "manifests">,
  access: RepositoryAccess,
  manifest: StoredManifest,
): Outcome {
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
  const { access } = pull;
  const { day } = pull.target;
  return throughResolver(
    access,
    () => services.resolverOf(access).resolve(access, tag, mode, day),
    () => resolveByPolicy(services, access, { tag, mode, day }, pull.waitUntil),
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
 * Uses the repository's resolver, or goes upstream directly if that fails: coalescing saves requests and decides nothing.
 * A user with a login of their own has a request of their own: no other client may have its response.
 */
async function throughResolver<Result>(
  { identity }: RepositoryAccess,
  together: () => Promise<Result>,
  alone: () => Promise<Result>,
): Promise<Result> {
  if (identity.kind === "user") return alone();
  try {
    return await together();
  } catch (error) {
    console.warn(`a repository's resolver failed: ${error}`);
    return alone();
  }
}

function respond(pull: PullRequest, outcome: Outcome, responseHeaders: Record<string, string>): Response {
  const headers = {
    ...commonHeaders(pull, outcome.status),
    ...contentHeaders(outcome.digest),
    ...responseHeaders,
    "Content-Type": outcome.mediaType,
  };
  if (isUnchanged(pull.headers, outcome.digest)) return new Response(null, { status: 304, headers });
  const body = pull.method === "GET" ? outcome.bytes : null;
  return new Response(body, { headers: { ...headers, "Content-Length": String(outcome.size) } });
}
