/** Copies images from registry to registry: what is there is left, what can be mounted isn't moved, nothing is stored. */
import pLimit, { type LimitFunction } from "p-limit";
import { type Digest, referrersTag } from "../../src/oci/digest.ts";
import { type Descriptor, isForeign, type Manifest, readManifest } from "../../src/oci/manifest.ts";
import { isManifestType } from "../../src/oci/mediatypes.ts";
import { entriesOf, isAttestation } from "../image/image.ts";
import type { FetchedManifest, RegistryClient } from "../registry/client.ts";
import { blobBytes } from "../registry/download.ts";
import { RegistryFailure } from "../registry/failure.ts";
import type { RemoteRepository } from "../registry/remote.ts";
import { Uploader } from "../registry/upload.ts";
import { shortDigest } from "../terminal/format.ts";
import type { Progress } from "../terminal/progress.ts";
import { addReferrer } from "./referrers.ts";

export interface Job {
  source: RemoteRepository;
  /** A tag or a digest. */
  reference: string;
  /** Must be `writable`. */
  target: RemoteRepository;
  /** Null: it is to be had by its digest alone. */
  tag: string | null;
  /** As `linux/amd64`: of an index only this one, which then is what the tag leads to; null for all of them. */
  platform: string | null;
  /** Whether signatures and whatever else refers to it come along. */
  referrers: boolean;
}

export interface Copied {
  /** What the target now has, under the tag if there is one. */
  digest: Digest;
  /** Whether the tag had led to it before. */
  unchanged: boolean;
  /** Blobs that were sent, mounted from another repository, or there already. */
  sent: number;
  mounted: number;
  present: number;
  /** Manifests that were put, indexes among them. */
  manifests: number;
  referrers: number;
  /** Of the blobs that were sent. */
  bytes: number;
}

export interface CopierOptions {
  client: RegistryClient;
  progress: Progress;
  /** Blobs at a time. */
  parallel: number;
}

/** What is done to a blob, and by it. */
type CopyResult = "sent" | "mounted" | "present";

export class Copier {
  readonly #client: RegistryClient;
  readonly #uploader: Uploader;
  readonly #progress: Progress;
  readonly #limit: LimitFunction;
  /** One account of referrers is written at a time: two that are read and written at once would lose one's entry. */
  readonly #accounts = pLimit(1);
  /** By target repository and digest: images that share a layer send it once. */
  readonly #blobs = new Map<string, Promise<CopyResult>>();
  /** By target registry and digest, a repository that has the blob. */
  readonly #holders = new Map<string, string>();

  constructor({ client, progress, parallel }: CopierOptions) {
    this.#client = client;
    this.#uploader = new Uploader(client);
    this.#progress = progress;
    this.#limit = pLimit(parallel);
  }

  /**
   * Copies an image and looks whether the target then has what the source has.
   * @throws RegistryFailure, or Error where there is no such platform. What was sent until then stays, and isn't sent again.
   */
  async copy(job: Job): Promise<Copied> {
    const { source, target, tag, referrers } = job;
    const top = await this.#chosen(job);
    const copied: Copied = {
      ...{ digest: top.digest, unchanged: false, sent: 0, mounted: 0, present: 0 },
      ...{ manifests: 0, referrers: 0, bytes: 0 },
    };
    const { digests, unchanged } = await this.#copyManifest(source, target, top, tag, copied);
    copied.unchanged = unchanged;
    if (referrers) {
      const seen = new Set(digests);
      for (const digest of digests)
        copied.referrers += await this.#copyReferrers(source, target, digest, seen, copied);
    }
    const found = await this.#client.manifest(target, tag ?? top.digest);
    if (found.digest !== top.digest) {
      const message = `${target.endpoint.host} has ${found.digest} for ${target.repository} ${tag}, and was sent ${top.digest}`;
      throw new RegistryFailure(0, "DIGEST_INVALID", message);
    }
    return copied;
  }

