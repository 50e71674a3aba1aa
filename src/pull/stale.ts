/** The manifest that a tag last named, served while upstream fails. */

import { type Digest, EMPTY_DIGEST, EMPTY_OBJECT_DIGEST } from "../oci/digest.ts";
import { type Descriptor, isForeign, readManifest } from "../oci/manifest.ts";
import { type Failure, isTransient } from "../registry/failure.ts";
import { headContent } from "../store/content.ts";
import type { TagRecord } from "../store/tag-records.ts";
import { type ClientInfo, mayHaveAnotherSource } from "./client-error.ts";
import { findManifest } from "./content.ts";
import type { RepositoryAccess } from "./repository-access.ts";
import type { StoredManifest } from "./resolver.ts";
import type { PullServices } from "./services.ts";

/** Levels of indexes within indexes that are looked into; deeper ones are taken to be incomplete. */
const MAXIMUM_DEPTH = 3;
/**
 * The manifest to serve for a tag although upstream failed; null where an error is the better response: the failure isn't
 * transient, the record is older than STALE_MAX, or a part of the image isn't stored and the client may have another source,
 * since a mirror that serves a manifest and then fails on its layers is worse than none. A client without another source
 * gets what is stored: clients of artifacts never request all parts.
 */
export async function findStale(
  services: PullServices,
  access: RepositoryAccess,
  record: TagRecord | null,
  failure: Failure,
  clientInfo: ClientInfo,
): Promise<StoredManifest | null> {
  if (!isTransient(failure.kind) || !record || services.tags.age(record) > services.config.staleMax * 1000) {
    return null;
  }
  const search = { services, access, looks: looksOf(services, access) };
  if (mayHaveAnotherSource(clientInfo) && !(await isWhole(search, record.digest, 0))) return null;
  return (await findManifest(services, access, record.digest))?.manifest ?? null;
}

interface Search {
  services: PullServices;
  access: RepositoryAccess;
  /** Looks for content that are left to this request. */
  looks: number;
}

/** Whether an image, or one platform of an index at least, is stored with its config and every layer that is pulled. */
async function isWhole(search: Search, digest: Digest, depth: number): Promise<boolean> {
  if (depth > MAXIMUM_DEPTH || search.looks-- <= 0) return false;
  const stored = await findManifest(search.services, search.access, digest);
  const manifest = stored && readManifest(stored.manifest.bytes);
  if (!manifest) return false;
  if (manifest.kind === "index") {
    for (const child of manifest.manifests) {
      if (!isAttestation(child) && (await isWhole(search, child.digest, depth + 1))) return true;
    }
    return false;
  }
  const blobs = [manifest.config, ...manifest.layers].filter(
    (blob) => blob !== null && !isForeign(blob) && !isKnown(blob),
  );
  return areBlobsStored(search, [...new Set(blobs.map((blob) => (blob as Descriptor).digest))]);
}

/** Whether all are stored. More than this request may look up are looked up by a Durable Object: each call of it has a limit of its own. */
async function areBlobsStored(search: Search, digests: Digest[]): Promise<boolean> {
  const { services, access } = search;
  if (digests.length <= search.looks) {
    search.looks -= digests.length;
    return areStored(services, access, digests);
  }
  const batch = looksOf(services, access);
  for (let start = 0; start < digests.length; start += batch) {
    if (search.looks-- <= 0) return false;
    const looked = services.resolverOf(access).areStored(access, digests.slice(start, start + batch));
    if (!(await looked.catch(() => false))) return false;
  }
  return true;
}

/** Whether all of some blobs are stored for a place; false also where the store can't be read. */
export async function areStored(
  services: Pick<PullServices, "store">,
  access: RepositoryAccess,
  digests: Digest[],
): Promise<boolean> {
  try {
    for (const digest of digests) {
      if (!(await headContent(services.store, { kind: "blobs", digest, scope: access }))) return false;
    }
    return true;
  } catch (error) {
    console.warn(`the store can't be read: ${error}`);
    return false;
  }
}

/** How many objects one request may look for: each look takes up to three reads where content isn't public. */
function looksOf({ storeReads }: Pick<PullServices, "storeReads">, access: RepositoryAccess): number {
  return access.visibility === "public" ? storeReads : Math.floor(storeReads / 3);
}

/** BuildKit lists an image's attestations beside its platforms, as one of an unknown system. */
function isAttestation({ platform, annotations }: Descriptor): boolean {
  return platform?.os === "unknown" || annotations?.["vnd.docker.reference.type"] === "attestation-manifest";
}

/** Whether a client has a blob without fetching it: the manifest contains it, or it is the empty blob or `{}`. */
function isKnown({ digest, data }: Descriptor): boolean {
  return data !== undefined || digest === EMPTY_DIGEST || digest === EMPTY_OBJECT_DIGEST;
}
