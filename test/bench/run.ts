/**
 * `npm run bench`: Portolan beside a bare Worker, docker-registry as a mirror, nginx as a cache, and no mirror at all.
 * Everything runs on this machine over loopback, in one run, on the same images.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { memoryOf, processTree } from "./accounting.ts";
import { runCrowd } from "./crowd.ts";
import { measureFootprint } from "./footprint.ts";
import { LARGE_LAYERS, SMALL_LAYERS } from "./image.ts";
import { runMemory } from "./memory.ts";
import { MissingProgram, Workshop } from "./processes.ts";
import { measureProxied } from "./proxied.ts";
import { PUSHED_LAYERS, type Pushes, runPushes } from "./push.ts";
import { pushReport } from "./push-report.ts";
import { type Results, report, verdicts } from "./report.ts";
import { runRounds, type Stage } from "./rounds.ts";
import { type ServerName, startBare, startNginx, startPortolan, startRegistry } from "./servers.ts";
import { CallCounter } from "./upstream.ts";

const HELP = `npm run bench -- [--quick] [--json] [--rounds N] [--memory] [--no-memory] [--push]

  --quick      a smoke run in less than a minute: one short round on an image of 30 MB, no memory test
  --json       every single figure, as JSON on standard output
  --rounds N   rounds to take medians of; 5 by default
  --memory     only the memory test: 2 GiB at 20 MB/s
  --no-memory  all but the memory test
  --push       only the pushes: 300 MB, beside docker-registry

Everything is written below the folder for temporary files (TMPDIR), about 8 GB, and removed at the end.`;

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    memory: { type: "boolean" },
    push: { type: "boolean", default: false },
    rounds: { type: "string" },
    help: { type: "boolean", default: false },
  },
  allowNegative: true,
});

class WrongUse extends Error {}

if (options.help) console.log(HELP);
else process.exitCode = await main();

async function main(): Promise<number> {
  const workshop = await Workshop.open();
  const leave = async (): Promise<void> => {
    await workshop.close();
    process.exit(130);
  };
  process.once("SIGINT", leave);
  process.once("SIGTERM", leave);
  try {
    const upstream = await startRegistry(workshop, null);
    const url = `http://127.0.0.1:${upstream.port}`;
    if (options.memory === true) {
      console.log(JSON.stringify(await runMemory(workshop, url, say), null, 2));
      return 0;
    }
    const rounds = Number.parseInt(options.rounds ?? (options.quick ? "1" : "5"), 10);
    if (!(rounds > 0)) throw new WrongUse("--rounds takes a whole number from 1 on");
    const portolan = await startPortolan(workshop, url);
    const push = (): Promise<Pushes> => {
      const layers = options.quick ? SMALL_LAYERS : PUSHED_LAYERS;
      const sides = {
        portolan: { server: portolan, path: "hosted/bench" },
        registry: { server: upstream, path: "bench/pushed" },
      };
      return runPushes({ sides, rounds, layers, seconds: options.quick ? 0.5 : 1.5 }, say);
    };
    if (options.push) {
      const pushes = await push();
      console.log(options.json ? JSON.stringify(pushes, null, 2) : pushReport(pushes));
      return 0;
    }
    const bare = await startBare(workshop, url);
    const servers = [
      portolan,
      bare,
      await startRegistry(workshop, url),
      await startNginx(workshop, url),
      upstream,
    ];
    const calls = new CallCounter(join(workshop.folder, "direct.out"));
    const stage: Stage = { upstream: url, calls, servers, bare };
    const plan = options.quick
      ? { rounds, layers: SMALL_LAYERS, seconds: 1 }
      : { rounds, layers: LARGE_LAYERS, seconds: 1.5 };
    const results: Results = {
      rounds: await runRounds(stage, plan, say),
      crowd: await runCrowd(stage, say),
      peaks: new Map(servers.map(({ name, pid }) => [name, peaksOf(pid)])),
      pushes: await push(),
      memory: null,
      footprint: null,
      proxied: null,
    };
    // The memory test runs alone on the machine and its disk.
    for (const server of servers) if (server !== upstream) await server.stop();
    for (const name of ["portolan", "bare", "registry", "nginx"]) {
      await rm(join(workshop.folder, `${name}-data`), { recursive: true, force: true });
    }
    if (!options.quick && options.memory !== false) results.memory = await runMemory(workshop, url, say);
    if (!options.quick) results.proxied = await measureProxied(workshop, url, say);
    if (!options.quick) results.footprint = await measureFootprint(workshop, say);
    console.log(options.json ? asJson(results) : report(results));
    return 0;
  } catch (error) {
    if (!(error instanceof MissingProgram || error instanceof WrongUse)) throw error;
    console.error(error.message);
    return 1;
  } finally {
    await workshop.close();
  }
}

function peaksOf(root: number): { all: number; workerd: number | null } {
  let all = 0;
  let workerd: number | null = null;
  for (const { pid, name } of processTree(root)) {
    const { peak } = memoryOf(pid);
    all += peak;
    if (name === "workerd") workerd = peak;
  }
  return { all, workerd };
}

function asJson(results: Results): string {
  const maps = (_key: string, value: unknown): unknown =>
    value instanceof Map ? Object.fromEntries(value as Map<ServerName, unknown>) : value;
  return JSON.stringify({ ...results, targets: verdicts(results) }, maps, 2);
}

/** Progress, with the seconds since the start; the results alone are on standard output. */
function say(what: string): void {
  process.stderr.write(`${(performance.now() / 1000).toFixed(0).padStart(4)} s  ${what}\n`);
}
