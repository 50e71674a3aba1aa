/** Tags and manifests from upstream. Runs in a repository's resolver, which coalesces simultaneous requests. */

import { matchesAny } from "../access/patterns.ts";
import { type Digest, parseDigest, wellKnown } from "../oci/digest.ts";
import { artifactConfig } from "../oci/manifest.ts";
import { essence, isManifestType, MANIFEST_ACCEPT } from "../oci/mediatypes.ts";
import { failureOf, isTransient, mayBeHeadAlone } from "../registry/failure.ts";
import type { WaitUntil } from "../registry/wait-until.ts";
import type { NamedManifest } from "../store/tag-history.ts";
import type { TagName, TagRecord } from "../store/tag-records.ts";
import type { UpstreamRequest } from "../upstream/request.ts";
import { declaredLength } from "./body.ts";
import {
  acceptManifest,
  findManifest,
  remember,
  storeAgain,
  storeManifest,
  WrongContent,
} from "./content.ts";
import { fillQueueOf, type QueueServices } from "./lease.ts";
import { type RepositoryAccess, upstreamOf } from "./repository-access.ts";
import type {
  AgreedManifest,
  Fetched,
  Resolution,
  ResolveMode,
  StoredManifest,
  TagChange,
} from "./resolver.ts";
import type { PullServices } from "./services.ts";

/**
 * Resolves a tag. A known tag costs one HEAD, which Docker Hub doesn't count, and a GET only if it has moved and its
 * content is needed; an unknown one costs the same request as the client's.
 */
export async function resolveTag(
  services: PullServices,
  access: RepositoryAccess,
  tag: string,
  mode: ResolveMode,
  waitUntil: WaitUntil,
): Promise<Resolution> {
  const upstream = upstreamOf(services, access);
  const { repository } = access;
  const name: TagName = { upstream: access.upstream, repository, tag, visibility: access.visibility };
  const before = await services.tags.read(name);
  if (mode !== "refetch" && before && services.tags.age(before) < upstream.tagTtl * 1000) {
    return { ok: true, record: before, manifest: null, change: "unchecked" };
  }
  const compare = (digest: Digest): TagChange => (digest === before?.digest ? "unchanged" : "changed");
  let head: TagRecord | null = null;
  try {
    const isHeadOf = mode === "HEAD" || (mode === "GET" && before !== null);
    head = isHeadOf ? await headManifest(services, access, tag, waitUntil) : null;
    if (head && (mode === "HEAD" || head.digest === before?.digest)) {
      await confirm(services, name, head, before, waitUntil);
      return { ok: true, record: head, manifest: null, change: compare(head.digest) };
    }
    const manifest = await getManifest(services, access, tag, null, waitUntil);
    const record = recordOf(manifest, services.now());
    await confirm(services, name, record, before, waitUntil);
    return { ok: true, record, manifest, change: compare(record.digest) };
  } catch (error) {
    const failure = failureOf(error);
    if (failure.kind === "missing" && before && isKept(services, access)) {
      const now = services.now();
      const record = { ...before, confirmed: now, gone: before.gone ?? now };
      await confirm(services, name, record, before, waitUntil);
      return { ok: true, record, manifest: null, change: "deleted" };
    }
    // A tag that is gone or no longer public must not come back as stale at the next outage.
    if (!isTransient(failure.kind)) await services.tags.end(name, before);
    if (failure.kind === "missing" && before) {
      services.traffic?.see({ name, named: null, at: services.now() }, waitUntil);
    }
    const isOpen = isTransient(failure.kind) && head === null;
    const agreed = isOpen ? await resolveByQuorum(services, access, tag, waitUntil) : null;
    return { ok: false, failure, record: before, agreed };
  }
}

/**
 * Writes what upstream says that a tag names, and has it recorded in the tag's history. An unchanged record is written once a
 * day, so that the history gets what the ledger missed.
 */
async function confirm(
  services: PullServices,
  name: TagName,
  record: TagRecord,
  before: TagRecord | null,
  waitUntil: WaitUntil,
): Promise<void> {
  if (!(await services.tags.write(name, record, before))) return;
  services.traffic?.see({ name, named: namedBy(record), at: record.confirmed }, waitUntil);
}

/** What a tag names upstream by its record; null for one that was deleted. */
export function namedBy({ digest, mediaType, size, gone }: TagRecord): NamedManifest | null {
  return gone === undefined ? { digest, mediaType, size } : null;
}

/** Whether a tag that upstream has deleted is served on. What isn't public is given by upstream alone. */
function isKept({ config }: PullServices, { upstream, repository, identity }: RepositoryAccess): boolean {
  return identity.kind === "anonymous" && matchesAny(config.keep, `${upstream}/${repository}`);
}

