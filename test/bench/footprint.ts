/** What `npm start` takes before it does anything: time to start, memory at rest, and disk space of an installation. */
import { access, copyFile, lstat, mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { memoryOf, processTree } from "./accounting.ts";
import { freePort, type Workshop } from "./processes.ts";

export interface Footprint {
  /** Seconds from the start of Node until the mirror serves; the median. */
  start: number;
  /** Bytes resident in both processes together, at rest. */
  idle: number;
  /** Bytes of node_modules without development dependencies, Node included. */
  install: number;
}

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const STARTS = 4;
/** Milliseconds. */
const REST = 3_000;
const INSTALL_DEADLINE = 300_000;

export async function measureFootprint(workshop: Workshop, say: (what: string) => void): Promise<Footprint> {
  say("start-up time and idle memory");
  const port = await freePort();
  const data = join(workshop.folder, "portolan-idle-data");
  const command = [process.execPath, join(ROOT, "scripts/start.js"), "--port", String(port), "--data", data];
  const serves = async () => (await fetch(`http://127.0.0.1:${port}/v2/`)).ok;
  const starts: number[] = [];
  let idle = 0;
  for (let time = 0; time < STARTS; time++) {
    const begun = performance.now();
    const mirror = await workshop.start("portolan-idle", command, serves);
    const seconds = (performance.now() - begun) / 1000;
    await sleep(REST);
    idle = processTree(mirror.pid).reduce((sum, { pid }) => sum + memoryOf(pid).resident, 0);
    await mirror.stop();
    // The first fills the compile cache, where it isn't filled yet.
    if (time > 0) starts.push(seconds);
  }
  say("the size of an installation");
  const start = starts.sort((a, b) => a - b)[Math.floor(STARTS / 2)] ?? 0;
  return { start, idle, install: await installSize(workshop) };
}

async function installSize(workshop: Workshop): Promise<number> {
  const folder = join(workshop.folder, "install");
  await mkdir(join(folder, "scripts"), { recursive: true });
  const files = ["package.json", "package-lock.json", "scripts/postinstall.js"];
  for (const name of files) await copyFile(join(ROOT, name), join(folder, name));
  const own = Object.entries(process.env).map(([name, value]) => `${name}=${value}`);
  // npm's registry and proxy may be set in the environment, which the workshop's programs don't get.
  const npm = ["env", ...own, "npm", "ci", "--omit=dev", "--no-audit", "--no-fund", "--prefix", folder];
  const marker = join(folder, "done");
  const command = ["sh", "-c", '"$@" && touch "$0"', marker, ...npm];
  const done = Date.now() + INSTALL_DEADLINE;
  const { stop } = await workshop.start("install", command, async () => true);
  const isInstalled = () =>
    access(marker).then(
      () => true,
      () => false,
    );
  while (!(await isInstalled()) && Date.now() < done) await sleep(500);
  await stop();
  if (!(await isInstalled())) throw new Error("npm ci didn't end");
  return diskUsage(join(folder, "node_modules"));
}

/** Bytes that files take on the disk, as `du` counts them: a file with two names once. */
async function diskUsage(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true });
  const bytes = new Map<number, number>();
  for (const entry of entries) {
    const { ino, blocks } = await lstat(join(folder, entry));
    bytes.set(ino, blocks * 512);
  }
  return [...bytes.values()].reduce((sum, each) => sum + each, 0);
}
