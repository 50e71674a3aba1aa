/** The parts of a soak: pulls under faults, the kill half-way, and the end, when everything must have recovered. */
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../sockets/support/deadline.ts";
import type { Published } from "./catalogue.ts";
import { request } from "./client.ts";
import { SLOW_LAYER } from "./faults.ts";
import type { MirrorProcess } from "./mirror.ts";
import { Puller, type Stage } from "./pull.ts";
import type { Random } from "./random.ts";
import type { Upstreams } from "./upstreams.ts";

export interface Soak extends Stage {
  mirror: MirrorProcess;
  upstreams: Upstreams;
  random: Random;
  clients: number;
  /** Aborted when the run is to end. */
  signal: AbortSignal;
}

/** Milliseconds between two moves of tags. */
const BETWEEN_MOVES = 250;
/** Milliseconds between two outages of all upstreams, and how long each lasts. */
const BETWEEN_OUTAGES = 8_000;
const OUTAGE = 700;
/** Milliseconds within which everything must recover once faults have stopped: retry delays, limits and alarms end within it. */
const RECOVERY = 90_000;
/** Milliseconds between two checks of what hasn't recovered yet. */
const POLL_INTERVAL = 500;
/** Milliseconds without an upstream request after which no work is assumed to be in progress. */
const QUIET = 1_500;

/** Clients pull, tags move and upstreams go down until the time is over. */
export async function pullUnderFaults(soak: Soak, milliseconds: number): Promise<void> {
  const end = Date.now() + milliseconds;
  const isOver = () => Date.now() >= end || soak.signal.aborted;
  const pause = (time: number) => sleep(Math.max(0, Math.min(time, end - Date.now())));
  const client = async (): Promise<void> => {
    const puller = new Puller(soak, soak.random.fork());
    while (!isOver()) {
      if (soak.url() === null) await pause(50);
      else await puller.pullAny();
    }
  };
  const publisher = async (): Promise<void> => {
    for (await pause(BETWEEN_MOVES); !isOver(); await pause(BETWEEN_MOVES)) await soak.catalogue.move();
  };
  const outages = async (): Promise<void> => {
    for (await pause(BETWEEN_OUTAGES); !isOver(); await pause(BETWEEN_OUTAGES)) {
      soak.upstreams.faults.outage(OUTAGE);
    }
  };
  await Promise.all([publisher(), outages(), ...Array.from({ length: soak.clients }, client)]);
}

/**
 * Kills the mirror in the middle of a fill, and starts it again.
 * @param whileStopped is called before it is started again.
 */
export async function killAmidFill(soak: Soak, whileStopped: () => Promise<void>): Promise<void> {
  const { catalogue, upstreams, mirror } = soak;
  const tag = catalogue.tags.find(({ upstream }) => upstream === "plain.test");
  const url = mirror.url;
  if (!tag || url === null) throw new Error("there is no tag or mirror to test the kill with");
  const image = await catalogue.publish(tag, [catalogue.newLayer(SLOW_LAYER)]);
  const layer = image.blobs.find(({ size }) => size === SLOW_LAYER);
  if (!layer) throw new Error("the image for the kill has no layer");
  upstreams.faults.slow.add(layer.digest);
  const sendRequest = () => {
    const sent = {
      isOver: false,
      response: request(`${url}/v2/${tag.upstream}/${tag.repository}/blobs/${layer.digest}`),
    };
    sent.response.finally(() => {
      sent.isOver = true;
    });
    return sent;
  };
  let pending = sendRequest();
  await until("the fill that the kill interrupts to start", 30_000, () => {
    // It may have failed by a fault, or by a limit that an earlier fault set.
    if (pending.isOver) pending = sendRequest();
    const requests = upstreams.registries.get(tag.upstream)?.requests ?? [];
    return requests.some(({ path, bytesSent }) => path.endsWith(layer.digest) && bytesSent > 0);
  });
  await sleep(1_000);
  await mirror.kill();
  const { ending } = await pending.response;
  if (ending === "whole") throw new Error("the layer was complete before the kill");
  await whileStopped();
  await mirror.start();
}

