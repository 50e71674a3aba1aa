/** Reads an image through the mirror's own registry, so that a visitor sees only images that this visitor may pull. */
import { type Digest, parseDigest } from "../../oci/digest.ts";
import { RegistryError } from "../../oci/errors.ts";
import { type Descriptor, type Manifest, readManifest } from "../../oci/manifest.ts";
import { MANIFEST_ACCEPT } from "../../oci/mediatypes.ts";
import { chooseEntry, type ImageConfig, type Layer, layersOf, readConfig } from "./model.ts";

/** A request to the mirror's registry on behalf of the visitor. @param path below `/v2/` */
export type Pull = (
  method: "GET" | "HEAD",
  path: string,
  headers?: { Accept?: string; Range?: string },
) => Promise<Response>;

export interface ImageName {
  /** In the mirror's paths: `docker.io/library/alpine`. */
  path: string;
  /** A tag or a digest. */
  reference: string;
}

export interface Image {
  digest: Digest;
  mediaType: string;
  /** What the tag names: an index, or the image itself. */
  top: Manifest;
  /** The image that is shown: one platform's of an index. */
  shown: { digest: Digest; size: number; manifest: Manifest } | null;
  config: ImageConfig | null;
  layers: Layer[];
  /** Where the top manifest came from (RFC 9211), and what is to be known about that; null for nothing. */
  cacheStatus: string | null;
  warning: string | null;
}

export interface Listing<Entry> {
  entries: Entry[];
  /** Where the next page starts; null after the last. */
  next: string | null;
}

/** Bytes of the largest config that is read. */
const LARGEST_CONFIG = 1024 * 1024;

/**
 * @param platform as in `linux/arm64`; null leaves the choice.
 * @throws RegistryError what the registry's response says.
 */
export async function readImage(pull: Pull, name: ImageName, platform: string | null): Promise<Image> {
  const top = await manifestAt(pull, name.path, name.reference);
  const entry = top.manifest.kind === "index" ? chooseEntry(top.manifest, platform) : null;
  const shown = entry
    ? await manifestAt(pull, name.path, entry.digest)
    : top.manifest.kind === "index"
      ? null
      : top;
  const config = shown?.manifest.config ? await configAt(pull, name.path, shown.manifest.config) : null;
  return {
    digest: top.digest,
    mediaType: top.mediaType,
    top: top.manifest,
    shown: shown && { digest: shown.digest, size: shown.bytes.byteLength, manifest: shown.manifest },
    config,
    layers: shown ? layersOf(shown.manifest, config) : [],
    cacheStatus: top.headers.get("Cache-Status"),
    warning: /^299 \S+ "(.*)"$/.exec(top.headers.get("Warning") ?? "")?.[1] ?? null,
  };
}

/** @throws RegistryError */
export async function manifestAt(pull: Pull, path: string, reference: string) {
  const response = await accepted(pull("GET", `${path}/manifests/${reference}`, { Accept: MANIFEST_ACCEPT }));
  const bytes = new Uint8Array(await response.arrayBuffer());
  const manifest = readManifest(bytes);
  const digest = parseDigest(response.headers.get("Docker-Content-Digest") ?? "");
  if (!manifest || !digest)
    throw new RegistryError(502, "MANIFEST_INVALID", "this is no manifest of an image");
  const mediaType = response.headers.get("Content-Type") ?? "";
  return { manifest, digest, mediaType, bytes, headers: response.headers };
}

/** An artifact's config isn't an image's; a config that can't be read leaves the rest to be shown. */
async function configAt(
  pull: Pull,
  path: string,
  { digest, size, mediaType }: Descriptor,
): Promise<ImageConfig | null> {
  if (size > LARGEST_CONFIG || !/image(\.config)?\.v1\+json$/.test(mediaType)) return null;
  const response = await pull("GET", `${path}/blobs/${digest}`);
  if (!response.ok || Number(response.headers.get("Content-Length") ?? size) > LARGEST_CONFIG) {
    await response.body?.cancel();
    return null;
  }
  return readConfig(await response.text().catch(() => ""));
}

/** Tags of a page of a list. */
const TAGS = 200;

/** @param last the tag after which the page starts. @throws RegistryError */
export async function readTags(pull: Pull, path: string, last: string | null): Promise<Listing<string>> {
  const query = new URLSearchParams({ n: String(TAGS), ...(last === null ? {} : { last }) });
  const response = await accepted(pull("GET", `${path}/tags/list?${query}`));
  const { tags } = await objectIn(response);
  const link = /<([^>]*)>/.exec(response.headers.get("Link") ?? "")?.[1];
  const next = link === undefined ? null : new URL(link, "http://mirror/").searchParams.get("last");
  return {
    entries: Array.isArray(tags) ? tags.filter((tag) => typeof tag === "string").slice(0, TAGS) : [],
    next,
  };
}

/** What a hosted repository has, by the same requests as a client's. */
export function hostedAt(pull: Pull, path: string): { hasBlob: (digest: Digest) => Promise<boolean> } {
  return {
    hasBlob: async (digest) => {
      const { ok, status } = await pull("HEAD", `${path}/blobs/${digest}`);
      if (ok || status === 404) return ok;
      throw new Error(`${path} responded with ${status}`);
    },
  };
}

export interface Referrer {
  digest: string;
  /** What it is: a signature, an SBOM, … */
  type: string;
  size: number;
}

/** What refers to an image: signatures, SBOMs and the like, by the referrers API or by cosign's tags. */
export async function readReferrers(pull: Pull, path: string, digest: Digest): Promise<Referrer[]> {
  const response = await accepted(pull("GET", `${path}/referrers/${digest}`));
  const { manifests } = await objectIn(response);
  const found = (Array.isArray(manifests) ? manifests : []).flatMap((each): Referrer[] => {
    const { digest, artifactType, mediaType, size } = each ?? {};
    if (typeof digest !== "string" || parseDigest(digest) === null) return [];
    return [{ digest, type: String(artifactType ?? mediaType ?? ""), size: Number(size) || 0 }];
  });
  const tag = `${digest.replace(":", "-")}.sig`;
  const signature = await pull("HEAD", `${path}/manifests/${tag}`, { Accept: MANIFEST_ACCEPT });
  const signed = signature.ok ? parseDigest(signature.headers.get("Docker-Content-Digest") ?? "") : null;
  const size = Number(signature.headers.get("Content-Length") ?? 0);
  return signed ? [...found, { digest: signed, type: `cosign (${tag.slice(0, 19)}….sig)`, size }] : found;
}

/** @throws RegistryError for an error of the mirror's registry, with what it says. */
export async function accepted(requested: Promise<Response>): Promise<Response> {
  const response = await requested;
  if (response.ok) return response;
  const { errors } = await objectIn(response);
  const first = Array.isArray(errors) ? errors[0] : null;
  const message =
    typeof first?.message === "string" ? first.message : `the registry responded ${response.status}`;
  const challenge = response.headers.get("WWW-Authenticate");
  const headers = challenge === null ? {} : { "WWW-Authenticate": challenge };
  throw new RegistryError(response.status, "UNAVAILABLE", message, headers);
}

// biome-ignore lint/suspicious/noExplicitAny: what a registry sends is of any kind, and looked at by its readers.
async function objectIn(response: Response): Promise<Record<string, any>> {
  const read = await response.json().catch(() => null);
  return typeof read === "object" && read !== null ? read : {};
}
