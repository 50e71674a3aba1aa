/** Images that `docker save` has written (manifest.json): they get an OCI manifest, since they have none of their own. */

import { createHash, type Hash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { pipeline } from "node:stream";
import { createGzip } from "node:zlib";
import * as v from "valibot";
import { type Digest, parseDigest } from "../../src/oci/digest.ts";
import { DOCKER_INDEX } from "../../src/oci/layout.ts";
import type { Descriptor } from "../../src/oci/manifest.ts";
import { OCI_MANIFEST } from "../../src/oci/mediatypes.ts";
import type { Environment } from "../../src/registry/proxies.ts";
import type { ImageSource, ManifestContent } from "../copy/image-io.ts";
import { digestOfBytes } from "../registry/client.ts";
import type { Blob } from "../registry/download.ts";
import { causeOf } from "../registry/failure.ts";
import { formatReference, type ImageReference, parseReference } from "../registry/reference.ts";
import { type Compression, compressionOf, decompressed, MAGIC_LENGTH } from "./compression.ts";
import { blobIn, type ContentFolder, documentIn, entryError, jsonIn } from "./content-folder.ts";
import { bytesOf, spool } from "./spool.ts";

const OCI_CONFIG = "application/vnd.oci.image.config.v1+json";
const LAYER = "application/vnd.oci.image.layer.v1.tar";

const Images = v.array(
  v.object({
    Config: v.string(),
    RepoTags: v.optional(v.nullable(v.array(v.string())), null),
    Layers: v.array(v.string()),
  }),
);
const Config = v.object({ rootfs: v.object({ diff_ids: v.array(v.string()) }) });

type Image = v.InferOutput<typeof Images>[number];

export interface DockerSourceOptions {
  /** Null for the only image. */
  reference: ImageReference | null;
  /** Whether layers get compressed that aren't: most of what `docker save` writes. */
  compress: boolean;
  env: Environment;
}

/** Where a blob's bytes are. */
interface Part {
  folder: ContentFolder;
  path: string;
}

export class DockerSource implements ImageSource {
  readonly name: string;
  readonly remote = null;
  readonly #folder: ContentFolder;
  readonly #options: DockerSourceOptions;
  readonly #parts = new Map<Digest, Part>();
  /** By their paths: an archive may have one layer several times. */
  readonly #layers = new Map<string, Promise<Descriptor>>();
  readonly #spooled: FileHandle[] = [];
  #root: Promise<ManifestContent> | null = null;

  constructor(folder: ContentFolder, options: DockerSourceOptions) {
    this.#folder = folder;
    this.#options = options;
    this.name = folder.name;
  }

  root(): Promise<ManifestContent> {
    this.#root ??= this.#makeManifest();
    return this.#root;
  }

  async manifest(digest: Digest): Promise<ManifestContent> {
    const root = await this.root();
    if (root.digest === digest) return root;
    throw new Error(`${this.name} has no manifest ${digest}`);
  }

  async tagged(): Promise<null> {
    return null;
  }

  async *blob(blob: Blob): AsyncGenerator<Uint8Array> {
    await this.root();
    const part = this.#parts.get(blob.digest);
    if (!part) throw new Error(`${this.name} has no ${blob.digest}`);
    yield* blobIn(part.folder, part.path, blob);
  }

  async referrers(): Promise<Descriptor[]> {
    return [];
  }

  /** Removes the layers that were compressed; the archive itself stays open. */
  async close(): Promise<void> {
    for (const file of this.#spooled) await file.close();
  }

  async #makeManifest(): Promise<ManifestContent> {
    const image = await this.#chosen();
    const { config, diffIds } = await this.#config(image.Config);
    if (diffIds.length !== image.Layers.length) {
      const what = `names ${diffIds.length} layers, and ${DOCKER_INDEX} ${image.Layers.length}`;
      throw entryError(this.#folder, image.Config, what);
    }
    const layers: Descriptor[] = [];
    for (const [index, path] of image.Layers.entries()) {
      const layer = this.#layers.get(path) ?? this.#layer(path, diffIds[index] as Digest);
      this.#layers.set(path, layer);
      layers.push(await layer);
    }
    const manifest = { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers };
    const bytes = new TextEncoder().encode(JSON.stringify(manifest));
    return { digest: digestOfBytes(bytes), mediaType: OCI_MANIFEST, bytes };
  }

  async #chosen(): Promise<Image> {
    const read = v.safeParse(Images, await jsonIn(this.#folder, DOCKER_INDEX));
    if (!read.success) throw entryError(this.#folder, DOCKER_INDEX, "isn't what docker save writes");
    const { reference } = this.#options;
    const found = read.output.filter(
      ({ RepoTags }) => reference === null || isNamed(RepoTags ?? [], reference),
    );
    const [only, ...others] = found;
    if (only && others.length === 0) return only;
    const names = read.output.flatMap(({ RepoTags }) => RepoTags ?? []).join(", ") || "none with a name";
    throw new Error(
      reference === null
        ? `${this.name} has ${found.length} images; name one of them: ${names}`
        : `${this.name} has ${only ? "several" : "no"} ${formatReference(reference)}; it has ${names}`,
    );
  }

  async #config(path: string): Promise<{ config: Descriptor; diffIds: Digest[] }> {
    const bytes = await documentIn(this.#folder, path);
    if (bytes === null) throw entryError(this.#folder, path, "is missing");
    const digest = digestOfBytes(bytes);
    const [named] = /[0-9a-f]{64}/.exec(path.split("/").at(-1) ?? "") ?? [];
    if (named !== undefined && digest !== `sha256:${named}`) {
      throw entryError(this.#folder, path, `is ${digest}, though its name says otherwise`);
    }
    this.#parts.set(digest, { folder: this.#folder, path });
    const read = v.safeParse(Config, await jsonIn(this.#folder, path));
    const diffIds = read.success ? read.output.rootfs.diff_ids.map(parseDigest) : [null];
    if (!diffIds.every((each) => each !== null)) {
      throw entryError(this.#folder, path, "is no image's config: it has no rootfs.diff_ids");
    }
    return { config: { mediaType: OCI_CONFIG, digest, size: bytes.byteLength }, diffIds };
  }

  /** A layer as it is to be copied. */
  async #layer(path: string, diffId: Digest): Promise<Descriptor> {
    const size = await this.#folder.size(path);
    if (size === null) throw entryError(this.#folder, path, "is missing");
    const compression = await this.#compressionOf(path);
    if (compression === "none" && !this.#options.compress) {
      this.#parts.set(diffId, { folder: this.#folder, path });
      return { mediaType: LAYER, digest: diffId, size };
    }
    const [inner, outer] = [createHash("sha256"), createHash("sha256")];
    try {
      const folder =
        compression === "none"
          ? await this.#compressed(path, inner, outer)
          : await this.#measured(path, compression, inner, outer);
      const actual = `sha256:${inner.digest("hex")}`;
      if (actual !== diffId) throw new Error(`is ${actual}, though the config says ${diffId}`);
      const digest: Digest = `sha256:${outer.digest("hex")}`;
      this.#parts.set(digest, { folder, path });
      const suffix = compression === "none" ? "gzip" : compression;
      return { mediaType: `${LAYER}+${suffix}`, digest, size: (await folder.size(path)) ?? 0 };
    } catch (error) {
      throw entryError(this.#folder, path, causeOf(error));
    }
  }

  /** Compresses a layer into a temporary file. @param inner hashes what it was, @param outer what it becomes. */
  async #compressed(path: string, inner: Hash, outer: Hash): Promise<ContentFolder> {
    const packed = pipeline(hashed(this.#folder.read(path), inner), createGzip(), () => {});
    const file = await spool(hashed(packed, outer), this.#options.env);
    this.#spooled.push(file);
    return {
      name: this.name,
      size: async () => (await file.stat()).size,
      read: () => bytesOf(file),
      close: async () => {},
    };
  }

  /** Reads a compressed layer. @param outer hashes it as it is, @param inner what it unpacks to. */
  async #measured(
    path: string,
    compression: Exclude<Compression, "none">,
    inner: Hash,
    outer: Hash,
  ): Promise<ContentFolder> {
    const unpacked = decompressed(hashed(this.#folder.read(path), outer), compression);
    for await (const piece of unpacked) inner.update(piece);
    return this.#folder;
  }

  async #compressionOf(path: string): Promise<Compression> {
    const pieces: Uint8Array[] = [];
    for await (const piece of this.#folder.read(path, MAGIC_LENGTH)) pieces.push(piece);
    try {
      return compressionOf(Buffer.concat(pieces));
    } catch (error) {
      throw entryError(this.#folder, path, `can't be read: ${causeOf(error)}`);
    }
  }
}

async function* hashed(bytes: AsyncIterable<Uint8Array>, hash: Hash): AsyncGenerator<Uint8Array> {
  for await (const piece of bytes) {
    hash.update(piece);
    yield piece;
  }
}

/** Whether one of the names, as `alpine:3.20`, is the reference, `latest` where it has no tag. */
function isNamed(names: readonly string[], { tag, ...reference }: ImageReference): boolean {
  const wanted = formatReference({ ...reference, tag: tag ?? "latest" });
  return names.some((name) => {
    try {
      return formatReference(parseReference(name)) === wanted;
    } catch {
      return false;
    }
  });
}
