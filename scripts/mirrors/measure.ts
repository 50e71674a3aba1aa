/** Measures a mirror: whether it responds, how fast, whether what it gives is right, and whether its tags are fresh. */
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { hashed, readSmallBlob } from "../image/blobs.ts";
import { blobsOf, type Image } from "../image/image.ts";
import { type ProvenManifest, readAt, readConfig, readImage } from "../image/read-image.ts";
import { mirrorSource, type Source } from "../image/sources.ts";
import type { RegistryClient } from "../registry/client.ts";
import { RegistryFailure } from "../registry/failure.ts";
import type { Network } from "../registry/network.ts";
import { formatReference, type ImageReference, manifestReference } from "../registry/reference.ts";
import { type RemoteRepository, urlAt } from "../registry/remote.ts";
import { connectionProblem } from "../terminal/connection-problem.ts";
import type { Progress, Task } from "../terminal/progress.ts";
import { type State, worst } from "../verify/compare.ts";
import { verifyImage } from "../verify/verify-image.ts";
import type { PublicMirror } from "./mirror-list.ts";
import type { Measured, TagFound } from "./rank.ts";
import { rateLimit, refusal } from "./rate-limit.ts";

export interface Sample {
  reference: ImageReference;
  /** Null where the publisher doesn't respond: then freshness is unknown. */
  publisher: Source | null;
  platform: string;
}

export interface MeasureOptions {
  client: RegistryClient;
  network: Network;
  progress: Progress;
  /** Milliseconds for the download of the sample layer. */
  download: number;
  /** Runs downloads one after the other, so that mirrors don't take each other's bandwidth. */
  alone: <Value>(work: () => Promise<Value>) => Promise<Value>;
}

/** Milliseconds: for a first sign of life, and for all requests before the download. */
const SIGN_OF_LIFE = 6_000;
const TIME_FOR_METADATA = 45_000;
/** Bytes: a larger sample only costs the mirror traffic. */
const LARGEST = 64 * 1024 * 1024;

const NOTHING = {
  firstByte: null,
  speed: null,
  isCorrect: null,
  freshness: null,
  behind: null,
  limits: null,
  tags: [],
  agrees: null,
} as const;

/** Never rejects: what went wrong is the result's `problem`. */
export async function measure(
  mirror: PublicMirror,
  samples: readonly Sample[],
  options: MeasureOptions,
): Promise<Measured> {
  try {
    const [first] = samples;
    if (first === undefined) throw new RangeError("nothing to measure with");
    await signOfLife(mirrorSource(mirror.url, first.reference).remote, options.network);
    const requested = await Promise.race([measureAll(mirror, samples, options), tooLate()]);
    const download = await options.alone(() => downloadSample(mirror, requested.sample, options));
    const isCorrect = requested.isCorrect && download.isCorrect;
    const { firstByte, freshness, behind, limits, tags } = requested;
    return {
      mirror,
      problem: download.problem,
      firstByte,
      speed: download.speed,
      isCorrect,
      freshness,
      behind,
      limits,
      tags,
      agrees: null,
    };
  } catch (error) {
    return { mirror, problem: problemOf(error), ...NOTHING };
  }
}

/** Whether a registry responds at all from here, with whatever status but a server's error. */
export async function isReachable(endpoint: URL, { fetch }: Network): Promise<boolean> {
  try {
    const response = await fetch(new URL("/v2/", endpoint), { signal: AbortSignal.timeout(SIGN_OF_LIFE) });
    await response.body?.cancel();
    return response.status < 500;
  } catch {
    return false;
  }
}

async function signOfLife(remote: RemoteRepository, { fetch }: Network): Promise<void> {
  const response = await fetch(urlAt(remote, ""), { signal: AbortSignal.timeout(SIGN_OF_LIFE) });
  await response.body?.cancel();
  if (![200, 401].includes(response.status)) throw new RegistryFailure(response.status, null, "");
}

async function tooLate(): Promise<never> {
  await sleep(TIME_FOR_METADATA, undefined, { ref: false });
  throw new RegistryFailure(0, null, `doesn't respond in ${TIME_FOR_METADATA / 1000} s`);
}

interface SampleResult {
  firstByte: number;
  isCorrect: boolean;
  freshness: State | null;
  behind: number | null;
  limits: string | null;
  tags: readonly TagFound[];
  sample: { reference: ImageReference; image: Image };
}

/** Measures with every sample; the worst result counts. */
async function measureAll(
  mirror: PublicMirror,
  samples: readonly Sample[],
  options: MeasureOptions,
): Promise<SampleResult> {
  const all: SampleResult[] = [];
  for (const sample of samples) all.push(await measureWith(mirror, sample, options));
  const [first] = all;
  if (first === undefined) throw new RangeError("nothing to measure with");
  return all.slice(1).reduce(
    (one, other) => ({
      firstByte: Math.min(one.firstByte, other.firstByte),
      isCorrect: one.isCorrect && other.isCorrect,
      freshness: worstOf(one.freshness, other.freshness),
      behind: maximum(one.behind, other.behind),
      limits: other.limits ?? one.limits,
      tags: [...one.tags, ...other.tags],
      sample: largestBlob(other.sample.image) > largestBlob(one.sample.image) ? other.sample : one.sample,
    }),
    first,
  );
}

