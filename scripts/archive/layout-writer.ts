/** Writes images as an OCI image layout (image-spec, image-layout.md), which `docker load` can read too if it is to. */
import type { Digest } from "../../src/oci/digest.ts";
import {
  blobPath,
  DOCKER_INDEX,
  type DockerImage,
  dockerImage,
  familiarName,
  IMAGE_NAME,
  INDEX,
  isImageConfig,
  LAYOUT,
  REF_NAME,
} from "../../src/oci/layout.ts";
import { type Descriptor, isForeign, type Manifest, readIndexEntries } from "../../src/oci/manifest.ts";
import { OCI_INDEX } from "../../src/oci/mediatypes.ts";
import type { BlobResult, ImageSource, ImageTarget, ManifestContent } from "../copy/image-io.ts";
import { entriesOf, isAttestation } from "../image/image.ts";
import type { Blob } from "../registry/download.ts";
import { formatReference, type ImageReference } from "../registry/reference.ts";
import type { ContentWriter } from "./content-writer.ts";

export interface LayoutOptions {
  /** Whether it gets a manifest.json, as `docker load` wants it: only images can be in it then, and no artifacts. */
  forDocker: boolean;
  /** As `linux/amd64`: of an image of several platforms the one that manifest.json names, or the first if that isn't there. */
  platform: string;
}

export class LayoutWriter {
  readonly #content: ContentWriter;
  readonly #options: LayoutOptions;
  readonly #manifests = new Map<Digest, Manifest>();
  /** By name, or by digest for what has none. */
  readonly #entries = new Map<string, Descriptor>();
  readonly #dockerImages: DockerImage[] = [];

  constructor(content: ContentWriter, options: LayoutOptions) {
    this.#content = content;
    this.#options = options;
  }

  /** One image in it, whose tag is its name in the layout. @param reference what Docker is to call it; null for nothing. */
  target(reference: ImageReference | null): ImageTarget {
    const content = this.#content;
    return {
      name: content.name,
      id: content.name,
      hasManifest: async (name, digest) =>
        name === digest ? this.#manifests.has(digest) : this.#entries.get(name)?.digest === digest,
      hasBlob: (blob) => content.has(blobPath(blob.digest), blob),
      putBlob: (blob, source, open) => this.#putBlob(blob, source, open),
      putManifest: (manifest, parsed, tag) => this.#putManifest(manifest, parsed, tag),
      finish: (root, tag) => this.#finish(root, tag, reference),
    };
  }

  /** Completes the layout and publishes it. */
  async commit(): Promise<void> {
    const entries = [...(await this.#otherEntries()), ...this.#entries.values()];
    if (this.#options.forDocker) await this.#writeJson(DOCKER_INDEX, this.#dockerImages);
    await this.#writeJson(LAYOUT.path, LAYOUT.content);
    // Last: a layout that breaks off before has no images.
    await this.#writeJson(INDEX, { schemaVersion: 2, mediaType: OCI_INDEX, manifests: entries });
    await this.#content.commit();
  }

  /** Removes what was written, unless it was committed. */
  discard(): Promise<void> {
    return this.#content.discard();
  }

  async #putBlob(
    { digest, size }: Blob,
    _source: ImageSource,
    open: () => AsyncIterable<Uint8Array>,
  ): Promise<BlobResult> {
    await this.#content.write(blobPath(digest), size, open);
    return "sent";
  }

  async #putManifest(content: ManifestContent, manifest: Manifest, tag: string | null): Promise<void> {
    const { bytes, digest } = content;
    if (!this.#manifests.has(digest)) {
      this.#manifests.set(digest, manifest);
      await this.#writeBytes(blobPath(digest), bytes, { digest, size: bytes.byteLength });
    }
    if (tag !== null) this.#entries.set(tag, descriptorOf(content, { [REF_NAME]: tag }));
    else if (manifest.subject !== null) this.#entries.set(digest, descriptorOf(content, {}));
  }

  async #finish(root: ManifestContent, tag: string | null, reference: ImageReference | null): Promise<void> {
    const annotations = {
      ...(reference?.tag && { [IMAGE_NAME]: formatReference(reference) }),
      ...(tag !== null && { [REF_NAME]: tag }),
    };
    this.#entries.set(tag ?? root.digest, descriptorOf(root, annotations));
    if (this.#options.forDocker) await this.#addDockerImage(root, reference);
  }

  async #addDockerImage(root: ManifestContent, reference: ImageReference | null): Promise<void> {
    const { config, layers } = this.#imageOf(root.digest, reference);
    const forbidden = layers.find(isForeign);
    if (forbidden) {
      throw new Error(
        `${forbidden.digest} mustn't be distributed, by its publisher's word: Docker can't load the image`,
      );
    }
    const repoTag = reference?.tag
      ? familiarName(reference.registry, reference.repository, reference.tag)
      : null;
    const image = dockerImage(config, layers, repoTag);
    const same = this.#dockerImages.find(({ Config }) => Config === image.Config);
    if (!same) this.#dockerImages.push(image);
    else if (repoTag !== null && !same.RepoTags?.includes(repoTag))
      same.RepoTags = [...(same.RepoTags ?? []), repoTag];
  }

  /** The image that manifest.json names: of an index the one for the platform, or else the first. */
  #imageOf(
    digest: Digest,
    reference: ImageReference | null,
  ): { config: Descriptor; layers: readonly Descriptor[] } {
    const manifest = this.#manifests.get(digest);
    if (manifest?.kind === "index") {
      const images = manifest.manifests.filter(
        (entry) => !isAttestation(entry) && this.#manifests.has(entry.digest),
      );
      const own = entriesOf({ ...manifest, manifests: images }, [this.#options.platform])[0]?.entry;
      const entry = own ?? images[0];
      if (entry) return this.#imageOf(entry.digest, reference);
    }
    const { config = null, layers = [] } = manifest ?? {};
    if (isImageConfig(config)) return { config, layers };
    const name = reference ? formatReference(reference) : digest;
    throw new Error(`${name} is an artifact, which Docker can't load: copy it to oci: or oci-archive:`);
  }

  /** What a layout lists that was there before, to the letter, without what is replaced. */
  async #otherEntries(): Promise<object[]> {
    const bytes = await this.#content.existing(INDEX);
    if (bytes === null) return [];
    const listed = readIndexEntries(bytes);
    if (listed === null) throw new Error(`${this.#content.name}: ${INDEX} is no index`);
    return listed.filter((entry) => !this.#entries.has(keyOf(entry)));
  }

  #writeJson(path: string, json: unknown): Promise<void> {
    return this.#writeBytes(path, new TextEncoder().encode(JSON.stringify(json)), null);
  }

  async #writeBytes(path: string, bytes: Uint8Array, blob: Blob | null): Promise<void> {
    if (blob && (await this.#content.has(path, blob))) return;
    await this.#content.write(path, bytes.byteLength, async function* () {
      yield bytes;
    });
  }
}

function descriptorOf(
  { mediaType, digest, bytes }: ManifestContent,
  annotations: Record<string, string>,
): Descriptor {
  const isNamed = Object.keys(annotations).length > 0;
  return { mediaType, digest, size: bytes.byteLength, ...(isNamed && { annotations }) };
}

function keyOf(entry: object): string {
  const { annotations, digest } = entry as { annotations?: Record<string, unknown>; digest?: unknown };
  return String(annotations?.[REF_NAME] ?? digest);
}
