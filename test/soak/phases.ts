/** The parts of a soak: pulls under faults, the kill in their middle, and the end, where all must be well again. */
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
  /** Fires when somebody wants the run to end. */
  signal: AbortSignal;
}

/** Milliseconds between two moves of tags. */
const BETWEEN_MOVES = 250;
/** Milliseconds between two outages of all upstreams, and how long each lasts. */
const BETWEEN_OUTAGES = 8_000;
const OUTAGE = 700;
/** Milliseconds in which all must be well once faults have stopped: rests, limits and alarms end within it. */
const RECOVERY = 90_000;
/** Milliseconds between two looks for what isn't well yet. */
const BETWEEN_LOOKS = 500;
/** Milliseconds without an upstream request after which nothing is under way any more. */
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
  const weather = async (): Promise<void> => {
    for (await pause(BETWEEN_OUTAGES); !isOver(); await pause(BETWEEN_OUTAGES)) {
      soak.upstreams.faults.outage(OUTAGE);
    }
  };
  await Promise.all([publisher(), weather(), ...Array.from({ length: soak.clients }, client)]);
}

/**
 * Kills the mirror in the middle of a fill, and starts it again.
 * @param atDeath is called in between.
 */
export async function killAmidFill(soak: Soak, atDeath: () => Promise<void>): Promise<void> {
  const { catalogue, upstreams, mirror } = soak;
  const tag = catalogue.tags.find(({ upstream }) => upstream === "plain.test");
  const url = mirror.url;
  if (!tag || url === null) throw new Error("there is nothing to kill");
  const image = await catalogue.publish(tag, [catalogue.newLayer(SLOW_LAYER)]);
  const layer = image.blobs.find(({ size }) => size === SLOW_LAYER);
  if (!layer) throw new Error("the victim has no layer");
  upstreams.faults.slow.add(layer.digest);
  const ask = () => {
    const asked = {
      isOver: false,
      answer: request(`${url}/v2/${tag.upstream}/${tag.repository}/blobs/${layer.digest}`),
    };
    asked.answer.finally(() => {
      asked.isOver = true;
    });
    return asked;
  };
  let leaving = ask();
  await until("the victim's layer to be on its way", 30_000, () => {
    // A fault may have met it, or a limit that an earlier one set.
    if (leaving.isOver) leaving = ask();
    const requests = upstreams.registries.get(tag.upstream)?.requests ?? [];
    return requests.some(({ path, bytesSent }) => path.endsWith(layer.digest) && bytesSent > 0);
  });
  await sleep(1_000);
  await mirror.kill();
  const { ending } = await leaving.answer;
  if (ending === "whole") throw new Error("the victim's layer was through before the kill");
  await atDeath();
  await mirror.start();
}

/** What isn't as it should be although nothing goes wrong any more; empty when all is well. */
export async function recover(soak: Soak): Promise<string[]> {
  const deadline = Date.now() + RECOVERY;
  const { catalogue } = soak;
  const puller = (): Puller => new Puller(soak, soak.random.fork());
  const tags = await lasting(soak, deadline, catalogue.tags, (tag) => puller().isCurrent(tag));
  const images = await lasting(soak, deadline, catalogue.images, (image) => puller().pullWhole(image));
  const objects = await lasting(soak, deadline, objectsOf(catalogue.images), ({ image, kind, digest }) =>
    puller().isServedFromHeld(image, kind, digest),
  );
  return [
    ...tags.map(({ upstream, repository, name }) => `${upstream}/${repository}:${name} is not current`),
    ...images.map(
      ({ upstream, repository, target }) => `${upstream}/${repository}@${target} can't be pulled`,
    ),
    ...objects.map(({ kind, digest }) => `${kind}/${digest} is served but not held`),
  ];
}

/** Gets every object once more from what is held. @returns what couldn't be, or only by asking an upstream. */
export async function readBack(soak: Soak): Promise<string[]> {
  await quiet(soak);
  const before = soak.upstreams.requests();
  const puller = new Puller(soak, soak.random.fork());
  const lost: string[] = [];
  await inParallel(soak.clients, objectsOf(soak.catalogue.images), async ({ image, kind, digest }) => {
    if (!(await puller.isServedFromHeld(image, kind, digest))) lost.push(`${kind}/${digest}`);
  });
  const asked = soak.upstreams.requests() - before;
  if (asked > 0) lost.push(`${asked} upstream requests were needed to read everything back`);
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

/** Tries everything, and again what isn't well. @returns what still isn't when the time is over. */
async function lasting<Thing>(
  soak: Soak,
  deadline: number,
  things: readonly Thing[],
  isWell: (thing: Thing) => Promise<boolean>,
): Promise<Thing[]> {
  for (let left = [...things]; ; await sleep(BETWEEN_LOOKS)) {
    const unwell: Thing[] = [];
    await inParallel(soak.clients, left, async (thing) => {
      if (soak.signal.aborted || !(await isWell(thing))) unwell.push(thing);
    });
    left = unwell;
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
  await until("the upstreams to be left alone", RECOVERY, () => {
    const now = upstreams.requests();
    if (now !== last) since = Date.now();
    last = now;
    return Date.now() - since >= QUIET;
  });
}