/** What hasn't recovered although there are no more faults; empty if everything has. */
export async function recover(soak: Soak): Promise<string[]> {
  const deadline = Date.now() + RECOVERY;
  const { catalogue } = soak;
  const puller = (): Puller => new Puller(soak, soak.random.fork());
  const tags = await retried(soak, deadline, catalogue.tags, (tag) => puller().isCurrent(tag));
  const images = await retried(soak, deadline, catalogue.images, (image) => puller().pullWhole(image));
  const objects = await retried(soak, deadline, objectsOf(catalogue.images), ({ image, kind, digest }) =>
    puller().isServedFromCache(image, kind, digest),
  );
  return [
    ...tags.map(({ upstream, repository, name }) => `${upstream}/${repository}:${name} is not current`),
    ...images.map(
      ({ upstream, repository, target }) => `${upstream}/${repository}@${target} can't be pulled`,
    ),
    ...objects.map(({ kind, digest }) => `${kind}/${digest} is served but not stored`),
  ];
}

/** Fetches every object once more from the store. @returns what couldn't be read, or only with upstream requests. */
export async function readBack(soak: Soak): Promise<string[]> {
  await quiet(soak);
  const before = soak.upstreams.requests();
  const puller = new Puller(soak, soak.random.fork());
  const lost: string[] = [];
  await inParallel(soak.clients, objectsOf(soak.catalogue.images), async ({ image, kind, digest }) => {
    if (!(await puller.isServedFromCache(image, kind, digest))) lost.push(`${kind}/${digest}`);
  });
  const requests = soak.upstreams.requests() - before;
  if (requests > 0) lost.push(`${requests} upstream requests were needed to read everything back`);
  return lost;
}

interface StoredObject {
  image: Published;
  kind: "manifests" | "blobs";
  digest: string;
}

/** Every object of the images, once. */
function objectsOf(images: readonly Published[]): StoredObject[] {
  const objects = images.flatMap((image): StoredObject[] => [
    ...(image.index === null ? [] : [{ image, kind: "manifests" as const, digest: image.index }]),
    ...image.manifests.map((digest) => ({ image, kind: "manifests" as const, digest })),
    ...image.blobs.map(({ digest }) => ({ image, kind: "blobs" as const, digest })),
  ]);
  return [...new Map(objects.map((object) => [object.digest, object])).values()];
}

/** Checks everything, and retries what fails. @returns what still fails at the deadline. */
async function retried<Thing>(
  soak: Soak,
  deadline: number,
  things: readonly Thing[],
  isRecovered: (thing: Thing) => Promise<boolean>,
): Promise<Thing[]> {
  for (let left = [...things]; ; await sleep(POLL_INTERVAL)) {
    const unrecovered: Thing[] = [];
    await inParallel(soak.clients, left, async (thing) => {
      if (soak.signal.aborted || !(await isRecovered(thing))) unrecovered.push(thing);
    });
    left = unrecovered;
    if (left.length === 0 || Date.now() > deadline || soak.signal.aborted) return left;
  }
}

async function inParallel<Thing>(
  count: number,
  things: readonly Thing[],
  work: (thing: Thing) => Promise<void>,
): Promise<void> {
  const queue = [...things];
  const worker = async (): Promise<void> => {
    for (let thing = queue.shift(); thing !== undefined; thing = queue.shift()) await work(thing);
  };
  await Promise.all(Array.from({ length: count }, worker));
}

async function quiet({ upstreams }: Soak): Promise<void> {
  let last = upstreams.requests();
  let since = Date.now();
  await until("upstream requests to stop", RECOVERY, () => {
    const now = upstreams.requests();
    if (now !== last) since = Date.now();
    last = now;
    return Date.now() - since >= QUIET;
  });
}
