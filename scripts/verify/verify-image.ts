/** Verifies an image: reads it from the publisher and from every mirror, and compares. */
import pLimit from "p-limit";
import type { Digest } from "../../src/oci/digest.ts";
import type { Descriptor } from "../../src/oci/manifest.ts";
import { checkBlob, downloadBlob, readSmallBlob } from "../image/blobs.ts";
import { blobsOf, type Image, sizeOf } from "../image/image.ts";
import { type ImageRead, type ProvenManifest, readAt, readConfig, readImage } from "../image/read-image.ts";
import type { ReadOutcome } from "../image/read-outcome.ts";
import type { Source } from "../image/sources.ts";
import type { RegistryClient } from "../registry/client.ts";
import { RegistryFailure } from "../registry/failure.ts";
import { formatReference, type ImageReference, manifestReference } from "../registry/reference.ts";
import { shortMirror } from "../terminal/format.ts";
import type { Progress } from "../terminal/progress.ts";
import { compare, type Finding, type MirrorView } from "./compare.ts";

export interface VerifyOptions {
  client: RegistryClient;
  reference: ImageReference;
  publisher: Source;
  mirrors: readonly Source[];
  /** All if empty. */
  platforms: readonly string[];
  /** Whether every blob is downloaded and hashed, or only requested. */
  deep: boolean;
  progress: Progress;
}

export interface MirrorResult {
  /** Its URL as it was given. */
  mirror: string;
  findings: readonly Finding[];
}

export interface ImageResult {
  /** The complete reference. */
  image: string;
  /** The host that was taken for the publisher's. */
  publisher: string;
  expected: Image;
  mirrors: readonly MirrorResult[];
}

/** What a mirror has shown of an image, before the publisher is involved. */
interface Look {
  root: ReadOutcome;
  read: ImageRead | null;
}

/** Requests to one registry or mirror at a time: for manifests, headers and configs, and for whole layers. */
const CONCURRENT_REQUESTS = 8;
const CONCURRENT_DOWNLOADS = 3;

/**
 * Every mirror is read first, and what it gave is proven by its digests: the publisher, who may count what is requested of it, then only has
 * to say what its tag leads to, and what no mirror could show.
 * @throws RegistryFailure if the publisher doesn't respond or has no such image; Error if it isn't for a wanted platform.
 */
export async function verifyImage(options: VerifyOptions): Promise<ImageResult> {
  const { reference, publisher, mirrors } = options;
  const [root, ...looks] = await Promise.all([
    publishedDigest(options),
    ...mirrors.map((mirror) => lookAt(mirror, options)),
  ]);
  const proven = new Map(looks.flatMap(({ read }) => [...(read?.proven ?? [])]));
  const expected = await readPublished(root, proven, options);
  const results = mirrors.map(async (mirror, index) => {
    const view = await viewOf(
      looks[index] ?? { root: { kind: "missing" }, read: null },
      mirror,
      expected,
      options,
    );
    return { mirror: mirror.name, findings: compare(expected, view) };
  });
  return {
    image: formatReference(reference),
    publisher: publisher.name,
    expected,
    mirrors: await Promise.all(results),
  };
}

/** What the publisher's tag leads to: by HEAD, which Docker Hub doesn't count. */
async function publishedDigest({ client, publisher, reference }: VerifyOptions): Promise<Digest> {
  if (reference.digest !== null) return reference.digest;
  const tag = manifestReference(reference);
  const heading = await client.head(publisher.remote, tag);
  if (heading === null) {
    throw new RegistryFailure(
      404,
      "MANIFEST_UNKNOWN",
      `${publisher.name} has no ${formatReference(reference)}`,
    );
  }
  return heading.digest ?? (await client.manifest(publisher.remote, tag)).digest;
}

async function readPublished(
  root: Digest,
  proven: ReadonlyMap<Digest, ProvenManifest>,
  { client, publisher, platforms }: VerifyOptions,
): Promise<Image> {
  const read = async (digest: Digest) => {
    const known = proven.get(digest);
    return known
      ? { response: { kind: "given" } as const, proven: known }
      : readAt(client, publisher.remote, digest);
  };
  const config = (descriptor: Descriptor) => readSmallBlob(client, publisher.remote, descriptor);
  const first = await read(root);
  if (first.proven === null) throw refused(first.response, publisher);
  const { image, outcomes } = await readImage(first.proven, platforms, read, config);
  for (const response of outcomes.values()) {
    if ("reason" in response) throw refused(response, publisher);
  }
  // What the publisher lists and doesn't have can't be expected of a mirror.
  const had = image.platforms.filter(({ manifest }) => outcomes.get(manifest.digest)?.kind !== "missing");
  return { ...image, platforms: had };
}

