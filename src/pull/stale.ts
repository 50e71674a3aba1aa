/** A tag's last known meaning, for when upstream can't be asked: better than nothing, if all it leads to is held. */
import { blobKey, type Sphere } from "../cache/store.ts";
import type { TagRecord } from "../cache/tags.ts";
import { type Digest, EMPTY_DIGEST, EMPTY_OBJECT_DIGEST } from "../oci/digest.ts";
import { type Descriptor, isForeign, readManifest } from "../oci/manifest.ts";
import { type Failure, isTransient } from "../registry/failure.ts";
import { findManifest, type HeldManifest } from "./content.ts";
import { readHeld } from "./holdings.ts";
import type { Mirror } from "./mirror.ts";
import type { Place } from "./place.ts";

/** Levels of indexes within indexes that are looked into; deeper ones are taken to be incomplete. */
const MAXIMUM_DEPTH = 3;
/** Of the 50 subrequests that a request has on the Free plan, what an index with hundreds of platforms may take. */
const MAXIMUM_LOOKS = 40;

/**
 * The manifest to serve for a tag in spite of the failure; null where an error is the better answer: the failure is
 * upstream's word on the tag and no mishap, the record is older than STALE_MAX, or a part of the image isn't held, for
 * a mirror that hands out a manifest and then fails on its layers is worse than none.
 */
export async function findStale(
  mirror: Mirror,
  place: Place,
  record: TagRecord | null,
  failure: Failure,
): Promise<HeldManifest | null> {
  if (!isTransient(failure.kind) || !record || mirror.tags.age(record) > mirror.config.staleMax * 1000) {
    return null;
  }
  const search = { mirror, place, looks: MAXIMUM_LOOKS };
  return (await isWhole(search, record.digest, 0))
    ? ((await findManifest(mirror, place, record.digest))?.manifest ?? null)
    : null;
}

interface Search {
  mirror: Mirror;
  place: Place;
  /** Looks into the store that are left. */
  looks: number;
}

/** Whether an image, or one platform of an index at least, is held with its config and every layer that is pulled. */
async function isWhole(search: Search, digest: Digest, depth: number): Promise<boolean> {
  if (depth > MAXIMUM_DEPTH || search.looks-- <= 0) return false;
  const held = await findManifest(search.mirror, search.place, digest);
  const manifest = held && readManifest(held.manifest.bytes);
  if (!manifest) return false;
  if (manifest.kind === "index") {
    for (const child of manifest.manifests) {
      if (!isAttestation(child) && (await isWhole(search, child.digest, depth + 1))) return true;
    }
    return false;
  }
  for (const blob of [manifest.config, ...manifest.layers]) {
    if (blob && !isForeign(blob) && !isKnown(blob) && !(await isHeld(search, blob.digest))) return false;
  }
  return true;
}

/** BuildKit lists an image's attestations beside its platforms, as one of an unknown system. */
function isAttestation({ platform, annotations }: Descriptor): boolean {
  return platform?.os === "unknown" || annotations?.["vnd.docker.reference.type"] === "attestation-manifest";
}

/** Whether a client has a blob without fetching it: it lies in the manifest, or is one of those that say nothing. */
function isKnown({ digest, data }: Descriptor): boolean {
  return data !== undefined || digest === EMPTY_DIGEST || digest === EMPTY_OBJECT_DIGEST;
}

async function isHeld(search: Search, digest: Digest): Promise<boolean> {
  if (search.looks-- <= 0) return false;
  const { mirror, place } = search;
  const keyOf = (sphere: Sphere) => blobKey(digest, sphere);
  try {
    return (await readHeld(mirror, place, { digest }, keyOf, (key) => mirror.store.head(key))) !== null;
  } catch (error) {
    console.warn(`the store can't be read: ${error}`);
    return false;
  }
}
