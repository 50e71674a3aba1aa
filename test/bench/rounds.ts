/** The rounds: every server does the same cold pull, warm pull and warm loads in turn, so that drift hits all alike. */
import { cpuSeconds, untilIdle } from "./accounting.ts";
import { type Blob, type Image, pushImage } from "./image.ts";
import { blobLoad, type LoadResult, requestLoad } from "./load.ts";
import { pullImage } from "./pull.ts";
import type { Server } from "./servers.ts";
import type { CallCounter, Calls } from "./upstream.ts";

/** The measurements of one server, one value per round. */
export interface Series {
  /** Seconds of a whole pull. */
  coldPull: number[];
  warmPull: number[];
  /** Bytes per second while blobs were downloaded. */
  coldRate: number[];
  /** Processor seconds per byte of the image, until the server was idle. */
  coldCpu: number[];
  coldCalls: Calls[];
  warmCalls: Calls[];
  manifests: LoadResult[];
  blobs: LoadResult[];
}

/** The bare Worker's empty response and its `R2.get`: the most that the runtime itself can do. */
export interface Yardsticks {
  empty: LoadResult[];
  r2: LoadResult[];
}

export interface Stage {
  upstream: string;
  calls: CallCounter;
  servers: readonly Server[];
  bare: Server;
}

export interface RoundsResult {
  image: { bytes: number; blobs: number };
  series: Map<Server["name"], Series>;
  yardsticks: Yardsticks;
}

interface Plan {
  rounds: number;
  /** Bytes of the layers of each round's image. */
  layers: readonly number[];
  /** Seconds of each load on each server in each round. */
  seconds: number;
}

export async function runRounds(
  { upstream, calls, servers, bare }: Stage,
  plan: Plan,
  say: (what: string) => void,
): Promise<RoundsResult> {
  const series = new Map(servers.map((server) => [server, emptySeries()] as const));
  const yardsticks: Yardsticks = { empty: [], r2: [] };
  say("checking every server's answers");
  const first = await pushImage(upstream, "bench/check", plan.layers);
  for (const server of servers) {
    // Cold, then warm, with every digest checked. Nothing of this is measured: it also warms the code up.
    for (const _ of ["cold", "warm"]) await pullImage(server.port, first, true);
  }
  await putBlobs(bare, first);

  for (let round = 1; round <= plan.rounds; round++) {
    say(`round ${round} of ${plan.rounds}`);
    const image = await pushImage(upstream, `bench/round-${round}`, plan.layers);
    // The order of the servers rotates from round to round.
    const turn = round % servers.length;
    const order = [...series].slice(turn).concat([...series].slice(0, turn));
    for (const [server, results] of order) await measurePulls(server, results, image, calls);
    for (const run of loads({ bare, series, yardsticks }, image, first, round, plan.seconds)) await run();
  }
  return {
    image: { bytes: first.size, blobs: first.blobs.length },
    series: new Map([...series].map(([server, results]) => [server.name, results])),
    yardsticks,
  };
}

/** The loads of one round. Portolan and its yardstick run next to each other, and every other round is in reverse order. */
function loads(
  { bare, series, yardsticks }: { bare: Server; series: Map<Server, Series>; yardsticks: Yardsticks },
  image: Image,
  stored: Image,
  round: number,
  seconds: number,
): (() => Promise<void>)[] {
  const manifestPath = `/v2/${image.repository}/manifests/${image.tag}`;
  const blobPath = ({ digest }: Blob): string => `/v2/${image.repository}/blobs/${digest}`;
  const requests = [...series].map(([server, { manifests }]) => async () => {
    manifests.push(await requestLoad(server, manifestPath, image.index.size, seconds));
  });
  requests.splice(1, 0, async () => {
    yardsticks.empty.push(await requestLoad(bare, "/empty", 0, seconds));
  });
  const downloads = [...series].map(([server, { blobs }]) => async () => {
    blobs.push(await blobLoad(server, blobPath, image.blobs.slice(1), seconds));
  });
  downloads.splice(1, 0, async () => {
    yardsticks.r2.push(await blobLoad(bare, r2Path, stored.blobs.slice(1), seconds));
  });
  const all = [...requests, ...downloads];
  return round % 2 === 1 ? all : all.reverse();
}

async function measurePulls(
  server: Server,
  results: Series,
  image: Image,
  calls: CallCounter,
): Promise<void> {
  await untilIdle(server.pid);
  await calls.take();
  const before = cpuSeconds(server.pid);
  const cold = await pullImage(server.port, image, false);
  await untilIdle(server.pid);
  results.coldCpu.push((cpuSeconds(server.pid) - before) / image.size);
  results.coldPull.push(cold.seconds);
  results.coldRate.push(image.size / cold.blobSeconds);
  results.coldCalls.push(await calls.take());
  const warm = await pullImage(server.port, image, false);
  results.warmPull.push(warm.seconds);
  results.warmCalls.push(await calls.take());
}

async function putBlobs(bare: Server, { repository, blobs }: Image): Promise<void> {
  for (const blob of blobs) {
    const source = await fetch(`http://127.0.0.1:${bare.port}/v2/${repository}/blobs/${blob.digest}`);
    const body = await source.arrayBuffer();
    const put = await fetch(`http://127.0.0.1:${bare.port}${r2Path(blob)}`, { method: "PUT", body });
    if (!put.ok) throw new Error(`the bare Worker can't store a blob: ${put.status}`);
  }
}

function r2Path({ digest }: Blob): string {
  return `/r2/${digest.replace(":", "/")}`;
}

function emptySeries(): Series {
  return {
    coldPull: [],
    warmPull: [],
    coldRate: [],
    coldCpu: [],
    coldCalls: [],
    warmCalls: [],
    manifests: [],
    blobs: [],
  };
}