function refused(response: ReadOutcome, { name }: Source): RegistryFailure {
  const reason = "reason" in response ? response.reason : `${name} doesn't have what its tag leads to`;
  return new RegistryFailure(0, "UNAVAILABLE", reason);
}

async function lookAt({ remote }: Source, { client, reference, platforms }: VerifyOptions): Promise<Look> {
  const { response, proven } = await readAt(client, remote, manifestReference(reference));
  if (proven === null) return { root: response, read: null };
  const few = pLimit(CONCURRENT_REQUESTS);
  const read = (digest: Digest) => few(() => readAt(client, remote, digest));
  const config = (descriptor: Descriptor) => readSmallBlob(client, remote, descriptor);
  try {
    return { root: response, read: await readImage(proven, platforms, read, config) };
  } catch (error) {
    if (error instanceof RegistryFailure) throw error;
    // The mirror's image is for other platforms than those that are wanted: none of them is there.
    const image = { root: proven.content, isIndex: proven.manifest.kind === "index", platforms: [] };
    return { root: response, read: { image, outcomes: new Map(), proven: new Map() } };
  }
}

async function viewOf(
  look: Look,
  mirror: Source,
  expected: Image,
  options: VerifyOptions,
): Promise<MirrorView> {
  const { root, read } = look;
  if (read === null) return { root, image: null, outcomes: new Map(), published: new Set(), made: new Map() };
  const { image } = read;
  const [blobs, published] = await Promise.all([
    lookAtBlobs(image, mirror, options),
    publishedOf(image, expected, options),
  ]);
  const made = published.size > 0 ? await madeOf([expected, image], mirror.remote, options) : new Map();
  return { root, image, outcomes: new Map([...read.outcomes, ...blobs]), published, made };
}

async function lookAtBlobs(
  image: Image,
  { name, remote }: Source,
  { client, deep, progress }: VerifyOptions,
): Promise<[Digest, ReadOutcome][]> {
  const blobs = blobsOf(image);
  const few = pLimit(deep ? CONCURRENT_DOWNLOADS : CONCURRENT_REQUESTS);
  const task = deep ? progress.start(shortMirror(name), sizeOf(blobs)) : null;
  const look = (blob: Descriptor) =>
    task
      ? downloadBlob(client, remote, blob, (bytes) => task.advance(bytes))
      : checkBlob(client, remote, blob);
  const outcomes = await Promise.all(
    blobs.map((blob) => few(async (): Promise<[Digest, ReadOutcome]> => [blob.digest, await look(blob)])),
  );
  task?.done("downloaded and hashed");
  return outcomes;
}

/** Which manifests of the mirror's image, where they aren't those expected, the publisher has as well. */
async function publishedOf(
  image: Image,
  expected: Image,
  { client, publisher }: VerifyOptions,
): Promise<Set<Digest>> {
  const manifests = (of: Image) => of.platforms.map(({ manifest }) => manifest.digest);
  const known = [expected.root.digest, ...manifests(expected)];
  const unknown = new Set(
    [image.root.digest, ...manifests(image)].filter((digest) => !known.includes(digest)),
  );
  if (unknown.size === 0) return new Set();
  // What an index of the publisher's lists is the publisher's too, and needs no request of its own.
  if (unknown.has(image.root.digest) && (await client.head(publisher.remote, image.root.digest)) !== null) {
    return unknown;
  }
  const few = pLimit(CONCURRENT_REQUESTS);
  const requested = [...unknown].filter((digest) => digest !== image.root.digest);
  const had = await Promise.all(
    requested.map((digest) =>
      few(async () => ((await client.head(publisher.remote, digest)) === null ? [] : [digest])),
    ),
  );
  return new Set(had.flat());
}

/** When images were made, by their configs: of the mirror, for its own, or of the publisher. */
async function madeOf(
  images: readonly Image[],
  remote: Source["remote"],
  { client, publisher }: VerifyOptions,
): Promise<Map<Digest, number>> {
  const configs = images.flatMap(({ platforms }) => platforms.flatMap(({ config }) => config ?? []));
  const few = pLimit(CONCURRENT_REQUESTS);
  const made = configs.map((config) =>
    few(async (): Promise<[Digest, number][]> => {
      const bytes =
        (await readSmallBlob(client, remote, config)) ??
        (await readSmallBlob(client, publisher.remote, config));
      const when = readConfig(bytes).made;
      return when === null ? [] : [[config.digest, when]];
    }),
  );
  return new Map((await Promise.all(made)).flat());
}
