// What a mirror needs to know of a manifest: what it is, and which content it leads to.

import { type Digest, parseDigest } from "./digest.ts";
import { essence, isIndexType, isManifestType, OCI_INDEX, OCI_MANIFEST } from "./mediatypes.ts";

export interface Platform {
  os: string;
  architecture: string;
  variant?: string;
}

export interface Descriptor {
  mediaType: string;
  digest: Digest;
  /** In bytes. */
  size: number;
  platform?: Platform;
  artifactType?: string;
  annotations?: Record<string, string>;
  urls?: string[];
}

export interface Manifest {
  /** As the body says; null when it doesn't, or says what no manifest's type can be. */
  mediaType: string | null;
  kind: "index" | "image";
  /** What an index lists; empty for an image. */
  manifests: Descriptor[];
  /** Null for an index and for an artifact manifest. */
  config: Descriptor | null;
  /** An image's layers or an artifact manifest's blobs; empty for an index. */
  layers: Descriptor[];
  subject: Descriptor | null;
  artifactType: string | null;
}

type Json = Record<string, unknown>;

/**
 * The body's own word becomes a Content-Type on this host: a type outside `application/` would let a manifest pass
 * itself off as a page, and one with other characters would break the header.
 */
const SERVABLE_TYPE = /^application\/[a-zA-Z0-9][a-zA-Z0-9!#$&^_.+-]{0,126}$/;

/** Layers whose publisher forbade their distribution. */
const FOREIGN_LAYERS = [
  "application/vnd.docker.image.rootfs.foreign.",
  "application/vnd.oci.image.layer.nondistributable.",
];

/**
 * Reads a manifest or an index. Null unless the bytes are a JSON object that has schemaVersion 2 or a manifest's
 * mediaType. Descriptors without a type, a digest or a size are left out; unknown fields are ignored.
 *
 * Every manifest is read as one kind only. A document with the fields of both would otherwise mean one thing here and
 * another to the client (CVE-2021-41190).
 *
 * Source: image-spec, manifest.md and image-index.md; Docker image manifest v2, schema 2.
 */
export function readManifest(bytes: Uint8Array): Manifest | null {
  const body = parseObject(bytes);
  if (body === null) return null;
  const type = readString(body.mediaType);
  const mediaType = type !== null && SERVABLE_TYPE.test(type) ? type : null;
  if (body.schemaVersion !== 2 && !isManifestType(mediaType ?? "")) return null;

  const kind = manifestKind(body, mediaType);
  const isImage = kind === "image";
  return {
    mediaType,
    kind,
    manifests: isImage ? [] : readDescriptors(body.manifests),
    config: isImage ? readDescriptor(body.config) : null,
    layers: isImage ? readDescriptors(body.layers ?? body.blobs) : [],
    subject: readDescriptor(body.subject),
    artifactType: readString(body.artifactType),
  };
}

/**
 * The media type to serve a manifest with: the body's own; else the header's, if it is a manifest's; else the OCI type
 * of its kind. The body comes first because it is what the digest covers.
 */
export function manifestType(manifest: Manifest, contentType: string | null): string {
  if (manifest.mediaType !== null) return manifest.mediaType;
  const type = essence(contentType);
  if (isManifestType(type)) return type;
  return manifest.kind === "index" ? OCI_INDEX : OCI_MANIFEST;
}

/**
 * Whether a layer must not be fetched and kept: clients get such layers from the descriptor's own `urls`.
 * Source: image-spec, layer.md, "Non-Distributable Layers".
 */
export function isForeign(descriptor: Descriptor): boolean {
  return FOREIGN_LAYERS.some((prefix) => descriptor.mediaType.startsWith(prefix));
}

function manifestKind(body: Json, mediaType: string | null): Manifest["kind"] {
  if (mediaType !== null && isManifestType(mediaType)) return isIndexType(mediaType) ? "index" : "image";
  const isIndex = Array.isArray(body.manifests) && body.config === undefined && body.layers === undefined;
  return isIndex ? "index" : "image";
}

function readDescriptors(value: unknown): Descriptor[] {
  if (!Array.isArray(value)) return [];
  return value.map(readDescriptor).filter((descriptor) => descriptor !== null);
}

function readDescriptor(value: unknown): Descriptor | null {
  if (!isObject(value)) return null;
  const mediaType = readString(value.mediaType);
  const digest = parseDigest(readString(value.digest) ?? "");
  const { size } = value;
  if (mediaType === null || digest === null || !isSize(size)) return null;

  const descriptor: Descriptor = { mediaType, digest, size };
  const platform = readPlatform(value.platform);
  if (platform !== null) descriptor.platform = platform;
  const artifactType = readString(value.artifactType);
  if (artifactType !== null) descriptor.artifactType = artifactType;
  if (isObject(value.annotations)) {
    descriptor.annotations = Object.fromEntries(Object.entries(value.annotations).filter(hasStringValue));
  }
  if (Array.isArray(value.urls)) descriptor.urls = value.urls.filter((url) => typeof url === "string");
  return descriptor;
}

function readPlatform(value: unknown): Platform | null {
  if (!isObject(value)) return null;
  const os = readString(value.os);
  const architecture = readString(value.architecture);
  if (os === null || architecture === null) return null;
  const variant = readString(value.variant);
  return variant === null ? { os, architecture } : { os, architecture, variant };
}

function parseObject(bytes: Uint8Array): Json | null {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}

/** A JSON string that says something: registries write "" where they mean nothing. */
function readString(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

function hasStringValue(entry: [string, unknown]): entry is [string, string] {
  return typeof entry[1] === "string";
}
