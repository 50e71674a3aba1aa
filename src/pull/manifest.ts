/** Manifests, by tag and by digest. */
import type { TagName, TagRecord } from "../cache/tags.ts";
import { RegistryError } from "../errors.ts";
import type { CacheStatus } from "../oci/cachestatus.ts";
import type { Digest } from "../oci/digest.ts";
import { type Failure, failureOf, isTransient } from "../registry/failure.ts";
import type { Target } from "../routing/target.ts";
import {
  commonHeadings,
  contentHeadings,
  IMMUTABLE,
  isUnchanged,
  type Pull,
  REVALIDATE,
  staleStatus,
  staleWarning,
} from "./answer.ts";
import { findManifest, type HeldManifest, remember } from "./content.ts";
import type { Mirror } from "./mirror.ts";
import { type Place, placeOf, sphereOf } from "./place.ts";
import { refusal } from "./refusal.ts";
import {
  type Fetched,
  fetchManifest,
  headManifest,
  type Resolution,
  resolveTag,
  type TagWish,
} from "./resolve.ts";
import { resolverOf } from "./resolver.ts";
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
  mirror: Mirror,
  pull: Pull,
  target: Target,
  digest: Digest,
): Promise<Response> {
  const content = await contentOf(mirror, pull, target, digest);
  if ("failure" in content) throw refusal(content.failure, "manifest", pull.asker);
  return answer(pull, target, content, { "Cache-Control": IMMUTABLE });
}

/**
 * Answers a manifest by tag: at once while the tag is fresh, else after upstream has confirmed it; and when upstream
 * fails, with what the tag last meant (`stale.ts`).
 * @throws RegistryError
 */
export async function pullManifestByTag(
  mirror: Mirror,
  pull: Pull,
  target: Target,
  tag: string,
): Promise<Response> {
  const place = placeOf(target, pull);
  const name = { upstream: place.upstream, repository: place.repository, tag, sphere: sphereOf(place) };
  const ttl = target.upstream.tagTtl;
  const fresh = await mirror.tags.fresh(name, ttl);
  const known = fresh && (await meaningOf(mirror, pull, target, fresh.record, { servedBy: fresh.from }));
  if (known) return answer(pull, target, known, { "Cache-Control": REVALIDATE });

  // What a record leads to may be gone, here and upstream: then the tag itself has the last word.
  for (const wish of fresh ? (["anew"] as const) : ([pull.method, "anew"] as const)) {
    const resolution = await resolve(mirror, pull, target, tag, wish);
    if (!resolution.ok) return answerStale(mirror, pull, target, name, resolution);
    const { record, manifest, said } = resolution;
    const outcome = manifest
      ? fetched(mirror, place, manifest)
      : await meaningOf(mirror, pull, target, record, STATUS_OF[said]);
    if (!outcome) continue;
    pull.background(mirror.tags.remember(name, record, ttl));
    return answer(pull, target, outcome, { "Cache-Control": REVALIDATE });
  }
  throw new RegistryError(404, "MANIFEST_UNKNOWN", `upstream has nothing behind ${target.repository}:${tag}`);
}

/** What a resolved tag's answer says of itself, before it is known where the content comes from. */
const STATUS_OF: Record<"nothing" | "the same" | "something new", CacheStatus> = {
  nothing: { servedBy: "edge" },
  "the same": { servedBy: "upstream", forward: "stale", forwardStatus: 200 },
  "something new": { servedBy: "upstream", forward: "uri-miss", forwardStatus: 200 },
};

/** @throws RegistryError where what the tag last meant can't be served. */
async function answerStale(
  mirror: Mirror,
  pull: Pull,
  target: Target,
  name: TagName,
  { failure, record }: { failure: Failure; record: TagRecord | null },
): Promise<Response> {
  if (!isTransient(failure.kind)) await mirror.tags.forget(name);
  const stale = await findStale(mirror, placeOf(target, pull), record, failure, pull.asker);
  if (!stale || !record) throw refusal(failure, "manifest", pull.asker);
  const warning = staleWarning(failure, "what the tag meant", mirror.tags.age(record));
  const headings = { "Cache-Control": REVALIDATE, Warning: warning };
  return answer(pull, target, outcomeOf(stale, staleStatus(failure)), headings);
}