async function measureWith(
  mirror: PublicMirror,
  sample: Sample,
  options: MeasureOptions,
): Promise<SampleResult> {
  const { client, progress } = options;
  const { reference, publisher, platform } = sample;
  const source = mirrorSource(mirror.url, reference);
  const name = manifestReference(reference);
  // The first request brings a token; the second one shows how fast the mirror is.
  const { headers } = await client.manifest(source.remote, name);
  const started = performance.now();
  await client.head(source.remote, name);
  const firstByte = performance.now() - started;
  const image = await imageAt(client, source.remote, name, platform);
  const tag = { image: formatReference(reference), digest: image.root.digest };
  const common = { firstByte, limits: rateLimit(headers), sample: { reference, image } };
  if (publisher === null) {
    const config = image.platforms[0]?.config;
    const { made } = readConfig(config ? await readSmallBlob(client, source.remote, config) : null);
    return { ...common, tags: [{ ...tag, made }], isCorrect: true, freshness: null, behind: null };
  }
  const { mirrors } = await verifyImage({
    ...{ client, reference, publisher, mirrors: [source], platforms: [platform], deep: false, progress },
  });
  const findings = mirrors.flatMap((each) => each.findings);
  const state = worst(findings);
  const behind = findings.reduce<number | null>((most, finding) => maximum(most, finding.behind), null);
  const tags = [{ ...tag, made: null }];
  return { ...common, tags, isCorrect: state !== "different", freshness: state, behind };
}

async function imageAt(
  client: RegistryClient,
  remote: RemoteRepository,
  name: string,
  platform: string,
): Promise<Image> {
  const { response, proven } = await readAt(client, remote, name);
  if (proven === null)
    throw new RegistryFailure(0, null, "reason" in response ? response.reason : "has lost the image");
  const read = (root: ProvenManifest) =>
    readImage(
      root,
      [platform],
      (digest) => readAt(client, remote, digest),
      (config) => readSmallBlob(client, remote, config),
    );
  return (await read(proven)).image;
}

/** The largest layer that isn't too large, downloaded for as long as it may take; hashed if it came whole. */
async function downloadSample(
  mirror: PublicMirror,
  { reference, image }: SampleResult["sample"],
  { client, progress, download }: MeasureOptions,
): Promise<{ speed: number | null; isCorrect: boolean; problem: string | null }> {
  const blob = blobsOf(image)
    .filter(({ size }) => size <= LARGEST)
    .toSorted((one, other) => other.size - one.size)[0];
  if (blob === undefined)
    return { speed: null, isCorrect: true, problem: "has no layer small enough for a sample" };
  const { remote } = mirrorSource(mirror.url, reference);
  const task = progress.start(mirror.url, blob.size);
  const signal = AbortSignal.timeout(download);
  const watch = new Stopwatch(task);
  try {
    const { body } = await client.blob(remote, blob.digest, { signal });
    const response = await hashed(body, blob, (bytes) => watch.take(bytes));
    const isCut = response.kind === "failed" && signal.aborted;
    const problem = response.kind === "failed" && !isCut ? response.reason : null;
    return { speed: watch.speed(), isCorrect: response.kind !== "wrong", problem };
  } catch (error) {
    if (signal.aborted) return { speed: null, isCorrect: true, problem: "is too slow to send a layer" };
    return { speed: null, isCorrect: true, problem: problemOf(error) };
  } finally {
    task.done();
  }
}

class Stopwatch {
  readonly #started = performance.now();
  readonly #task: Task;
  #bytes = 0;
  #last = this.#started;

  constructor(task: Task) {
    this.#task = task;
  }

  take(bytes: number): void {
    this.#bytes += bytes;
    this.#last = performance.now();
    this.#task.advance(bytes);
  }

  /** Bytes a second since the request, which is what a user waits for; null before the first byte. */
  speed(): number | null {
    if (this.#bytes === 0) return null;
    return this.#bytes / (Math.max(this.#last - this.#started, 1) / 1000);
  }
}

function largestBlob(image: Image): number {
  return Math.max(0, ...blobsOf(image).map(({ size }) => size));
}

function worstOf(one: State | null, other: State | null): State | null {
  const order: readonly (State | null)[] = [
    "different",
    "missing",
    "stale",
    "refused",
    "failed",
    null,
    "same",
  ];
  return order.find((state) => state === one || state === other) ?? null;
}

function maximum(one: number | null, other: number | null): number | null {
  return one === null || other === null ? (one ?? other) : Math.max(one, other);
}

function problemOf(error: unknown): string {
  if (error instanceof RegistryFailure) return refusal(error);
  return `can't be reached: ${connectionProblem(error)}`;
}