  /** What the reference leads to: of an index, the manifest of the platform if one is wanted. */
  async #chosen({ source, reference, platform }: Job): Promise<FetchedManifest> {
    const top = await this.#client.manifest(source, reference);
    const manifest = parsed(top);
    if (platform === null || manifest.kind === "image") return top;
    const entry = entriesOf(manifest, [platform]).find(({ entry }) => !isAttestation(entry))?.entry;
    if (entry) return this.#client.manifest(source, entry.digest);
    const offered = manifest.manifests.filter((each) => !isAttestation(each));
    const names = entriesOf({ ...manifest, manifests: offered }, []).map(({ name }) => name);
    throw new Error(
      `${source.repository} isn't for ${platform}; it is for ${names.join(", ")}: choose one by --platform, or --all-platforms`,
    );
  }

  /**
   * Copies a manifest after all that it leads to.
   * @returns the digests of the manifests, the outermost last, and whether that was there already, under its tag.
   */
  async #copyManifest(
    source: RemoteRepository,
    target: RemoteRepository,
    fetched: FetchedManifest,
    tag: string | null,
    copied: Copied,
  ): Promise<{ digests: Digest[]; unchanged: boolean }> {
    const { digest } = fetched;
    const manifest = parsed(fetched);
    // A registry takes a manifest only once it has what that leads to: an image that is there is there whole.
    const isThere = await this.#has(target, digest, digest);
    const isTagged = tag === null || (await this.#has(target, tag, digest));
    const below = manifest.kind === "index" ? await this.#copyIndexed(source, target, manifest, copied) : [];
    if (manifest.kind === "image" && !isThere) await this.#copyBlobs(source, target, manifest, copied);
    if (!isThere || !isTagged) await this.#putManifest(target, tag ?? digest, fetched, manifest, copied);
    return { digests: [...below, digest], unchanged: isThere && isTagged };
  }

  /** Whether a target has a manifest. Some refuse to say so of what, or of repositories, they don't have. */
  async #has(target: RemoteRepository, reference: string, digest: Digest): Promise<boolean> {
    try {
      return (await this.#client.head(target, reference))?.digest === digest;
    } catch (error) {
      if (isRefusalToSay(error)) return false;
      throw error;
    }
  }

  async #copyIndexed(
    source: RemoteRepository,
    target: RemoteRepository,
    index: Manifest,
    copied: Copied,
  ): Promise<Digest[]> {
    const digests = await all(
      index.manifests.map(async (entry) => {
        // An index may list anything: BuildKit's caches list layers.
        if (!isManifestType(entry.mediaType)) {
          await this.#copyBlob(source, target, entry, copied);
          return [];
        }
        const fetched = await this.#limit(() => this.#client.manifest(source, entry.digest));
        return (await this.#copyManifest(source, target, fetched, null, copied)).digests;
      }),
    );
    return digests.flat();
  }

  async #copyBlobs(
    source: RemoteRepository,
    target: RemoteRepository,
    { config, layers }: Manifest,
    copied: Copied,
  ): Promise<void> {
    const blobs = new Map<Digest, Descriptor>();
    for (const blob of [...(config ? [config] : []), ...layers]) {
      if (!isForeign(blob)) blobs.set(blob.digest, blob);
    }
    await all([...blobs.values()].map((blob) => this.#copyBlob(source, target, blob, copied)));
  }

  async #copyBlob(
    source: RemoteRepository,
    target: RemoteRepository,
    blob: Descriptor,
    copied: Copied,
  ): Promise<void> {
    const key = `${target.endpoint.href} ${target.repository} ${blob.digest}`;
    const underWay = this.#blobs.get(key);
    const result = underWay ?? this.#limit(() => this.#moveBlob(source, target, blob));
    this.#blobs.set(key, result);
    try {
      const done = await result;
      // Who shares a blob with others has it counted once.
      if (underWay) return;
      copied[done] += 1;
      if (done === "sent") copied.bytes += blob.size;
    } catch (error) {
      this.#blobs.delete(key);
      throw error;
    }
  }

  async #moveBlob(source: RemoteRepository, target: RemoteRepository, blob: Descriptor): Promise<CopyResult> {
    const { digest, size } = blob;
    const holder = `${target.endpoint.href} ${digest}`;
    const isThere = await this.#hasBlob(target, digest);
    if (isThere) {
      this.#holders.set(holder, target.repository);
      return "present";
    }
    const isWithin = source.endpoint.href === target.endpoint.href;
    const mountFrom = isWithin ? source.repository : (this.#holders.get(holder) ?? null);
    const task = this.#progress.start(shortDigest(digest), size);
    let shown = 0;
    const progress = (by: number) => {
      shown += by;
      task.advance(by);
    };
    try {
      const result = await this.#uploader.put(target, {
        blob: { digest, size },
        mountFrom,
        open: () => {
          // Read from the start again: the bar goes back with it.
          progress(-shown);
          return counted(blobBytes(this.#client, source, { digest, size }), progress);
        },
      });
      this.#holders.set(holder, target.repository);
      task.done(result === "sent" ? "copied" : "mounted");
      return result;
    } catch (error) {
      task.done("failed");
      throw error;
    }
  }

  async #hasBlob(target: RemoteRepository, digest: Digest): Promise<boolean> {
    try {
      return (await this.#client.hasBlob(target, digest)) !== null;
    } catch (error) {
      if (isRefusalToSay(error)) return false;
      throw error;
    }
  }

  async #putManifest(
    target: RemoteRepository,
    reference: string,
    fetched: FetchedManifest,
    manifest: Manifest,
    copied: Copied,
  ): Promise<void> {
    const { keepsReferrers } = await this.#uploader.putManifest(target, reference, fetched);
    copied.manifests += 1;
    if (manifest.subject === null || keepsReferrers) return;
    const subject = manifest.subject.digest;
    await this.#accounts(() => addReferrer(this.#client, this.#uploader, target, subject, fetched, manifest));
  }

  /**
   * Copies what refers to a manifest, and what refers to that.
   * @param seen what is copied already: a list may lead back to it.
   * @returns how many there are.
   */
  async #copyReferrers(
    source: RemoteRepository,
    target: RemoteRepository,
    subject: Digest,
    seen: Set<Digest>,
    copied: Copied,
  ): Promise<number> {
    let count = 0;
    for (const { digest } of await this.#client.referrers(source, subject)) {
      if (seen.has(digest)) continue;
      seen.add(digest);
      const fetched = await this.#client.manifest(source, digest);
      await this.#copyManifest(source, target, fetched, null, copied);
      count += 1 + (await this.#copyReferrers(source, target, digest, seen, copied));
    }
    for (const suffix of COSIGN_SUFFIXES) {
      const tag = `${referrersTag(subject)}.${suffix}`;
      const fetched = await this.#client.manifest(source, tag).catch(nullIfMissing);
      if (fetched === null) continue;
      await this.#copyManifest(source, target, fetched, tag, copied);
      count += 1;
    }
    return count;
  }
}

/** Turns the failure to have what isn't there into null. @throws every other one. */
function nullIfMissing(error: unknown): null {
  if (error instanceof RegistryFailure && error.status === 404) return null;
  throw error;
}

function isRefusalToSay(error: unknown): boolean {
  return error instanceof RegistryFailure && [400, 403, 405].includes(error.status);
}

/** What cosign, before it used referrers, called the tags of signatures, attestations and SBOMs: `sha256-<hex>.sig`. */
const COSIGN_SUFFIXES = ["sig", "att", "sbom"];

/** Waits for all even if one fails, so that nothing is still running when an image has failed. */
async function all<Value>(work: readonly Promise<Value>[]): Promise<Value[]> {
  const ends = await Promise.allSettled(work);
  return ends.map((end) => {
    if (end.status === "rejected") throw end.reason;
    return end.value;
  });
}

function parsed({ bytes, digest }: FetchedManifest): Manifest {
  const manifest = readManifest(bytes);
  if (!manifest) throw new Error(`${digest} is no manifest`);
  return manifest;
}

async function* counted(
  bytes: AsyncIterable<Uint8Array>,
  count: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  for await (const piece of bytes) {
    count(piece.byteLength);
    yield piece;
  }
}
