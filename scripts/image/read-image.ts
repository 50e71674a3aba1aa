/** Reads an image from a registry or a mirror: its manifests, each verified by its digest. */
import type { Digest } from "../../src/oci/digest.ts";
import { type Descriptor, type Manifest, readManifest } from "../../src/oci/manifest.ts";
import { platformName } from "../../src/oci/platform.ts";
import type { RegistryClient } from "../registry/client.ts";
import type { RemoteRepository } from "../registry/remote.ts";
import { type Content, entriesOf, type Image, isPlatform, platformImage } from "./image.ts";
import { outcomeOf, type ReadOutcome } from "./read-outcome.ts";

/** A manifest whose bytes have the digest that it is called by. */
export interface ProvenManifest {
  content: Content;
  manifest: Manifest;
  /** Of the response that it came in. */
  headers: Headers;
}

/** What asking for a manifest came to; `proven` unless the response is a refusal or wrong. */
export interface ManifestRead {
  response: ReadOutcome;
  proven: ProvenManifest | null;
}

/** Reads a manifest by tag or digest. Never rejects: what went wrong is in the response. */
export async function readAt(
  client: RegistryClient,
  remote: RemoteRepository,
  reference: string,
): Promise<ManifestRead> {
  try {
    const { digest, bytes, mediaType, headers } = await client.manifest(remote, reference);
    const manifest = readManifest(bytes);
    if (manifest === null)
      return { response: { kind: "wrong", reason: "what it answers is no manifest" }, proven: null };
    const content = { digest, mediaType, size: bytes.byteLength };
    return { response: { kind: "given" }, proven: { content, manifest, headers } };
  } catch (error) {
    return { response: outcomeOf(error), proven: null };
  }
}

export interface ImageRead {
  image: Image;
  /** What came of the manifests that the index lists, and that are wanted. */
  outcomes: Map<Digest, ReadOutcome>;
  proven: Map<Digest, ProvenManifest>;
}

/**
 * Reads on from what a tag leads to.
 * @param wanted platforms; all if empty.
 * @param read a manifest that the index lists.
 * @param config the bytes of a config, null if they can't be had: an image without an index says its platform only there.
 * @throws Error if it is for none of the wanted platforms.
 */
export async function readImage(
  root: ProvenManifest,
  wanted: readonly string[],
  read: (digest: Digest) => Promise<ManifestRead>,
  config: (descriptor: Descriptor) => Promise<Uint8Array | null>,
): Promise<ImageRead> {
  const proven = new Map([[root.content.digest, root]]);
  const outcomes = new Map<Digest, ReadOutcome>();
  if (root.manifest.kind === "image") {
    const name = await onlyPlatform(root.manifest, config);
    if (name !== null && !isPlatform(name, wanted)) throw new Error(`the image is for ${name} only`);
    const platforms = [platformImage(name ?? "image", root.content, root.manifest)];
    return { image: { root: root.content, isIndex: false, platforms }, outcomes, proven };
  }
  const entries = entriesOf(root.manifest, wanted);
  if (entries.length === 0) {
    const offered = entriesOf(root.manifest, []).map(({ name }) => name);
    throw new Error(
      `the image isn't for ${wanted.join(" or ")}; it is for ${offered.join(", ") || "nothing"}`,
    );
  }
  const platforms = await Promise.all(
    entries.map(async ({ name, entry }) => {
      const { response, proven: found } = await read(entry.digest);
      outcomes.set(entry.digest, response);
      if (found !== null) proven.set(entry.digest, found);
      return platformImage(name, entry, found?.manifest ?? null);
    }),
  );
  return { image: { root: root.content, isIndex: true, platforms }, outcomes, proven };
}

async function onlyPlatform(
  { config }: Manifest,
  read: (descriptor: Descriptor) => Promise<Uint8Array | null>,
): Promise<string | null> {
  const facts = config === null ? null : readConfig(await read(config));
  return facts?.platform ?? null;
}

export interface ConfigFacts {
  platform: string | null;
  /** When the image was made, in milliseconds since 1970; null where it doesn't say, or says what builders write to say nothing. */
  made: number | null;
}

/** Builds that are to give the same bytes every time put a date of long ago, often 0. */
const EARLIEST = Date.parse("2000-01-01");

/** What a config says of its image (image-spec, config.md); nothing for what is no config. */
export function readConfig(bytes: Uint8Array | null): ConfigFacts {
  try {
    const { os, architecture, variant, created } = JSON.parse(new TextDecoder().decode(bytes ?? undefined));
    const isNamed = typeof os === "string" && typeof architecture === "string" && os !== "";
    const platform = isNamed
      ? platformName({
          os,
          architecture,
          ...(typeof variant === "string" && variant !== "" ? { variant } : {}),
        })
      : null;
    const made = typeof created === "string" ? Date.parse(created) : Number.NaN;
    return { platform, made: made > EARLIEST ? made : null };
  } catch {
    return { platform: null, made: null };
  }
}
