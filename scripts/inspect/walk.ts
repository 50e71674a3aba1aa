/** Goes the way that a pull goes through a mirror, and notes at each step what was met. Layers are requested, not moved. */
import pLimit from "p-limit";
import { type Digest, referrersTag } from "../../src/oci/digest.ts";
import type { Descriptor, Manifest } from "../../src/oci/manifest.ts";
import { readSmallBlob } from "../image/blobs.ts";
import { isStored } from "../image/cache-status.ts";
import { entriesOf, isAttestation, isPlatform, type PlatformImage, platformImage } from "../image/image.ts";
import { type ManifestRead, readAt, readConfig } from "../image/read-image.ts";
import type { HeadResult, RegistryClient, RemoteRepository } from "../registry/client.ts";
import { RegistryFailure } from "../registry/failure.ts";
import { formatReference, type ImageReference, manifestReference } from "../registry/reference.ts";
import { kindOf, madeBy, predicates } from "./kinds.ts";

export interface Step {
  digest: Digest;
  /** In bytes. */
  size: number;
  /** Null where the mirror doesn't say. */
  stored: boolean | null;
}

export interface LayerStep extends Step {
  /** The command that made it, by the config's history; null where that doesn't say. */
  madeBy: string | null;
}

export interface Referrer {
  /** In words: `signature (cosign)`. */
  kind: string;
  digest: Digest | null;
  size: number | null;
}

export interface Walk {
  image: string;
  platform: string;
  /** Null for an image without one. */
  index: (Step & { platforms: string[] }) | null;
  manifest: Step;
  config: (Step & { made: string | null }) | null;
  layers: LayerStep[];
  referrers: Referrer[];
  /** All platforms with their layers; empty unless they were requested. */
  platforms: PlatformImage[];
}

export interface WalkOptions {
  client: RegistryClient;
  remote: RemoteRepository;
  reference: ImageReference;
  /** The platform whose way is gone. */
  platform: string;
  /** Whether the manifests of the other platforms are read as well, each of which counts as a pull where pulls are counted. */
  all: boolean;
}

const CONCURRENT_REQUESTS = 8;

/** @throws RegistryFailure, or Error if the image isn't for that platform. */
export async function walk(options: WalkOptions): Promise<Walk> {
  const { client, remote, reference, platform } = options;
  const name = manifestReference(reference);
  // Requested by HEAD before it is fetched, since fetching changes the response.
  const before = await client.head(remote, name);
  const root = proved(await readAt(client, remote, name), formatReference(reference));
  const rootStep = { ...root.content, stored: storedOf(before) };
  const common = { image: formatReference(reference), platform };
  if (root.manifest.kind === "image") {
    const way = await walkManifest(options, rootStep, root.manifest);
    const referrers = await referrersOf(options, [root.content.digest], []);
    return {
      ...common,
      platform: way.platform ?? platform,
      index: null,
      ...way.steps,
      referrers,
      platforms: [],
    };
  }
  const entries = entriesOf(root.manifest, []);
  const chosen = entries.find((each) => isPlatform(each.name, [platform]) && !isAttestation(each.entry));
  const offered = entries.filter(({ entry }) => !isAttestation(entry)).map((each) => each.name);
  if (!chosen) throw new Error(`the image isn't for ${platform}; it is for ${offered.join(", ")}`);
  const { digest, size } = chosen.entry;
  const stored = storedOf(await client.head(remote, digest));
  const { manifest } = proved(await readAt(client, remote, digest), digest);
  const way = await walkManifest(options, { digest, size, stored }, manifest);
  const attested = root.manifest.manifests.filter(
    (entry) => isAttestation(entry) && Object.values(entry.annotations ?? {}).includes(digest),
  );
  return {
    ...common,
    platform: chosen.name,
    index: { ...rootStep, platforms: offered },
    ...way.steps,
    referrers: await referrersOf(options, [root.content.digest, digest], attested),
    platforms: options.all ? await readAll(options, entries) : [],
  };
}

async function walkManifest(
  { client, remote }: WalkOptions,
  { digest, size, stored }: Step,
  { config, layers }: Manifest,
): Promise<{ platform: string | null; steps: Pick<Walk, "manifest" | "config" | "layers"> }> {
  const few = pLimit(CONCURRENT_REQUESTS);
  const stepTo = (blob: Descriptor) =>
    few(async (): Promise<Step> => {
      const heading = await client.headBlob(remote, blob.digest);
      return { digest: blob.digest, size: blob.size, stored: heading && isStored(heading.headers) };
    });
  const configStep = config && (await stepTo(config));
  const bytes = config && (await readSmallBlob(client, remote, config));
  const { platform, made } = readConfig(bytes);
  const commands = madeBy(bytes);
  const steps = await Promise.all(layers.map(stepTo));
  return {
    platform,
    steps: {
      manifest: { digest, size, stored },
      config: configStep && { ...configStep, made: made === null ? null : new Date(made).toISOString() },
      // A history with another number of layers than the manifest has tells nothing of any of them.
      layers: steps.map((step, index) => ({
        ...step,
        madeBy: commands.length === layers.length ? (commands[index] ?? null) : null,
      })),
    },
  };
}

async function readAll(
  { client, remote }: WalkOptions,
  entries: readonly { name: string; entry: Descriptor }[],
): Promise<PlatformImage[]> {
  const few = pLimit(CONCURRENT_REQUESTS);
  return Promise.all(
    entries.map(({ name, entry }) =>
      few(async () =>
        platformImage(name, entry, proved(await readAt(client, remote, entry.digest), name).manifest),
      ),
    ),
  );
}

/** What is known of signatures, SBOMs and attestations: by the referrers API, by cosign's tags, and in the index itself. */
async function referrersOf(
  { client, remote }: WalkOptions,
  subjects: readonly Digest[],
  attested: readonly Descriptor[],
): Promise<Referrer[]> {
  const listed = await Promise.all(subjects.map((digest) => client.referrers(remote, digest)));
  const byApi = listed.flat().map((each) => ({ kind: kindOf(each), digest: each.digest, size: each.size }));
  const cosign = subjects.flatMap((digest) =>
    Object.entries(COSIGN_TAGS).map(async ([suffix, kind]): Promise<Referrer[]> => {
      const heading = await client.head(remote, `${referrersTag(digest)}.${suffix}`);
      return heading === null ? [] : [{ kind, digest: heading.digest, size: heading.size }];
    }),
  );
  const inIndex = attested.map(async ({ digest, size }): Promise<Referrer> => {
    const { proven } = await readAt(client, remote, digest);
    return { kind: proven ? predicates(proven.manifest.layers) : "attestation", digest, size };
  });
  return [...byApi, ...(await Promise.all(cosign)).flat(), ...(await Promise.all(inIndex))];
}

/** Tags beside an image, from before there were referrers (sigstore/cosign, "Signature Specification"). */
const COSIGN_TAGS = {
  sig: "signature (cosign)",
  att: "attestation (cosign)",
  sbom: "SBOM (cosign)",
} as const;

function storedOf(heading: HeadResult | null): boolean | null {
  return heading && isStored(heading.headers);
}

function proved({ response, proven }: ManifestRead, what: string) {
  if (proven !== null) return proven;
  const reason = "reason" in response ? response.reason : `the mirror has no ${what}`;
  throw new RegistryFailure(0, "UNAVAILABLE", reason);
}
