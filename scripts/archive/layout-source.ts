/** Images of an OCI image layout (image-spec, image-layout.md), in a folder or a tar. */
import { type Digest, digestParts } from "../../src/oci/digest.ts";
import { blobPath, IMAGE_NAME, INDEX, REF_NAME } from "../../src/oci/layout.ts";
import { type Descriptor, manifestType, readManifest } from "../../src/oci/manifest.ts";
import { isManifestType, OCI_MANIFEST } from "../../src/oci/mediatypes.ts";
import type { ImageSource, ManifestContent } from "../copy/image-io.ts";
import { digestOfBytes } from "../registry/client.ts";
import type { Blob } from "../registry/download.ts";
import { formatReference, parseReference } from "../registry/reference.ts";
import { blobIn, type ContentFolder, documentIn, entryError } from "./content-folder.ts";

export class LayoutSource implements ImageSource {
  readonly name: string;
  readonly remote = null;
  readonly #folder: ContentFolder;
  readonly #image: string | null;

  /** @param image its name in the layout; null for the only one. */
  constructor(folder: ContentFolder, image: string | null) {
    this.#folder = folder;
    this.#image = image;
    this.name = folder.name;
  }

  /** Whether it has the image. */
  async has(): Promise<boolean> {
    if ((await this.#folder.size(INDEX)) === null) return false;
    return new Set(chosen(await this.#entries(), this.#image).map(({ digest }) => digest)).size === 1;
  }

  async root(): Promise<ManifestContent> {
    const entries = await this.#entries();
    const found = chosen(entries, this.#image);
    const [only] = new Set(found.map(({ digest }) => digest));
    if (only !== undefined && found.every(({ digest }) => digest === only)) return this.manifest(only);
    const names =
      [...new Set(entries.flatMap((entry) => nameOf(entry) ?? []))].join(", ") || "none with a name";
    throw new Error(
      this.#image === null
        ? `${this.name} has ${found.length} images; name one of them: ${names}`
        : `${this.name} has ${found.length === 0 ? "no" : "several"} ${this.#image}; it has ${names}`,
    );
  }

  async manifest(digest: Digest): Promise<ManifestContent> {
    const path = blobPath(digest);
    const bytes = await documentIn(this.#folder, path);
    if (bytes === null) throw entryError(this.#folder, path, "is missing");
    const actual = digestOfBytes(bytes, digestParts(digest).algorithm);
    if (actual !== digest)
      throw entryError(this.#folder, path, `is ${actual}, though it should be ${digest}`);
    if (!readManifest(bytes)) throw entryError(this.#folder, path, "is no manifest");
    return { digest, bytes, mediaType: manifestType(bytes) ?? OCI_MANIFEST };
  }

  async tagged(tag: string): Promise<ManifestContent | null> {
    const entry = (await this.#entries()).find(({ annotations }) => annotations?.[REF_NAME] === tag);
    return entry ? this.manifest(entry.digest) : null;
  }

  blob(blob: Blob): AsyncIterable<Uint8Array> {
    return blobIn(this.#folder, blobPath(blob.digest), blob);
  }

  /** A layout lists what refers to its images in its index, with them. */
  async referrers(subject: Digest): Promise<Descriptor[]> {
    const found: Descriptor[] = [];
    for (const entry of await this.#entries()) {
      const { bytes } = await this.manifest(entry.digest);
      if (readManifest(bytes)?.subject?.digest === subject) found.push(entry);
    }
    return found;
  }

  async #entries(): Promise<Descriptor[]> {
    const bytes = await documentIn(this.#folder, INDEX);
    if (bytes === null) throw new Error(`${this.name} is no OCI layout: it has no ${INDEX}`);
    const index = readManifest(bytes);
    if (index?.kind !== "index") throw entryError(this.#folder, INDEX, "is no index");
    return index.manifests.filter(({ mediaType }) => isManifestType(mediaType));
  }
}

function chosen(entries: readonly Descriptor[], image: string | null): Descriptor[] {
  if (image === null) {
    const named = entries.filter((entry) => nameOf(entry) !== null);
    // Beside an image that has a name, what has none refers to it.
    return named.length > 0 ? named : [...entries];
  }
  const exact = entries.filter(({ annotations }) => annotations?.[REF_NAME] === image);
  return exact.length > 0 ? exact : entries.filter((entry) => isSameImage(fullNameOf(entry), image));
}

function nameOf(entry: Descriptor): string | null {
  return entry.annotations?.[REF_NAME] ?? fullNameOf(entry);
}

function fullNameOf({ annotations }: Descriptor): string | null {
  return annotations?.[IMAGE_NAME] ?? null;
}

/** Whether both names are of one image, as `alpine` and `docker.io/library/alpine:latest` are. */
function isSameImage(one: string | null, other: string): boolean {
  if (one === null) return false;
  try {
    return formatReference(parseReference(one)) === formatReference(parseReference(other));
  } catch {
    return one === other;
  }
}
