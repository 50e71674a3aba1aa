/** Whether memory stays flat: a blob far larger than an isolate's memory, cold, to a client that is far slower than the upstream. */
import { setTimeout as sleep } from "node:timers/promises";
import { forgetPeak, memoryOf, processTree } from "./accounting.ts";
import { Connection } from "./connection.ts";
import { pushImage, pushNoise, SMALL_LAYERS } from "./image.ts";
import type { Workshop } from "./processes.ts";
import { download, pullImage } from "./pull.ts";
import { startPortolan } from "./servers.ts";

export interface MemoryResult {
  bytes: number;
  seconds: number;
  /** Bytes resident in workerd after serving one small image, when idle. */
  baseline: number;
  /** Bytes resident in workerd, once a second. */
  samples: number[];
  /** The kernel's peak, which includes the time between samples. */
  peak: number;
}

const SIZE = 2 * 1024 ** 3;
/** Bytes a second. */
const SPEED = 20_000_000;

/** Runs on a separate mirror, so that memory from earlier work isn't part of the baseline. */
export async function runMemory(
  workshop: Workshop,
  upstream: string,
  say: (what: string) => void,
): Promise<MemoryResult> {
  say("memory: pushing 2 GiB");
  const base = `${upstream}/v2/bench/memory`;
  const blob = await pushNoise(base, "memory", SIZE);
  const image = await pushImage(upstream, "bench/memory-baseline", SMALL_LAYERS);
  const mirror = await startPortolan(workshop, upstream, "portolan-memory");
  await pullImage(mirror.port, image, true);
  await sleep(2_000);
  const workerd = workerdOf(mirror.pid);
  forgetPeak(workerd);
  const baseline = memoryOf(workerd).resident;
  say(`memory: 2 GiB at ${SPEED / 1e6} MB/s, ${Math.ceil(SIZE / SPEED)} s`);
  const samples: number[] = [];
  const timer = setInterval(() => samples.push(memoryOf(workerd).resident), 1000);
  const connection = await Connection.open(mirror.port);
  const start = performance.now();
  try {
    const receive = throttle(connection, start);
    await download(connection, `/v2/bench/memory/blobs/${blob.digest}`, blob, true, receive);
    const seconds = (performance.now() - start) / 1000;
    return { bytes: blob.size, seconds, baseline, samples, peak: memoryOf(workerd).peak };
  } finally {
    clearInterval(timer);
    connection.close();
    await mirror.stop();
  }
}

/** The one process in which Workers run. */
export function workerdOf(root: number): number {
  const found = processTree(root).find(({ name }) => name === "workerd");
  if (!found) throw new Error("no workerd among the server's processes");
  return found.pid;
}

/** Stops reading whenever more has arrived than SPEED allows. */
function throttle(connection: Connection, start: number): (piece: Buffer) => boolean {
  let received = 0;
  return (piece) => {
    received += piece.length;
    const early = (received / SPEED) * 1000 - (performance.now() - start);
    if (early <= 0) return true;
    setTimeout(() => connection.resume(), early);
    return false;
  };
}
