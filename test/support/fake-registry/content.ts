/** Content: the blobs, manifests, tags and referrers that the fake registry holds, without any HTTP. */
import type { Bytes, DigestAlgorithm } from "./bytes.ts";
import { digestOf, ownCopy, utf8 } from "./bytes.ts";
import { OCI_INDEX, OCI_MANIFEST } from "./media-types.ts";

export type Descriptor = { mediaType: string; digest: string; size: number };
export type StoredBlob = { digest: string; size: number };
export type StoredManifest = { digest: string; size: number; mediaType: string; bytes: Bytes };
export type Visibility = "public" | "private";
export type ReferrerDescriptor = Descriptor & { artifactType?: string; annotations?: Record<string, string> };

export type ManifestOptions = {
  tag?: string;
  /** Content-Type of the manifest; otherwise its own `mediaType`, else by its shape. */
  mediaType?: string;
  algorithm?: DigestAlgorithm;
};
export type BlobOptions = {
  algorithm?: DigestAlgorithm;
  /** The repository that holds it. A blob that no repository holds is served by all of them. */
  repository?: string;
};

type Repository = {
  visibility: Visibility;
  manifests: Map<string, StoredManifest>;
  tags: Map<string, string>;
  /** Other manifests under the same tag, for clients whose Accept doesn't name the first one's type. */
  variants: Map<string, string[]>;
  blobs: Set<string>;
};

type Json = { [key: string]: unknown };

export class Content {
  readonly #blobs = new Map<string, Bytes>();
  readonly #repositories = new Map<string, Repository>();

  async addBlob(bytes: Uint8Array, options: BlobOptions = {}): Promise<StoredBlob> {
    const own = ownCopy(bytes);
    const digest = await digestOf(own, options.algorithm);
    this.#blobs.set(digest, own);
    if (options.repository !== undefined) this.#open(options.repository).blobs.add(digest);
    return { digest, size: own.byteLength };
  }

  /** Stores bytes to the letter, an object as JSON. The blobs that it names belong to the repository from then on. */
  async addManifest(
    repository: string,
    manifest: object | Uint8Array,
    options: ManifestOptions = {},
  ): Promise<StoredManifest> {
    const bytes =
      manifest instanceof Uint8Array ? ownCopy(manifest) : utf8(JSON.stringify(manifest, null, 2));
    const parsed = parseObject(bytes);
    const digest = await digestOf(bytes, options.algorithm);
    const mediaType = options.mediaType ?? mediaTypeOf(parsed);
    const stored = { digest, size: bytes.byteLength, mediaType, bytes };
    const content = this.#open(repository);
    content.manifests.set(digest, stored);
    for (const blob of blobDigests(parsed)) content.blobs.add(blob);
    if (options.tag !== undefined) content.tags.set(options.tag, digest);
    return stored;
  }

  /** Points a tag at a manifest; the digest needn't exist, as after a careless clean-up at a real registry. */
  moveTag(repository: string, tag: string, digest: string): void {
    this.#open(repository).tags.set(tag, digest);
  }

  removeTag(repository: string, tag: string): void {
    this.#open(repository).tags.delete(tag);
  }

  /** Puts another manifest under a tag: the one for an Accept that doesn't name the first one's type. */
  addVariant(repository: string, tag: string, digest: string): void {
    const { variants } = this.#open(repository);
    variants.set(tag, [...(variants.get(tag) ?? []), digest]);
  }

  removeManifest(repository: string, digest: string): void {
    this.#open(repository).manifests.delete(digest);
  }

  removeBlob(digest: string): void {
    this.#blobs.delete(digest);
  }

  setVisibility(repository: string, visibility: Visibility): void {
    this.#open(repository).visibility = visibility;
  }

  has(repository: string): boolean {
    return this.#repositories.has(repository);
  }

  visibility(repository: string): Visibility {
    return this.#repositories.get(repository)?.visibility ?? "public";
  }

  blob(repository: string, digest: string): Bytes | undefined {
    const stored = this.#repositories.get(repository)?.blobs.has(digest) ?? false;
    return stored || !this.#isHeld(digest) ? this.#blobs.get(digest) : undefined;
  }

  /** A blob as its storage knows it, whatever the repository: a signed URL has been authorised before. */
  storedBlob(digest: string): Bytes | undefined {
    return this.#blobs.get(digest);
  }

  /** All manifests that response to a reference: one for a digest; for a tag its own first, then its variants. */
  manifests(repository: string, reference: string): StoredManifest[] {
    const stored = this.#repositories.get(repository);
    if (stored === undefined) return [];
    const tagged = stored.tags.get(reference);
    const digests = reference.includes(":")
      ? [reference]
      : tagged === undefined
        ? []
        : [tagged, ...(stored.variants.get(reference) ?? [])];
    return digests.flatMap((digest) => stored.manifests.get(digest) ?? []);
  }

  /** Tags in the order in which they were first pushed. */
  tags(repository: string): string[] {
    return [...(this.#repositories.get(repository)?.tags.keys() ?? [])];
  }

  referrers(repository: string, subject: string): ReferrerDescriptor[] {
    const manifests = [...(this.#repositories.get(repository)?.manifests.values() ?? [])];
    return manifests.flatMap((stored) => {
      const parsed = parseObject(stored.bytes);
      if (asObject(parsed?.subject)?.digest !== subject) return [];
      const { digest, size, mediaType } = stored;
      const artifactType = parsed?.artifactType ?? asObject(parsed?.config)?.mediaType;
      const annotations = asObject(parsed?.annotations);
      return [
        {
          mediaType,
          digest,
          size,
          ...(typeof artifactType === "string" ? { artifactType } : {}),
          ...(annotations === undefined ? {} : { annotations: stringsOf(annotations) }),
        },
      ];
    });
  }

  #open(repository: string): Repository {
    const stored = this.#repositories.get(repository);
    if (stored !== undefined) return stored;
    const opened: Repository = {
      visibility: "public",
      manifests: new Map(),
      tags: new Map(),
      variants: new Map(),
      blobs: new Set(),
    };
    this.#repositories.set(repository, opened);
    return opened;
  }

  #isHeld(digest: string): boolean {
    return [...this.#repositories.values()].some((repository) => repository.blobs.has(digest));
  }
}

function mediaTypeOf(parsed: Json | undefined): string {
  if (typeof parsed?.mediaType === "string") return parsed.mediaType;
  return Array.isArray(parsed?.manifests) ? OCI_INDEX : OCI_MANIFEST;
}

function blobDigests(parsed: Json | undefined): string[] {
  const lists = [parsed?.layers, parsed?.blobs].flatMap((list) => (Array.isArray(list) ? list : []));
  return [parsed?.config, ...lists].flatMap((descriptor) => {
    const digest = asObject(descriptor)?.digest;
    return typeof digest === "string" ? [digest] : [];
  });
}

/** undefined for malformed JSON, which a registry may hold and a mirror must survive. */
function parseObject(bytes: Bytes): Json | undefined {
  try {
    return asObject(JSON.parse(new TextDecoder().decode(bytes)));
  } catch {
    return undefined;
  }
}

function asObject(value: unknown): Json | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : undefined;
}

function stringsOf(object: Json): Record<string, string> {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, String(value)]));
}
