/** What `npm start` takes before it does anything: time to start, memory at rest, and disk space of an installation. */
import { execFile } from "node:child_process";
import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { memoryOf, processTree } from "./accounting.ts";
import type { Workshop } from "./processes.ts";
import { startPortolan } from "./servers.ts";

export interface Footprint {
  /** Seconds from the start of Node until the mirror serves; the median. */
  start: number;
  /** Bytes resident in both processes together, at rest. */
  idle: number;
  /** Bytes of node_modules without development dependencies. */
  install: number;
}

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const STARTS = 3;
/** Milliseconds. */
const REST = 3_000;

export async function measureFootprint(
  workshop: Workshop,
  upstream: string,
  say: (what: string) => void,
): Promise<Footprint> {
  say("start-up time and idle memory");
  const starts: number[] = [];
  let idle = 0;
  for (let time = 0; time < STARTS; time++) {
    const begun = performance.now();
    const mirror = await startPortolan(workshop, upstream, "portolan-idle");
    starts.push((performance.now() - begun) / 1000);
    await sleep(REST);
    idle = processTree(mirror.pid).reduce((sum, { pid }) => sum + memoryOf(pid).resident, 0);
    await mirror.stop();
  }
  say("the size of an installation");
  const start = starts.sort((a, b) => a - b)[Math.floor(STARTS / 2)] ?? 0;
  return { start, idle, install: await installSize() };
}

/** What `npm ci --omit=dev` would install, of the packages that are installed here. */
async function installSize(): Promise<number> {
  const command = ["ls", "--omit=dev", "--all", "--parseable"];
  const { stdout } = await promisify(execFile)("npm", command, { cwd: ROOT, maxBuffer: 64 * 1024 ** 2 });
  const [, ...packages] = stdout.trim().split("\n");
  const sizes = await Promise.all([...new Set(packages)].map(diskUsage));
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** Bytes that a package's own files take on the disk, as `du` counts them. */
async function diskUsage(folder: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() && entry.name !== "node_modules") bytes += await diskUsage(path);
    else if (entry.isFile()) bytes += (await lstat(path)).blocks * 512;
  }
  return bytes;
}
