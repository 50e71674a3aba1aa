/**
 * `node test/soak/hosted/run.ts [--seconds 60] [--seed N] [--clients 8] [--grace 4]`: clients push, mount, pull, tag and
 * delete in hosted repositories while garbage is collected without a pause, and each of the mirror's processes is killed once.
 * Exits with 1 if anything that is referenced was lost, or anything else stays once its grace is over.
 */
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { until } from "../../sockets/support/deadline.ts";
import { Random } from "../random.ts";
import { Client } from "./client.ts";
import { HostedMirror, type Victim } from "./mirror.ts";
import { Model } from "./model.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    clients: { type: "string", default: "8" },
    grace: { type: "string", default: "4" },
  },
});
const [seconds, seed, clients, grace] = [values.seconds, values.seed, values.clients, values.grace].map(
  Number,
) as [number, number, number, number];
if (![seconds, seed, clients, grace].every((value) => value >= 0)) {
  console.error("all options take numbers");
  process.exit(2);
}
/** Milliseconds within which all that nothing references is gone: two graces, and what a busy machine adds. */
const FREED = 2 * grace * 1000 + 60_000;
/** The least pushes a second for a run to count. */
const PUSHES_PER_SECOND = 0.2;

const folder = await mkdtemp(join(tmpdir(), "portolan-soak-hosted-"));
const random = new Random(seed);
const model = new Model();
const mirror = new HostedMirror(folder, { adminKey: "soak".repeat(8), grace: grace * 1000 });
let isOver = false;

try {
  await mirror.start();
  console.error(`pushing to ${mirror.url} for ${seconds} s, seed ${seed}`);
  const acting = Promise.all([...Array.from({ length: clients }, act), collectAlways()]);
  acting.catch(() => {});
  for (const victim of ["workerd", "node"] satisfies Victim[]) {
    await Promise.race([sleep((seconds * 1000) / 3), acting]);
    await mirror.kill(victim);
    await mirror.start();
    console.error(`killed ${victim}, and restarted`);
  }
  await Promise.race([sleep((seconds * 1000) / 3), acting]);
  isOver = true;
  await acting;
  await finish();
} catch (error) {
  model.violations.push(String(error instanceof Error ? error.stack : error));
} finally {
  isOver = true;
  await mirror.stop();
  if (model.violations.length === 0) await verifyFiles();
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
}
for (const [what, count] of Object.entries(model.counts)) console.log(`${what.padEnd(26)} ${count}`);
const wanted = ["blobs mounted", "blobs found", "deletions", "collections that deleted", "broken by a kill"];
for (const what of wanted) if (!model.counts[what]) model.violations.push(`there were no ${what}`);
if ((model.counts.pushes ?? 0) < seconds * PUSHES_PER_SECOND) model.violations.push("too few pushes");
if (model.violations.length > 0) {
  console.log(`\nFAILED, seed ${seed}\n${model.violations.slice(0, 20).join("\n")}`);
  console.error(`\nThe end of the mirror's log:\n${mirror.log.slice(-4_000)}`);
  process.exitCode = 1;
} else console.log("\nPassed.");

async function act(): Promise<void> {
  const client = new Client(mirror, model, random.fork());
  while (!isOver) {
    if (mirror.url === null) await sleep(50);
    else await client.act();
  }
}

async function collectAlways(): Promise<void> {
  const client = new Client(mirror, model, random.fork());
  while (!isOver) {
    if (mirror.url !== null) await client.collect().catch(() => model.count("collections broken"));
    await sleep(20);
  }
}

/** Everything that was pushed and not deleted is there, and once the grace is over nothing else is. */
async function finish(): Promise<void> {
  const client = new Client(mirror, model, random.fork());
  for (const image of model.images.filter(({ state }) => state === "uncertain")) await client.resolve(image);
  console.error("waiting until nothing else is stored");
  const expected = model.files();
  const differing = async () => {
    await client.collect();
    const stored = await filesIn(join(mirror.data, "store/hosted"));
    const left = [
      ...(await filesIn(join(mirror.data, "store/uploads"))),
      ...(await filesIn(join(mirror.data, "incoming"))),
    ];
    const lost = [...expected].filter((path) => !stored.has(path));
    return { lost, extra: [...stored].filter((path) => !expected.has(path)), left };
  };
  const isClean = async () => {
    const { lost, extra, left } = await differing();
    return lost.length > 0 || (extra.length === 0 && left.length === 0);
  };
  await until("unreferenced content to be freed", FREED, isClean).catch(() => {});
  const { lost, extra, left } = await differing();
  model.violations.push(
    ...lost.map((path) => `lost: ${path}`),
    ...extra.map((path) => `unreferenced, and still there: ${path}`),
    ...left.map((path) => `left of an upload: ${path}`),
  );
  for (const image of model.images) await client.pull(image.state === "live" ? image : null);
}

/** Every file is what its name says. */
async function verifyFiles(): Promise<void> {
  const root = join(mirror.data, "store/hosted");
  for (const path of await filesIn(root)) {
    const hex = createHash("sha256")
      .update(await readFile(join(root, path)))
      .digest("hex");
    if (!path.endsWith(hex)) model.violations.push(`wrong content: ${path}`);
  }
}

async function filesIn(root: string): Promise<Set<string>> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true }).catch(() => []);
  const files = entries.filter((entry) => entry.isFile());
  return new Set(files.map(({ parentPath, name }) => relative(root, join(parentPath, name))));
}
