/** Copies images: what the target has is left, what can be mounted isn't moved, and layers are streamed. */
import pLimit, { type LimitFunction } from "p-limit";
import { type Digest, referrersTag } from "../../src/oci/digest.ts";
import { type Descriptor, isForeign, type Manifest, readManifest } from "../../src/oci/manifest.ts";
import { isManifestType } from "../../src/oci/mediatypes.ts";
import { entriesOf, isAttestation } from "../image/image.ts";
import { shortDigest } from "../terminal/format.ts";
import type { Progress } from "../terminal/progress.ts";
import type { BlobResult, ImageSource, ImageTarget, ManifestContent } from "./image-io.ts";

export interface Job {
  source: ImageSource;
  target: ImageTarget;
  /** The target's; null: it is to be had by its digest alone. */
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
  progress: Progress;
  /** Blobs at a time. */
  parallel: number;
}

/** What is done to a blob, and by it. */
type CopyResult = BlobResult | "present";

export class Copier {
  readonly #progress: Progress;
  readonly #limit: LimitFunction;
  /** By target and digest: images that share a layer send it once. */
  readonly #blobs = new Map<string, Promise<CopyResult>>();

  constructor({ progress, parallel }: CopierOptions) {
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
    const copied = nothingCopied(top.digest);
    const { digests, unchanged } = await this.#copyManifest(source, target, top, tag, copied);
    copied.unchanged = unchanged;
    if (referrers) {
      const seen = new Set(digests);
      for (const digest of digests)
        copied.referrers += await this.#copyReferrers(source, target, digest, seen, copied);
    }
    await target.finish(top, tag);
    return copied;
  }

  /**
   * Looks whether the target has an image already, under its tag, without copying anything.
   * @returns null where it doesn't. What refers to the image isn't looked at.
   * @throws RegistryFailure, or Error where there is no such platform.
   */
  async find(job: Job): Promise<Copied | null> {
    const { digest } = await this.#chosen(job);
    const isThere = await job.target.hasManifest(job.tag ?? digest, digest);
    return isThere ? { ...nothingCopied(digest), unchanged: true } : null;
  }

  /** What the source's name leads to: of an index, the manifest of the platform if one is wanted. */
  async #chosen({ source, platform }: Job): Promise<ManifestContent> {
    const top = await source.root();
    const manifest = parsed(top);
    if (platform === null || manifest.kind === "image") return top;
    const entry = entriesOf(manifest, [platform]).find(({ entry }) => !isAttestation(entry))?.entry;
    if (entry) return source.manifest(entry.digest);
    const offered = manifest.manifests.filter((each) => !isAttestation(each));
    const names = entriesOf({ ...manifest, manifests: offered }, []).map(({ name }) => name);
    throw new Error(
      `${source.name} isn't for ${platform}; it is for ${names.join(", ")}: choose one by --platform, or --all-platforms`,
    );
  }

  /**
   * Copies a manifest after all that it leads to.
   * @returns the digests of the manifests, the outermost last, and whether that was there already, under its tag.
   */
  async #copyManifest(
    source: ImageSource,
    target: ImageTarget,
    content: ManifestContent,
    tag: string | null,
    copied: Copied,
  ): Promise<{ digests: Digest[]; unchanged: boolean }> {
    const { digest } = content;
    const manifest = parsed(content);
    const isThere = await target.hasManifest(digest, digest);
    const isTagged = tag === null || (await target.hasManifest(tag, digest));
    const below = manifest.kind === "index" ? await this.#copyIndexed(source, target, manifest, copied) : [];
    if (manifest.kind === "image" && !isThere) await this.#copyBlobs(source, target, manifest, copied);
    if (!isThere || !isTagged) {
      await target.putManifest(content, manifest, tag);
      copied.manifests += 1;
    }
    return { digests: [...below, digest], unchanged: isThere && isTagged };
  }

  async #copyIndexed(
    source: ImageSource,
    target: ImageTarget,
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
        const content = await this.#limit(() => source.manifest(entry.digest));
        return (await this.#copyManifest(source, target, content, null, copied)).digests;
      }),
    );
    return digests.flat();
  }

  async #copyBlobs(
    source: ImageSource,
    target: ImageTarget,
    { config, layers }: Manifest,
    copied: Copied,
  ): Promise<void> {
    const blobs = new Map<Digest, Descriptor>();
    for (const blob of [...(config ? [config] : []), ...layers]) {
      if (!isForeign(blob)) blobs.set(blob.digest, blob);
    }
    await all([...blobs.values()].map((blob) => this.#copyBlob(source, target, blob, copied)));
  }

  async #copyBlob(source: ImageSource, target: ImageTarget, blob: Descriptor, copied: Copied): Promise<void> {
    const key = `${target.id} ${blob.digest}`;
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

  async #moveBlob(
    source: ImageSource,
    target: ImageTarget,
    { digest, size }: Descriptor,
  ): Promise<CopyResult> {
    const blob = { digest, size };
    if (await target.hasBlob(blob)) return "present";
    const task = this.#progress.start(shortDigest(digest), size);
    let shown = 0;
    const progress = (by: number) => {
      shown += by;
      task.advance(by);
    };
    try {
      const result = await target.putBlob(blob, source, () => {
        // Read from the start again: the bar goes back with it.
        progress(-shown);
        return counted(source.blob(blob), progress);
      });
      task.done(result === "sent" ? "copied" : "mounted");
      return result;
    } catch (error) {
      task.done("failed");
      throw error;
    }
  }

  /**
   * Copies what refers to a manifest, and what refers to that.
   * @param seen what is copied already: a list may lead back to it.
   * @returns how many there are.
   */
  async #copyReferrers(
    source: ImageSource,
    target: ImageTarget,
    subject: Digest,
    seen: Set<Digest>,
    copied: Copied,
  ): Promise<number> {
    let count = 0;
    for (const { digest } of await source.referrers(subject)) {
      if (seen.has(digest)) continue;
      seen.add(digest);
      const content = await source.manifest(digest);
      await this.#copyManifest(source, target, content, null, copied);
      count += 1 + (await this.#copyReferrers(source, target, digest, seen, copied));
    }
    for (const suffix of COSIGN_SUFFIXES) {
      const tag = `${referrersTag(subject)}.${suffix}`;
      const content = await source.tagged(tag);
      if (content === null) continue;
      await this.#copyManifest(source, target, content, tag, copied);
      count += 1;
    }
    return count;
  }
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

function nothingCopied(digest: Digest): Copied {
  const blobs = { sent: 0, mounted: 0, present: 0, bytes: 0 };
  return { digest, unchanged: false, manifests: 0, referrers: 0, ...blobs };
}

function parsed({ bytes, digest }: ManifestContent): Manifest {
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
