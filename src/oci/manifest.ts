// What a mirror needs to know of a manifest: what it is, and which content it leads to.

import { type Digest, parseDigest } from "./digest.ts";
import { elementsOf, findMembers, parseSpan, type Span } from "./json-spans.ts";
import { DOCKER_MANIFEST, isIndexType, isManifestType, OCI_INDEX, OCI_MANIFEST } from "./mediatypes.ts";

/** Bytes. The spec asks for 4 MiB at least; more would crowd an isolate's memory. */
export const MAXIMUM_MANIFEST = 4 * 1024 * 1024;

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
  /** The content itself, in base64: clients need not fetch it. */
  data?: string;
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

/** The type of an image's config in Docker's format. */
const DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json";

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
  const outline = readOutline(bytes);
  if (outline === null) return null;
  const { members, mediaType, kind } = outline;
  const descriptors = (key: string) => readDescriptors(bytes, members.get(key));
  const descriptor = (key: string) => readDescriptor(parseSpan(bytes, members.get(key)));
  const isImage = kind === "image";
  return {
    mediaType,
    kind,
    manifests: isImage ? [] : descriptors("manifests"),
    config: isImage ? descriptor("config") : null,
    layers: isImage ? descriptors(members.has("layers") ? "layers" : "blobs") : [],
    subject: descriptor("subject"),
    artifactType: readString(parseSpan(bytes, members.get("artifactType"))),
  };
}

/**
 * The media type to serve a manifest with: the body's own; else what its form says, for only OCI's types may be absent
 * from the body. What an upstream called it doesn't count: the same bytes are served to all clients, wherever they came from first.
 * @returns null for what is no manifest.
 */
export function manifestType(bytes: Uint8Array): string | null {
  const outline = readOutline(bytes);
  if (outline === null) return null;
  if (outline.mediaType !== null) return outline.mediaType;
  if (outline.kind === "index") return OCI_INDEX;
  const config = readDescriptor(parseSpan(bytes, outline.members.get("config")));
  return config?.mediaType === DOCKER_CONFIG ? DOCKER_MANIFEST : OCI_MANIFEST;
}

/** What an index lists, to the letter; null for what is no index. */
export function readIndexEntries(bytes: Uint8Array): object[] | null {
  const outline = readOutline(bytes);
  if (outline?.kind !== "index") return null;
  const spans = [...elementsOf(bytes, outline.members.get("manifests"))];
  return spans
    .filter(({ start, end }) => end - start >= SHORTEST_DESCRIPTOR)
    .map((span) => parseSpan(bytes, span))
    .filter(isObject);
}

/**
 * Whether a layer must not be fetched and kept: clients get such layers from the descriptor's own `urls`.
 * Source: image-spec, layer.md, "Non-Distributable Layers".
 */
export function isForeign(descriptor: Descriptor): boolean {
  return FOREIGN_LAYERS.some((prefix) => descriptor.mediaType.startsWith(prefix));
}

/** The types of an ordinary image's config and layers. */
const IMAGE_CONFIGS = [DOCKER_CONFIG, "application/vnd.oci.image.config.v1+json"];
const IMAGE_LAYERS = ["application/vnd.oci.image.layer.", "application/vnd.docker.image.rootfs."];

/** The config of an artifact, which its clients seldom ask for; null for an image, whose clients do, and for an index. */
export function artifactConfig(bytes: Uint8Array): Descriptor | null {
  const manifest = readManifest(bytes);
  if (!manifest?.config || manifest.config.data !== undefined) return null;
  const isImage =
    IMAGE_CONFIGS.includes(manifest.config.mediaType) &&
    manifest.layers.every(({ mediaType }) => IMAGE_LAYERS.some((prefix) => mediaType.startsWith(prefix)));
  return isImage ? null : manifest.config;
}

const MEMBERS = [
  "schemaVersion",
  "mediaType",
  "manifests",
  "config",
  "layers",
  "blobs",
  "subject",
  "artifactType",
];

/** What a manifest is, and where its parts lie in it. */
function readOutline(
  bytes: Uint8Array,
): (Pick<Manifest, "mediaType" | "kind"> & { members: Map<string, Span> }) | null {
  const members = findMembers(bytes, MEMBERS);
  if (members === null) return null;
  const type = readString(parseSpan(bytes, members.get("mediaType")));
  const mediaType = type !== null && SERVABLE_TYPE.test(type) ? type : null;
  if (parseSpan(bytes, members.get("schemaVersion")) !== 2 && !isManifestType(mediaType ?? "")) return null;
  if (mediaType !== null && isManifestType(mediaType)) {
    return { members, mediaType, kind: isIndexType(mediaType) ? "index" : "image" };
  }
  const isIndex = members.has("manifests") && !members.has("config") && !members.has("layers");
  return { members, mediaType, kind: isIndex ? "index" : "image" };
}

function readDescriptors(bytes: Uint8Array, list: Span | undefined): Descriptor[] {
  const descriptors: Descriptor[] = [];
  for (const span of elementsOf(bytes, list)) {
    const descriptor =
      span.end - span.start < SHORTEST_DESCRIPTOR ? null : readDescriptor(parseSpan(bytes, span));
    if (descriptor !== null) descriptors.push(descriptor);
  }
  return descriptors;
}

/** Bytes: a digest has 71, and a descriptor a type and a size beside it. Millions of shorter ones aren't even parsed. */
const SHORTEST_DESCRIPTOR = 100;

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
  const data = readString(value.data);
  if (data !== null) descriptor.data = data;
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
