/** An image as its manifests describe it: the objects that a pull meets, in the order in which it meets them. */
import type { Digest } from "../../src/oci/digest.ts";
import { type Descriptor, isForeign, type Manifest } from "../../src/oci/manifest.ts";
import { isSamePlatform, normalPlatform, platformName } from "../../src/oci/platform.ts";

export interface Content {
  digest: Digest;
  mediaType: string;
  /** In bytes. */
  size: number;
}

export interface PlatformImage {
  /** `linux/arm64/v8`; of several with the same name all but the first are numbered: `windows/amd64 (2)`. */
  name: string;
  manifest: Content;
  /** Null for an artifact without one, or while its manifest isn't known. */
  config: Descriptor | null;
  layers: readonly Descriptor[];
}

export interface Image {
  /** What the tag leads to. */
  root: Content;
  /** Whether that is an index; else it is the only platform's manifest. */
  isIndex: boolean;
  platforms: readonly PlatformImage[];
}

/** What BuildKit says of an entry that holds provenance and SBOMs instead of an image (moby/buildkit, attestation-storage.md). */
const REFERENCE_TYPE = "vnd.docker.reference.type";
const REFERENCE_DIGEST = "vnd.docker.reference.digest";

const ATTESTATION = ", attestation";
const QUALIFIER = /,? (attestation|\(\d+\)).*$/;

/** Whether the platform is one of those that are wanted: any if none is named. */
export function isPlatform(name: string, wanted: readonly string[]): boolean {
  return wanted.length === 0 || wanted.some((each) => isSamePlatform(name, each));
}

/** The entries of an index that are wanted, each with its name. Attestations go with the platform that they attest. */
export function entriesOf(index: Manifest, wanted: readonly string[]): { name: string; entry: Descriptor }[] {
  const seen = new Map<string, number>();
  const named = index.manifests.map((entry) => {
    const name = entryName(entry, index.manifests);
    const times = (seen.get(name) ?? 0) + 1;
    seen.set(name, times);
    return { name: times === 1 ? name : `${name} (${times})`, entry };
  });
  return named.filter(({ name }) => isPlatform(bareName(name), wanted));
}

function entryName(entry: Descriptor, all: readonly Descriptor[]): string {
  if (isAttestation(entry)) {
    const subject = all.find(({ digest }) => digest === entry.annotations?.[REFERENCE_DIGEST]);
    return `${subject?.platform ? platformName(subject.platform) : "image"}${ATTESTATION}`;
  }
  return entry.platform ? platformName(entry.platform) : "no platform";
}

/** Whether an index's entry holds what BuildKit attests of another entry. */
export function isAttestation({ annotations }: Descriptor): boolean {
  return annotations?.[REFERENCE_TYPE] === "attestation-manifest";
}

/** Of the name of an attestation's entry, that of the entry that it attests; null for any other. */
export function attestedName(name: string): string | null {
  return name.endsWith(ATTESTATION) ? name.slice(0, -ATTESTATION.length) : null;
}

/** The platform in the name of an entry, without what tells it from others. */
function bareName(name: string): string {
  return name.replace(QUALIFIER, "");
}

/** Whether two images have the same entry by its name, whatever each of them calls the platform. */
export function isSameEntry(one: string, other: string): boolean {
  const [first, second] = [one, other].map(
    (name) => normalPlatform(bareName(name)) + (QUALIFIER.exec(name)?.[0] ?? ""),
  );
  return first === second;
}

/** One platform's part of an image. `manifest` is null where it couldn't be read: then nothing below it is known. */
export function platformImage(name: string, content: Content, manifest: Manifest | null): PlatformImage {
  return { name, manifest: content, config: manifest?.config ?? null, layers: manifest?.layers ?? [] };
}

/** The configs and layers that an image leads to, each once; without those that a mirror mustn't give. */
export function blobsOf({ platforms }: Image): Descriptor[] {
  const all = platforms.flatMap(({ config, layers }) => [...(config === null ? [] : [config]), ...layers]);
  return [...new Map(all.filter((blob) => !isForeign(blob)).map((blob) => [blob.digest, blob])).values()];
}

/** Bytes of all of them together. */
export function sizeOf(contents: readonly Pick<Content, "size">[]): number {
  return contents.reduce((sum, { size }) => sum + size, 0);
}
