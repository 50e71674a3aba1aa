/** Brings an image into a mirror: pulls it through, hashing what comes, and checks whether it is stored afterwards. */
import { setTimeout as sleep } from "node:timers/promises";
import pLimit from "p-limit";
import type { Digest } from "../../src/oci/digest.ts";
import type { Descriptor } from "../../src/oci/manifest.ts";
import { downloadBlob, readSmallBlob } from "../image/blobs.ts";
import { isStored } from "../image/cache-status.ts";
import { blobsOf } from "../image/image.ts";
import { readAt, readImage } from "../image/read-image.ts";
import type { ReadOutcome } from "../image/read-outcome.ts";
import type { RegistryClient, RemoteRepository } from "../registry/client.ts";
import { formatReference, type ImageReference, manifestReference } from "../registry/reference.ts";
import { shortDigest } from "../terminal/format.ts";
import type { Progress } from "../terminal/progress.ts";

export interface WarmOptions {
  client: RegistryClient;
  remote: RemoteRepository;
  reference: ImageReference;
  /** All if empty. */
  platforms: readonly string[];
  progress: Progress;
}

export interface Part {
  digest: Digest;
  /** In bytes. */
  size: number;
  /** `passed`: it came right, and the mirror doesn't say whether it keeps it. */
  state: "stored before" | "fetched" | "passed" | "failed";
  /** Null unless it failed. */
  reason: string | null;
}

export interface Warmed {
  image: string;
  digest: Digest;
  platforms: string[];
  /** Manifests that were wanted, the index among them. */
  manifests: Part[];
  /** Configs and layers, each once. */
  blobs: Part[];
}

const DOWNLOADS = 3;
const CONCURRENT_REQUESTS = 8;
/** Milliseconds in which a mirror must have stored what it has passed on whole; and between two looks. */
const STORING = 20_000;
const BETWEEN_LOOKS = 200;

/** @throws RegistryFailure if the mirror doesn't give the image; Error if it isn't for a wanted platform. */
export async function warm(options: WarmOptions): Promise<Warmed> {
  const { client, remote, reference, platforms } = options;
  const few = pLimit(CONCURRENT_REQUESTS);
  const root = await readAt(client, remote, manifestReference(reference));
  if (root.proven === null) throw new Error(refusalOf(root.response, formatReference(reference)));
  const { image, outcomes } = await readImage(
    root.proven,
    platforms,
    (digest) => few(() => readAt(client, remote, digest)),
    (config) => readSmallBlob(client, remote, config),
  );
  const downloads = pLimit(DOWNLOADS);
  const manifests = image.platforms.map(({ name, manifest }) => {
    const response = outcomes.get(manifest.digest) ?? root.response;
    return partOf(manifest, response.kind === "given" ? "fetched" : "failed", refusalOf(response, name));
  });
  const blobs = blobsOf(image).map((blob) => downloads(() => bring(blob, options)));
  return {
    image: formatReference(reference),
    digest: image.root.digest,
    platforms: image.platforms.map(({ name }) => name),
    manifests,
    blobs: await Promise.all(blobs),
  };
}

async function bring(blob: Descriptor, { client, remote, progress }: WarmOptions): Promise<Part> {
  if (await holds(client, remote, blob.digest)) return partOf(blob, "stored before");
  const name = shortDigest(blob.digest);
  const task = progress.start(name, blob.size);
  const response = await downloadBlob(client, remote, blob, (bytes) => task.advance(bytes));
  const reason = refusalOf(response, name);
  const state = response.kind === "given" ? await stored(client, remote, blob.digest) : "failed";
  task.done(state === "failed" ? `failed: ${reason}` : state === "fetched" ? "fetched" : "passed through");
  return partOf(blob, state, state === "failed" && response.kind === "given" ? NOT_KEPT : reason);
}

const NOT_KEPT = "it was passed on, but the mirror doesn't hold it; is its store full?";

/** A mirror publishes what it stores a moment after it has passed on the last of it. */
async function stored(
  client: RegistryClient,
  remote: RemoteRepository,
  digest: Digest,
): Promise<Part["state"]> {
  const until = Date.now() + STORING;
  for (;;) {
    const isStored = await holds(client, remote, digest);
    if (isStored === null) return "passed";
    if (isStored) return "fetched";
    if (Date.now() > until) return "failed";
    await sleep(BETWEEN_LOOKS);
  }
}

/** Null where the mirror doesn't say, or doesn't respond: a download will find out. */
async function holds(
  client: RegistryClient,
  remote: RemoteRepository,
  digest: Digest,
): Promise<boolean | null> {
  const heading = await client.headBlob(remote, digest).catch(() => null);
  return heading && isStored(heading.headers);
}

function partOf(
  { digest, size }: Pick<Part, "digest" | "size">,
  state: Part["state"],
  reason: string | null = null,
): Part {
  return { digest, size, state, reason: state === "failed" ? reason : null };
}

function refusalOf(response: ReadOutcome, what: string): string {
  return "reason" in response ? response.reason : `the mirror has no ${what}`;
}