/**
 * What a tag's record leads to; null if that is nowhere to be had. A HEAD needs no more than the record.
 * @throws RegistryError if it is to be had but can't be got.
 */
async function meaningOf(
  mirror: Mirror,
  pull: Pull,
  target: Target,
  record: TagRecord,
  status: CacheStatus,
): Promise<Outcome | null> {
  if (pull.method === "HEAD") return { ...record, bytes: null, status };
  const content = await contentOf(mirror, pull, target, record.digest);
  if (!("failure" in content)) return { ...content, status: { ...status, ...content.status } };
  if (content.failure.kind === "missing") return null;
  throw refusal(content.failure, "manifest", pull.asker);
}

/** A manifest's content by digest, wherever it is to be had. */
async function contentOf(
  mirror: Mirror,
  pull: Pull,
  target: Target,
  digest: Digest,
): Promise<Outcome | { failure: Failure }> {
  const place = placeOf(target, pull);
  const held = await findManifest(mirror, place, digest);
  if (held) return outcomeOf(held.manifest, { servedBy: held.from });
  if (pull.method === "HEAD") {
    const head = await headByDigest(mirror, pull, place, digest);
    if (head) return head;
  }
  const answered = await fetchByDigest(mirror, pull, place, digest);
  return answered.ok ? fetched(mirror, place, answered.manifest) : answered;
}

/** What upstream says of a manifest to a HEAD, which Docker Hub doesn't count; null where it has to be fetched to know. */
async function headByDigest(
  mirror: Mirror,
  pull: Pull,
  place: Place,
  digest: Digest,
): Promise<Outcome | { failure: Failure } | null> {
  try {
    const head = await headManifest(mirror, place, digest, pull.background);
    const status: CacheStatus = { servedBy: "upstream", forward: "uri-miss", forwardStatus: 200 };
    return head && { ...head, bytes: null, status };
  } catch (error) {
    return { failure: failureOf(error) };
  }
}

function fetched(mirror: Mirror, place: Place, manifest: HeldManifest): Outcome {
  remember(mirror, place, manifest);
  return outcomeOf(manifest, { servedBy: "upstream", forward: "uri-miss", forwardStatus: 200, stored: true });
}

function outcomeOf(manifest: HeldManifest, status: CacheStatus): Outcome {
  return { ...manifest, size: manifest.bytes.byteLength, status };
}

async function resolve(
  mirror: Mirror,
  pull: Pull,
  target: Target,
  tag: string,
  wish: TagWish,
): Promise<Resolution> {
  const place = placeOf(target, pull);
  return throughResolver(
    place,
    () => resolverOf(mirror, place).resolve(place, tag, wish),
    () => resolveTag(mirror, place, tag, wish, pull.background),
  );
}

async function fetchByDigest(mirror: Mirror, pull: Pull, place: Place, digest: Digest): Promise<Fetched> {
  return throughResolver(
    place,
    () => resolverOf(mirror, place).fetchManifest(place, digest),
    () => fetchManifest(mirror, place, digest, pull.background),
  );
}

/**
 * Asks the repository's resolver, or alone if that can't be reached: coalescing saves requests and decides nothing. A user
 * with a login of their own asks alone too: nobody else may have their answer.
 */
async function throughResolver<Answer>(
  { authority }: Place,
  together: () => Promise<Answer>,
  alone: () => Promise<Answer>,
): Promise<Answer> {
  if (authority.kind === "user") return alone();
  try {
    return await together();
  } catch (error) {
    console.warn(`a repository's resolver failed: ${error}`);
    return alone();
  }
}

function answer(pull: Pull, target: Target, outcome: Outcome, headings: Record<string, string>): Response {
  const headers = {
    ...commonHeadings(target, outcome.status),
    ...contentHeadings(outcome.digest),
    ...headings,
    "Content-Type": outcome.mediaType,
  };
  if (isUnchanged(pull.headers, outcome.digest)) return new Response(null, { status: 304, headers });
  const body = pull.method === "GET" ? outcome.bytes : null;
  return new Response(body, { headers: { ...headers, "Content-Length": String(outcome.size) } });
}