/** What a public tag names by TAG_QUORUM. No tag of a repository that PRIVATE names is requested of the sources. */
async function resolveByQuorum(
  services: PullServices,
  access: RepositoryAccess,
  tag: string,
  waitUntil: WaitUntil,
): Promise<AgreedManifest | null> {
  const { upstream, repository, identity, via } = access;
  if (identity.kind !== "anonymous" || matchesAny(services.config.private, `${upstream}/${repository}`)) {
    return null;
  }
  const request = { upstream: upstreamOf(services, access), repository, via };
  const agreement = await services.upstream.findAgreement(request, tag, waitUntil);
  if (!agreement) return null;
  const { digest, votes, sources } = agreement;
  const fetched = await fetchManifest(services, access, digest, waitUntil, { sourcesFirst: true });
  return fetched.ok ? { manifest: fetched.manifest, votes, sources } : null;
}

/** Fetches a manifest by digest, unless another request has stored it meanwhile. */
export async function fetchManifest(
  services: PullServices,
  access: RepositoryAccess,
  digest: Digest,
  waitUntil: WaitUntil,
  options: Pick<UpstreamRequest, "sourcesFirst"> = {},
): Promise<Fetched> {
  try {
    const stored = await findManifest(services, access, digest);
    if (stored) {
      // The caller found nothing in the store: a manifest that is only in memory has been lost there.
      if (stored.from === "memory") await storeAgain(services, access, stored.manifest);
      return { ok: true, manifest: stored.manifest };
    }
    const manifest = await getManifest(services, access, digest, digest, waitUntil, options);
    return { ok: true, manifest };
  } catch (error) {
    return { ok: false, failure: failureOf(error) };
  }
}

async function getManifest(
  services: PullServices,
  access: RepositoryAccess,
  reference: string,
  expected: Digest | null,
  waitUntil: WaitUntil,
  options: Pick<UpstreamRequest, "sourcesFirst"> = {},
): Promise<StoredManifest> {
  const { repository, identity, via } = access;
  const upstream = upstreamOf(services, access);
  const path = `manifests/${reference}`;
  const method = "GET" as const;
  const upstreamRequest = {
    upstream,
    repository,
    identity,
    via,
    method,
    path,
    accept: MANIFEST_ACCEPT,
    ...options,
  };
  const response = await services.upstream.fetch(upstreamRequest, waitUntil);
  let manifest: StoredManifest;
  try {
    manifest = await acceptManifest(response, expected, `${repository}/${path}`);
  } catch (error) {
    if (error instanceof WrongContent) services.upstream.quarantine(response, upstream);
    throw error;
  }
  remember(services, access, manifest);
  await storeManifest(services, access, manifest);
  waitUntil(fillConfig(services, access, manifest));
  return manifest;
}

/**
 * Has an artifact's config filled in the background: its clients don't request it, but without it the artifact isn't
 * complete when upstream is down.
 */
async function fillConfig(
  services: QueueServices,
  access: RepositoryAccess,
  { bytes }: StoredManifest,
): Promise<void> {
  const config = bytes.byteLength > SMALL ? null : artifactConfig(bytes);
  if (config === null || config.size > SMALL || wellKnown(config.digest) !== null) return;
  const turn = await fillQueueOf(services, access, config.digest).tryAcquire();
  if (typeof turn === "object") await turn.scheduleCheck(0);
}

/** Bytes of the largest config that is fetched although no client requested it, and of the largest manifest it is looked for in. */
const SMALL = 256 * 1024;

export type HeadServices = Pick<PullServices, "config" | "now" | "upstream">;

/**
 * Resolves a tag, or finds out the size of a manifest, by HEAD.
 * @returns null if upstream doesn't support HEAD, or its response lacks a header that clients need.
 */
export async function headManifest(
  services: HeadServices,
  access: RepositoryAccess,
  reference: string,
  waitUntil: WaitUntil,
): Promise<TagRecord | null> {
  const { repository, identity, via } = access;
  const upstream = upstreamOf(services, access);
  const path = `manifests/${reference}`;
  let response: Response;
  try {
    const upstreamRequest = {
      upstream,
      repository,
      identity,
      via,
      method: "HEAD" as const,
      path,
      accept: MANIFEST_ACCEPT,
    };
    response = await services.upstream.fetch(upstreamRequest, waitUntil);
  } catch (error) {
    if (mayBeHeadAlone(error)) return null;
    throw error;
  }
  const digest = parseDigest(response.headers.get("Docker-Content-Digest") ?? "");
  const mediaType = essence(response.headers.get("Content-Type"));
  const size = declaredLength(response);
  const requested = parseDigest(reference);
  if (!digest || !size || !isManifestType(mediaType) || (requested !== null && requested !== digest))
    return null;
  return { digest, mediaType, size, confirmed: services.now() };
}

function recordOf({ digest, mediaType, bytes }: StoredManifest, confirmed: number): TagRecord {
  return { digest, mediaType, size: bytes.byteLength, confirmed };
}
