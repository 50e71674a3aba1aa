/** Fetching an image ahead: its manifests at once, its blobs by fills in the background, which clients find running. */
import { type Digest, wellKnown } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { type Descriptor, isForeign, type Manifest, readManifest } from "../oci/manifest.ts";
import { isSamePlatform, platformName } from "../oci/platform.ts";
import { headContent } from "../store/content.ts";
import { type ClientInfo, clientError } from "./client-error.ts";
import { remember } from "./content.ts";
import type { FillJob } from "./fill-leases.ts";
import type { RepositoryAccess } from "./repository-access.ts";
import type { StoredManifest } from "./resolver.ts";
import type { PullServices } from "./services.ts";

export type WarmServices = Pick<
  PullServices,
  "store" | "manifests" | "leasesOf" | "resolverOf" | "storeReads"
>;

export interface WarmOptions {
  /** Names of platforms, such as `linux/arm64`; all if empty. */
  platforms: readonly string[];
  /** Blobs at the beginning that an earlier call has found stored. */
  cursor: number;
  /** Fills that may run at a time; a few if it is left out. */
  parallel?: number;
  /** Whether content must not be fetched. */
  isRefused: (digest: Digest) => boolean;
}

export interface Warmed {
  digest: Digest;
  /** The platforms that were found; empty for an image that doesn't name its own. */
  platforms: string[];
  manifests: number;
  blobs: { total: number; stored: number; filling: number; failed: number };
  /** Of the blobs. */
  bytes: { total: number; stored: number };
  /** For the next call. */
  cursor: number;
  isDone: boolean;
  /** Calls of the platform's services that it took. */
  calls: number;
}

/** The mirror itself, which has no other source. */
export const OWNER: ClientInfo = { userAgent: "", via: "", hasNamespace: false };

/** Fills that one image has running at a time, so that it leaves room for what clients pull. */
const MOST_FILLING = 6;
/** Calls of the platform's services that one call of `warm` may make at least for blobs, however many manifests there are. */
const LEAST_CALLS = 10;
/** Levels of indexes within indexes. */
const MAXIMUM_DEPTH = 3;
/** Manifests of one image. */
const MOST_MANIFESTS = 500;

/**
 * Fetches what of an image isn't stored, within the calls that one request may make: to be called again until it is done.
 * @throws RegistryError where a manifest can't be fetched; 404 if no platform is one of those that are wanted.
 */
export async function warm(
  services: WarmServices,
  access: RepositoryAccess,
  root: Digest,
  { platforms: wanted, cursor: start, isRefused, parallel = MOST_FILLING }: WarmOptions,
): Promise<Warmed> {
  const image = await imageOf(services, access, root, wanted, start > 0);
  const { blobs } = image;
  const state = { stored: 0, filling: 0, failed: 0, bytes: 0 };
  const note = ({ size }: Descriptor) => {
    state.stored++;
    state.bytes += size;
  };
  let cursor = Math.min(start, blobs.length);
  blobs.slice(0, cursor).forEach(note);
  const perLook = access.visibility === "public" ? 1 : 3;
  const most = Math.max(LEAST_CALLS, services.storeReads - image.calls);
  let calls = most;
  for (const [index, blob] of blobs.entries()) {
    if (index < start) continue;
    if (calls < perLook + 1 || state.filling >= parallel) break;
    const { digest } = blob;
    calls -= perLook;
    if (await headContent(services.store, { kind: "blobs", digest, scope: access })) {
      note(blob);
      if (cursor === index) cursor++;
      continue;
    }
    calls--;
    const { upstream, repository, visibility, via } = access;
    const job: FillJob = { upstream, repository, visibility, via, digest };
    const fill = isRefused(digest) ? "failed" : await services.leasesOf(digest).requestFill(job);
    state[fill]++;
  }
  return {
    digest: root,
    platforms: image.platforms,
    manifests: image.manifests,
    blobs: { total: blobs.length, stored: state.stored, filling: state.filling, failed: state.failed },
    bytes: { total: blobs.reduce((sum, { size }) => sum + size, 0), stored: state.bytes },
    cursor,
    isDone: cursor === blobs.length,
    calls: image.calls + (Number.isFinite(most) ? most - calls : 0),
  };
}

interface WarmImage {
  platforms: string[];
  manifests: number;
  /** Each once, in an order that depends on the image alone. */
  blobs: Descriptor[];
  /** Calls of the platform's services that reading it took. */
  calls: number;
}

/** @param isKnown whether an earlier call has made sure that the manifests are stored. */
async function imageOf(
  services: WarmServices,
  access: RepositoryAccess,
  root: Digest,
  wanted: readonly string[],
  isKnown: boolean,
): Promise<WarmImage> {
  const image = { platforms: new Set<string>(), manifests: 0, calls: 0 };
  const blobs = new Map<Digest, Descriptor>();
  let isIndex = false;
  const visit = async (digest: Digest, depth: number): Promise<void> => {
    if (++image.manifests > MOST_MANIFESTS || depth > MAXIMUM_DEPTH) throw tooLarge(root);
    const remembered = isKnown && access.visibility === "public" ? services.manifests.get(digest) : undefined;
    if (!remembered) image.calls++;
    const { bytes } = remembered ?? (await fetchManifest(services, access, digest));
    const manifest = readManifest(bytes);
    if (!manifest) return;
    if (depth === 0) isIndex = manifest.kind === "index";
    for (const blob of blobsOf(manifest)) blobs.set(blob.digest, blob);
    for (const entry of entriesOf(manifest, wanted)) {
      if (entry.platform && entry.platform.os !== "unknown")
        image.platforms.add(platformName(entry.platform));
      await visit(entry.digest, depth + 1);
    }
  };
  await visit(root, 0);
  if (isIndex && image.manifests === 1 && wanted.length > 0) {
    throw new RegistryError(404, "MANIFEST_UNKNOWN", `${root} has no ${wanted.join(", ")}`);
  }
  return { ...image, platforms: [...image.platforms], blobs: [...blobs.values()] };
}

/** The entries of an index that are wanted. What belongs to no platform, attestations too, goes with all of them only. */
function entriesOf({ manifests }: Manifest, wanted: readonly string[]): Descriptor[] {
  if (wanted.length === 0) return manifests;
  return manifests.filter(
    ({ platform }) => platform && wanted.some((name) => isSamePlatform(platformName(platform), name)),
  );
}

/** Without what clients don't request of a mirror, or must not get from one. */
function blobsOf({ config, layers }: Manifest): Descriptor[] {
  return [...(config ? [config] : []), ...layers].filter(
    (blob) => !isForeign(blob) && blob.data === undefined && wellKnown(blob.digest) === null,
  );
}

/** A manifest that is stored afterwards. @throws RegistryError */
async function fetchManifest(
  services: WarmServices,
  access: RepositoryAccess,
  digest: Digest,
): Promise<StoredManifest> {
  const fetched = await services.resolverOf(access).fetchManifest(access, digest);
  if (!fetched.ok) throw clientError(fetched.failure, "manifest", OWNER);
  remember(services, access, fetched.manifest);
  return fetched.manifest;
}

function tooLarge(root: Digest): RegistryError {
  return new RegistryError(400, "UNSUPPORTED", `${root} has more manifests than can be fetched ahead`);
}
