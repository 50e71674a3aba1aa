/** What a tag means and what a manifest says, asked of upstream. Runs where it is coalesced: in a repository's resolver. */
import type { TagRecord } from "../cache/tags.ts";
import { type Digest, parseDigest, wellKnown } from "../oci/digest.ts";
import { artifactConfig } from "../oci/manifest.ts";
import { essence, isManifestType, MANIFEST_ACCEPT } from "../oci/mediatypes.ts";
import { type Failure, failureOf, isTransient, mayBeHeadAlone } from "../registry/failure.ts";
import type { WaitUntil } from "../registry/wait-until.ts";
import { declaredLength } from "./body.ts";
import {
  acceptManifest,
  findManifest,
  type HeldManifest,
  remember,
  storeAgain,
  storeManifest,
  WrongContent,
} from "./content.ts";
import { fillQueueOf } from "./lease.ts";
import type { Mirror } from "./mirror.ts";
import { type Place, sphereOf, upstreamOf } from "./place.ts";

export type Resolution =
  | {
      ok: true;
      record: TagRecord;
      /** The manifest, if it had to be fetched anyway. */
      manifest: HeldManifest | null;
      /** What upstream said: nothing, because the record was fresh after all; the same as before; or something new. */
      said: "nothing" | "the same" | "something new";
    }
  /** `record` is what the tag meant when upstream last said so: what may be served stale. */
  | { ok: false; failure: Failure; record: TagRecord | null };

export type Fetched = { ok: true; manifest: HeldManifest } | { ok: false; failure: Failure };

/** `anew`: by a GET of the tag whatever is remembered, because the content that the record names is nowhere to be had. */
export type TagWish = "GET" | "HEAD" | "anew";

/**
 * Finds out what a tag means now. A known tag costs one HEAD, which Docker Hub doesn't count, and a GET only if it has
 * moved and its content is wanted; an unknown one costs just the request that the client made.
 */
export async function resolveTag(
  mirror: Mirror,
  place: Place,
  tag: string,
  wish: TagWish,
  background: WaitUntil,
): Promise<Resolution> {
  const upstream = upstreamOf(mirror, place);
  const { repository } = place;
  const name = { upstream: place.upstream, repository, tag, sphere: sphereOf(place) };
  const before = await mirror.tags.read(name);
  if (wish !== "anew" && before && mirror.tags.age(before) < upstream.tagTtl * 1000) {
    return { ok: true, record: before, manifest: null, said: "nothing" };
  }
  const compare = (digest: Digest) => (digest === before?.digest ? "the same" : "something new");
  try {
    const isHeadOf = wish === "HEAD" || (wish === "GET" && before !== null);
    const head = isHeadOf ? await headManifest(mirror, place, tag, background) : null;
    if (head && (wish === "HEAD" || head.digest === before?.digest)) {
      await mirror.tags.write(name, head, before);
      return { ok: true, record: head, manifest: null, said: compare(head.digest) };
    }
    const manifest = await getManifest(mirror, place, tag, null, background);
    const record = recordOf(manifest, mirror.now());
    await mirror.tags.write(name, record, before);
    return { ok: true, record, manifest, said: compare(record.digest) };
  } catch (error) {
    const failure = failureOf(error);
    // What is gone, or no longer for everybody, isn't to come back as stale when upstream is down next.
    if (!isTransient(failure.kind)) await mirror.tags.end(name, before);
    return { ok: false, failure, record: before };
  }
}

/** Fetches a manifest by digest, unless somebody else has brought it in meanwhile. */
export async function fetchManifest(
  mirror: Mirror,
  place: Place,
  digest: Digest,
  background: WaitUntil,
): Promise<Fetched> {
  try {
    const held = await findManifest(mirror, place, digest);
    if (held) {
      // Whoever asks found nothing in the store: what only memory holds has been lost there.
      if (held.from === "memory") await storeAgain(mirror, place, held.manifest);
      return { ok: true, manifest: held.manifest };
    }
    return { ok: true, manifest: await getManifest(mirror, place, digest, digest, background) };
  } catch (error) {
    return { ok: false, failure: failureOf(error) };
  }
}

async function getManifest(
  mirror: Mirror,
  place: Place,
  reference: string,
  expected: Digest | null,
  background: WaitUntil,
): Promise<HeldManifest> {
  const { repository, authority, via } = place;
  const upstream = upstreamOf(mirror, place);
  const path = `manifests/${reference}`;
  const method = "GET" as const;
  const question = { upstream, repository, identity: authority, via, method, path, accept: MANIFEST_ACCEPT };
  const response = await mirror.upstream.fetch(question, background);
  let manifest: HeldManifest;
  try {
    manifest = await acceptManifest(response, expected, `${repository}/${path}`);
  } catch (error) {
    if (error instanceof WrongContent) mirror.upstream.quarantine(response, upstream);
    throw error;
  }
  remember(mirror, place, manifest);
  await storeManifest(mirror, place, manifest);
  background(fillConfig(mirror, place, manifest));
  return manifest;
}

/**
 * Has an artifact's config filled in the background: its clients don't ask for it, but without it the artifact isn't whole
 * when upstream is down.
 */
async function fillConfig(mirror: Mirror, place: Place, { bytes }: HeldManifest): Promise<void> {
  const config = bytes.byteLength > SMALL ? null : artifactConfig(bytes);
  if (config === null || config.size > SMALL || wellKnown(config.digest) !== null) return;
  const turn = await fillQueueOf(mirror, place, config.digest).tryAcquire();
  if (typeof turn === "object") await turn.lookAgain(0);
}

/** Bytes of the largest config that is fetched although nobody has asked for it, and of the largest manifest it is looked for in. */
const SMALL = 256 * 1024;

/**
 * Asks by HEAD what a tag means, or how large the manifest of a digest is.
 * @returns null if upstream doesn't answer HEAD, or not with all that a client needs to know.
 */
export async function headManifest(
  mirror: Mirror,
  place: Place,
  reference: string,
  background: WaitUntil,
): Promise<TagRecord | null> {
  const { repository, authority, via } = place;
  const upstream = upstreamOf(mirror, place);
  const path = `manifests/${reference}`;
  let response: Response;
  try {
    const question = {
      upstream,
      repository,
      identity: authority,
      via,
      method: "HEAD" as const,
      path,
      accept: MANIFEST_ACCEPT,
    };
    response = await mirror.upstream.fetch(question, background);
  } catch (error) {
    if (mayBeHeadAlone(error)) return null;
    throw error;
  }
  const digest = parseDigest(response.headers.get("Docker-Content-Digest") ?? "");
  const mediaType = essence(response.headers.get("Content-Type"));
  const size = declaredLength(response);
  const asked = parseDigest(reference);
  if (!digest || !size || !isManifestType(mediaType) || (asked !== null && asked !== digest)) return null;
  return { digest, mediaType, size, confirmed: mirror.now() };
}

function recordOf({ digest, mediaType, bytes }: HeldManifest, confirmed: number): TagRecord {
  return { digest, mediaType, size: bytes.byteLength, confirmed };
}
