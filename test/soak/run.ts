/**
 * `node test/soak/run.ts [--seconds 60] [--seed N] [--clients 8] [--rate 0.2] [--json]`: clients that verify everything
 * pull through the mirror while its upstreams fail in every way, tags move, and it is killed half-way. Exits with 1
 * if a wrong byte was served or stored, anything was lost, or not everything recovers.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Catalogue } from "./catalogue.ts";
import { Ledger } from "./ledger.ts";
import { MirrorProcess } from "./mirror.ts";
import { killAmidFill, pullUnderFaults, readBack, recover, type Soak } from "./phases.ts";
import { Random } from "./random.ts";
import { type Findings, figures, print, verdict } from "./report.ts";
import { readStore } from "./stored-objects.ts";
import { startUpstreams } from "./upstreams.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    clients: { type: "string", default: "8" },
    rate: { type: "string", default: "0.2" },
    json: { type: "boolean", default: false },
  },
});
const seconds = number("seconds", values.seconds, 5, 3600);
const seed = number("seed", values.seed, 0, 2 ** 32 - 1);
const clients = number("clients", values.clients, 1, 64);
const rate = number("rate", values.rate, 0, 0.9);

const ending = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => ending.abort());
process.exitCode = await run();

async function run(): Promise<number> {
  const random = new Random(seed);
  const folder = await mkdtemp(join(tmpdir(), "portolan-soak-"));
  const layers = new Map<string, Uint8Array>();
  const upstreams = await startUpstreams(random.fork(), rate, (digest) => layers.get(digest) ?? null);
  const mirror = new MirrorProcess(folder, upstreams.args);
  const catalogue = new Catalogue(upstreams.registries, random.fork(), layers);
  const ledger = new Ledger(upstreams.faults);
  const soak: Soak = {
    catalogue,
    ledger,
    url: () => mirror.url,
    mirror,
    upstreams,
    random: random.fork(),
    clients,
    signal: ending.signal,
  };
  try {
    const findings = await phases(soak);
    if (ending.signal.aborted) {
      console.error("stopped before its end");
      return 130;
    }
    const faults = verdict(soak, findings, seconds);
    print(figures(soak, findings, { seconds, seed, clients, rate }), faults, values.json);
    if (faults.length > 0) console.error(`\nThe end of the mirror's log:\n${mirror.errors.slice(-4_000)}`);
    return faults.length > 0 ? 1 : 0;
  } catch (error) {
    console.error(`seed ${seed}:`, error, `\nThe end of the mirror's log:\n${mirror.errors.slice(-4_000)}`);
    return 1;
  } finally {
    await mirror.kill();
    await upstreams.close();
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function phases(soak: Soak): Promise<Findings> {
  const { mirror, upstreams, catalogue, ledger } = soak;
  const say = (text: string) => {
    if (!values.json) console.error(`${new Date().toISOString().slice(11, 19)} ${text}`);
  };
  const findings: Findings = {
    unrecovered: [],
    unread: [],
    wrong: [],
    lost: [],
    orphans: 0,
    stored: 0,
    recovery: 0,
  };
  const check = async (when: string): Promise<Set<string>> => {
    const { digests, wrong, orphans } = await readStore(mirror.data);
    findings.wrong.push(...wrong.map((each) => `${when}: ${each}`));
    findings.orphans = orphans;
    findings.stored = digests.size;
    for (const digest of ledger.stored) {
      if (!digests.has(digest)) findings.lost.push(`${when}: ${digest}`);
    }
    return digests;
  };
  await catalogue.open();
  await mirror.start();
  say(`pulling from ${mirror.url} for ${seconds} s, seed ${seed}`);
  const pulling = pullUnderFaults(soak, seconds * 1000);
  // A failure of the clients is reported where they are awaited, even if the kill fails first.
  pulling.catch(() => ending.abort());
  await wait((seconds * 1000) / 2);
  if (!ending.signal.aborted) {
    await killAmidFill(soak, async () => {
      for (const digest of await check("after the kill")) ledger.noteStored(digest);
    });
    say("killed and restarted");
  }
  await pulling;
  upstreams.faults.stop();
  if (ending.signal.aborted) return findings;
  say("faults stopped: pulling everything again");
  const started = Date.now();
  findings.unrecovered = await recover(soak);
  findings.recovery = Date.now() - started;
  if (ending.signal.aborted) return findings;
  say("reading back after a restart");
  await mirror.stop();
  await check("at the end");
  await mirror.start();
  findings.unread = await readBack(soak);
  await mirror.stop();
  return findings;
}

function wait(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    ending.signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

function number(name: string, text: string, minimum: number, maximum: number): number {
  const value = Number(text);
  if (text !== "" && value >= minimum && value <= maximum) return value;
  console.error(`--${name} must be a number from ${minimum} to ${maximum}`);
  process.exit(2);
}
