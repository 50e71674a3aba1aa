/**
 * An image as a tar: an OCI image layout that `docker load` reads too. What it consists of, and so its length and every byte of it,
 * follows from the manifest alone.
 */
import { type Digest, digestOf, digestParts, wellKnown } from "../../oci/digest.ts";
import { RegistryError } from "../../oci/errors.ts";
import {
  blobPath,
  DOCKER_INDEX,
  dockerImage,
  familiarName,
  IMAGE_NAME,
  INDEX,
  isImageConfig,
  LAYOUT,
  REF_NAME,
} from "../../oci/layout.ts";
import { type Descriptor, isForeign, type Manifest } from "../../oci/manifest.ts";
import { OCI_INDEX } from "../../oci/mediatypes.ts";
import { END, LARGEST, padding, tarHeader } from "./tar.ts";

export interface SavedManifest {
  digest: Digest;
  mediaType: string;
  bytes: Uint8Array;
  /** Of one image or artifact, no index. */
  manifest: Manifest;
}

/** What Docker and containerd call the image. */
export interface SavedName {
  registry: string;
  repository: string;
  tag: string | null;
}

/** Bytes that are known, or a blob's. */
export type Part = Uint8Array | Pick<Descriptor, "digest" | "size">;

export interface Archive {
  parts: readonly Part[];
  /** Bytes. */
  size: number;
  /** Strong: another tar has another one (RFC 9110 §8.8.3). */
  etag: string;
}

/** @throws RegistryError for an image that a tar can't have. */
export async function archiveOf(saved: SavedManifest, name: SavedName): Promise<Archive> {
  const { config, layers } = saved.manifest;
  const blobs = new Map([...(config ? [config] : []), ...layers].map((blob) => [blob.digest, blob]));
  for (const blob of blobs.values()) checkBlob(blob);
  const parts: Part[] = [];
  for (const { digest, size } of blobs.values()) {
    const known = wellKnown(digest);
    const content = known === null ? { digest, size } : new TextEncoder().encode(known);
    parts.push(tarHeader(blobPath(digest), size), content, padding(size));
  }
  for (const [path, bytes] of documentsOf(saved, name)) {
    parts.push(tarHeader(path, bytes.byteLength), bytes, padding(bytes.byteLength));
  }
  parts.push(END);
  const { hex } = digestParts(await digestOf(joined(parts.filter(isBytes))));
  return { parts, size: parts.reduce((sum, part) => sum + sizeOf(part), 0), etag: `"${hex}"` };
}

export function isBytes(part: Part): part is Uint8Array {
  return part instanceof Uint8Array;
}

export function sizeOf(part: Part): number {
  return isBytes(part) ? part.byteLength : part.size;
}

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(chunks.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.byteLength;
  }
  return bytes;
}

/** The index comes last: a tar that breaks off can't be loaded. */
function documentsOf(saved: SavedManifest, { registry, repository, tag }: SavedName): [string, Uint8Array][] {
  const { digest, mediaType, bytes, manifest } = saved;
  const annotations = tag !== null && {
    annotations: { [IMAGE_NAME]: `${registry}/${repository}:${tag}`, [REF_NAME]: tag },
  };
  const manifests = [{ mediaType, digest, size: bytes.byteLength, ...annotations }];
  const { config, layers } = manifest;
  const repoTag = tag === null ? null : familiarName(registry, repository, tag);
  const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
  return [
    [blobPath(digest), bytes],
    ...(isImageConfig(config)
      ? [[DOCKER_INDEX, json([dockerImage(config, layers, repoTag)])] satisfies [string, Uint8Array]]
      : []),
    [LAYOUT.path, json(LAYOUT.content)],
    [INDEX, json({ schemaVersion: 2, mediaType: OCI_INDEX, manifests })],
  ];
}

function checkBlob(blob: Descriptor): void {
  const problem = problemWith(blob);
  if (problem !== null) throw new RegistryError(403, "DENIED", `${blob.digest} ${problem}`);
}

function problemWith(blob: Descriptor): string | null {
  const { digest, size } = blob;
  if (isForeign(blob)) return "mustn't be distributed, by its publisher's word";
  if (digest.startsWith("sha512:") || size > LARGEST) {
    return "can't be part of this tar; portolan save writes one that has it";
  }
  // Other blobs are compared with the store. After a wrong size, a blob's content would be read as headers of the tar.
  const length = wellKnown(digest)?.length ?? size;
  return length === size ? null : `isn't ${size} bytes long, as its manifest says`;
}
