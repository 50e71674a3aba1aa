/** What `npm start` takes before it does anything: time to start, memory at rest, and disk space of an installation. */
import { copyFile, lstat, mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { memoryOf, processTree } from "./accounting.ts";
import type { Workshop } from "./processes.ts";
import { startPortolan } from "./servers.ts";

export interface Footprint {
  /** Seconds from the start of Node until the mirror serves; the median. */
  start: number;
  /** Bytes resident in both processes together, at rest. */
  idle: number;
  /** Bytes of node_modules without development dependencies, Node included. */
  install: number;
}

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const STARTS = 3;
/** Milliseconds. */
const REST = 3_000;
const INSTALL_DEADLINE = 300_000;

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
  return { start, idle, install: await installSize(workshop) };
}

async function installSize(workshop: Workshop): Promise<number> {
  const folder = join(workshop.folder, "install");
  await mkdir(folder);
  for (const name of ["package.json", "package-lock.json"])
    await copyFile(join(ROOT, name), join(folder, name));
  let isInstalled = false;
  const command = [
    // npm's registry and proxy may be set in the environment, which the workshop's programs don't get.
    "env",
    ...Object.entries(process.env).map(([name, value]) => `${name}=${value}`),
    "npm",
    "ci",
    "--omit=dev",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--prefix",
    folder,
  ];
  const done = Date.now() + INSTALL_DEADLINE;
  const { stop } = await workshop.start("install", command, async () => true);
  while (!isInstalled && Date.now() < done) {
    await sleep(500);
    // npm writes it last.
    isInstalled = (await lstat(join(folder, "node_modules/.package-lock.json")).catch(() => null)) !== null;
  }
  await stop();
  if (!isInstalled) throw new Error("npm ci didn't end");
  // Node itself is brought by a script, which --ignore-scripts leaves out.
  const node = await lstat(join(ROOT, "node_modules/node/bin/node"));
  return (await diskUsage(join(folder, "node_modules"))) + node.blocks * 512;
}

/** Bytes that files take on the disk, as `du` counts them. */
async function diskUsage(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true });
  let bytes = 0;
  for (const entry of entries) bytes += (await lstat(join(folder, entry))).blocks * 512;
  return bytes;
}
