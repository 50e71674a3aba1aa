/** The results, for people: Portolan's ratio to each of the others, and the figures that the ratios are made of. */
import { CROWD, type CrowdResult } from "./crowd.ts";
import type { Footprint } from "./footprint.ts";
import type { LoadResult } from "./load.ts";
import type { MemoryResult } from "./memory.ts";
import type { Proxied } from "./proxied.ts";
import type { Pushes } from "./push.ts";
import { pushReport, pushVerdicts } from "./push-report.ts";
import type { RoundsResult, Series } from "./rounds.ts";
import type { ServerName } from "./servers.ts";
import { median, ratio } from "./statistics.ts";
import { megabytes, table, type Verdict, verdict } from "./text.ts";
import { type Calls, total } from "./upstream.ts";

export interface Results {
  rounds: RoundsResult;
  crowd: Map<ServerName, CrowdResult>;
  /** Peak bytes of all of a server's processes together, and of workerd only, where there is one. */
  peaks: Map<ServerName, { all: number; workerd: number | null }>;
  pushes: Pushes;
  memory: MemoryResult | null;
  footprint: Footprint | null;
  proxied: Proxied | null;
}

const TITLES: Record<ServerName, string> = {
  portolan: "Portolan",
  bare: "bare Worker",
  registry: "docker-registry",
  nginx: "nginx",
  direct: "no mirror",
};
const NAMES: readonly ServerName[] = ["portolan", "bare", "registry", "nginx", "direct"];
const GIB = 1024 ** 3;

/** One measure: one value per round for each server; `yardstick` takes the bare Worker's place in the comparison. */
interface Measure {
  name: string;
  of: (series: Series) => number[];
  yardstick?: readonly number[];
  format: (value: number) => string;
}

export function report(results: Results): string {
  const { rounds, memory, footprint } = results;
  const { bytes, blobs } = rounds.image;
  const count = rounds.yardsticks.empty.length;
  const lines = [
    `Image: ${megabytes(bytes)} MB in ${blobs} blobs. Medians of ${count} rounds; each round has its own ratio.`,
    "",
    "Portolan's figure divided by the other's (time, CPU: less is better; rates: more is better)",
    table([
      ["", ...NAMES.slice(1).map(column), "bare Worker does"],
      ...measures(rounds).map((each) => ratioRow(each, rounds)),
    ]),
    "",
    "The figures behind them",
    table([
      ["", ...NAMES.map(column), "yardstick"],
      ...measures(rounds).map((each) => figureRow(each, rounds)),
      ...callRows(rounds),
      ...crowdRows(results.crowd),
      ["peak memory, MB", ...NAMES.map((name) => megabytes(results.peaks.get(name)?.all ?? 0)), ""],
      ["  workerd only", ...NAMES.map((name) => peakOfWorkerd(results, name)), ""],
    ]),
    "",
    pushReport(results.pushes),
    "",
    ...(memory ? [memoryLine(memory), ""] : []),
    ...(results.proxied ? [proxiedLine(results.proxied), ""] : []),
    ...(footprint ? [footprintLine(footprint), ""] : []),
    ...failures(results.crowd),
    ...saturation(rounds),
    "Targets",
    table(
      verdicts(results).map((each) => [
        each.isReached ? "reached" : "MISSED",
        each.name,
        each.figure,
        each.target,
      ]),
      2,
    ),
  ];
  return lines.join("\n");
}

export function verdicts({ rounds, crowd, pushes, memory, footprint }: Results): Verdict[] {
  const portolan = seriesOf(rounds, "portolan");
  const { empty, r2 } = rounds.yardsticks;
  const requests = ratio(rates(portolan.manifests), rates(empty));
  const blobs = ratio(rates(portolan.blobs), rates(r2));
  const direct = seriesOf(rounds, "direct").coldCalls.map(total);
  const added = Math.max(...portolan.coldCalls.map((calls, round) => total(calls) - (direct[round] ?? 0)));
  const warm = Math.max(...portolan.warmCalls.map(total));
  const all: Verdict[] = [
    verdict("manifests by tag, warm, to an empty response", requests.toFixed(2), "≥ 0.70", requests >= 0.7),
    verdict("blobs, warm, to R2.get", blobs.toFixed(2), "≥ 0.90", blobs >= 0.9),
    ...besideRegistry(rounds),
    verdict("upstream calls that a cold pull adds", String(added), "0", added <= 0),
    verdict("upstream calls of a warm pull", String(warm), "0", warm === 0),
    ...pushVerdicts(pushes),
  ];
  const together = crowd.get("portolan");
  if (together) {
    const { mostPerManifest, mostPerBlob } = together.calls;
    const time = together.seconds / (crowd.get("registry")?.seconds ?? 0);
    all.push(
      verdict(`${CROWD} at once, cold, to docker-registry's time`, time.toFixed(2), "≤ 0.40", time <= 0.4),
      verdict(`GETs per blob for ${CROWD} at once`, String(mostPerBlob), "1", mostPerBlob === 1),
      verdict(`GETs per manifest for ${CROWD} at once`, String(mostPerManifest), "1", mostPerManifest === 1),
      verdict(
        `errors for ${CROWD} at once`,
        String(together.errors.length),
        "0",
        together.errors.length === 0,
      ),
    );
  }
  if (memory) {
    const grown = growth(memory);
    all.push(verdict("memory grown by 2 GiB, MB", megabytes(grown), "< 100", grown < 100_000_000));
  }
  if (footprint) {
    const { start, idle, install } = footprint;
    all.push(
      verdict("ready after, s", start.toFixed(2), "< 1", start < 1),
      verdict("idle, both processes, MB", megabytes(idle), "< 150", idle < 150_000_000),
      verdict("production install, MB", megabytes(install), "< 330", install < 330_000_000),
    );
  }
  return all;
}

/** What one machine's mirror should reach beside docker-registry's proxy mode. */
function besideRegistry(rounds: RoundsResult): Verdict[] {
  const [ours, theirs] = [seriesOf(rounds, "portolan"), seriesOf(rounds, "registry")];
  const cold = ratio(ours.coldRate, theirs.coldRate);
  const cpu = ratio(ours.coldCpu, theirs.coldCpu);
  const warm = ratio(rates(ours.blobs), rates(theirs.blobs));
  const pull = ratio(ours.coldPull, theirs.coldPull);
  return [
    verdict("blobs, cold, to docker-registry's MB/s", cold.toFixed(2), "≥ 1.50", cold >= 1.5),
    verdict("  CPU, to docker-registry's", cpu.toFixed(2), "≤ 0.60", cpu <= 0.6),
    verdict("blobs, warm, to docker-registry's MB/s", warm.toFixed(2), "≥ 0.90", warm >= 0.9),
    verdict("whole pull, cold, to docker-registry's time", pull.toFixed(2), "≤ 0.80", pull <= 0.8),
  ];
}

function measures({ yardsticks }: RoundsResult): Measure[] {
  const cpuPerGib = (value: number): string => (value * GIB).toFixed(2);
  const cpus = (results: readonly LoadResult[]): number[] => results.map(({ cpu }) => cpu);
  return [
    {
      name: "manifest by tag, warm, requests/s",
      of: ({ manifests }) => rates(manifests),
      yardstick: rates(yardsticks.empty),
      format: (value) => value.toFixed(0),
    },
    {
      name: "  CPU, µs/request",
      of: ({ manifests }) => cpus(manifests),
      yardstick: cpus(yardsticks.empty),
      format: (value) => (value * 1e6).toFixed(0),
    },
    {
      name: "blobs, warm, MB/s",
      of: ({ blobs }) => rates(blobs),
      yardstick: rates(yardsticks.r2),
      format: megabytes,
    },
    {
      name: "  CPU, s/GiB",
      of: ({ blobs }) => cpus(blobs),
      yardstick: cpus(yardsticks.r2),
      format: cpuPerGib,
    },
    { name: "blobs, cold, MB/s", of: ({ coldRate }) => coldRate, format: megabytes },
    { name: "  CPU, s/GiB", of: ({ coldCpu }) => coldCpu, format: cpuPerGib },
    { name: "whole pull, cold, s", of: ({ coldPull }) => coldPull, format: (value) => value.toFixed(2) },
    { name: "whole pull, warm, s", of: ({ warmPull }) => warmPull, format: (value) => value.toFixed(2) },
  ];
}

function ratioRow(measure: Measure, rounds: RoundsResult): string[] {
  const ours = measure.of(seriesOf(rounds, "portolan"));
  const isRate = measure.name.endsWith("requests/s");
  const instead = isRate || measure.name.includes("request") ? "an empty response" : "R2.get";
  const others = NAMES.slice(1).map((name) => {
    const theirs = name === "bare" ? measure.yardstick : undefined;
    return ratio(ours, theirs ?? measure.of(seriesOf(rounds, name))).toFixed(2);
  });
  return [measure.name, ...others, measure.yardstick ? instead : "a pass-through"];
}

function figureRow({ name, of, yardstick, format }: Measure, rounds: RoundsResult): string[] {
  const figures = NAMES.map((each) => format(median(of(seriesOf(rounds, each)))));
  return [name, ...figures, yardstick ? format(median(yardstick)) : ""];
}

/** Of the last round; they are the same in all. */
function callRows(rounds: RoundsResult): string[][] {
  const row = (name: string, of: (series: Series) => string): string[] => [
    name,
    ...NAMES.map((each) => of(seriesOf(rounds, each))),
    "",
  ];
  const manifests = (calls: readonly Calls[]): string =>
    `${calls.at(-1)?.manifestHead}, ${calls.at(-1)?.manifestGet}`;
  const blobs = (calls: readonly Calls[]): string => `${calls.at(-1)?.blobHead}, ${calls.at(-1)?.blobGet}`;
  return [
    row("upstream HEADs, GETs of manifests, cold", ({ coldCalls }) => manifests(coldCalls)),
    row("  of blobs, cold", ({ coldCalls }) => blobs(coldCalls)),
    row("  of manifests, warm", ({ warmCalls }) => manifests(warmCalls)),
    row("  of blobs, warm", ({ warmCalls }) => blobs(warmCalls)),
  ];
}

function crowdRows(crowd: Map<ServerName, CrowdResult>): string[][] {
  if (crowd.size === 0) return [];
  const row = (name: string, of: (result: CrowdResult) => string): string[] => [
    name,
    ...NAMES.map((each) => {
      const result = crowd.get(each);
      return result ? of(result) : "";
    }),
    "",
  ];
  return [
    row(`${CROWD} clients at once, cold, s`, ({ seconds }) => seconds.toFixed(1)),
    row("  most GETs of one manifest", ({ calls }) => String(calls.mostPerManifest)),
    row("  most GETs of one blob", ({ calls }) => String(calls.mostPerBlob)),
    row("  errors", ({ errors }) => String(errors.length)),
  ];
}

/** One error message for each server with failed pulls: other clients rarely see a different one. */
function failures(crowd: Map<ServerName, CrowdResult>): string[] {
  return [...crowd].flatMap(([name, { errors }]) =>
    errors[0] === undefined
      ? []
      : [`${TITLES[name]} failed ${errors.length} of ${CROWD} clients: ${errors[0]}`, ""],
  );
}

function memoryLine(memory: MemoryResult): string {
  const { bytes, seconds, baseline, peak } = memory;
  return (
    `Memory of workerd while ${(bytes / GIB).toFixed(0)} GiB went cold to a slow client (${seconds.toFixed(0)} s): ` +
    `${megabytes(baseline)} MB before, at most ${megabytes(growth(memory))} MB more in samples a second apart, ` +
    `${megabytes(peak - baseline)} MB more at the peak.`
  );
}

function proxiedLine({ directly, http, socks5h }: Proxied): string {
  const [byHttp, bySocks] = [http, socks5h].map((seconds) => (seconds / directly).toFixed(2));
  return `A cold pull through a proxy takes ${byHttp} times (HTTP) and ${bySocks} times (SOCKS5) as long as directly, ${directly.toFixed(2)} s.`;
}

function footprintLine({ start, idle, install }: Footprint): string {
  return (
    `Ready ${start.toFixed(2)} s after its start; ${megabytes(idle)} MB resident in both processes at rest; ` +
    `${megabytes(install)} MB installed without development dependencies.`
  );
}

function growth({ samples, baseline }: MemoryResult): number {
  return Math.max(0, ...samples) - baseline;
}

function saturation({ series, yardsticks }: RoundsResult): string[] {
  const loads: [string, readonly LoadResult[]][] = [
    ["the bare Worker's empty response", yardsticks.empty],
    ["the bare Worker's R2.get", yardsticks.r2],
  ];
  for (const [name, { manifests, blobs }] of series) {
    loads.push([`${TITLES[name]}, manifests`, manifests], [`${TITLES[name]}, blobs`, blobs]);
  }
  return loads.flatMap(([name, results]) => {
    const busy = median(results.map(({ generatorBusy }) => generatorBusy));
    if (busy < 0.85) return [];
    return [
      `The load generator was busy ${(busy * 100).toFixed(0)} % of the time: ${name} may be faster than measured.`,
      "",
    ];
  });
}

function peakOfWorkerd({ peaks }: Results, name: ServerName): string {
  const peak = peaks.get(name)?.workerd ?? null;
  return peak === null ? "" : megabytes(peak);
}

function seriesOf({ series }: RoundsResult, name: ServerName): Series {
  const found = series.get(name);
  if (!found) throw new Error(`${name} was not measured`);
  return found;
}

function rates(results: readonly LoadResult[]): number[] {
  return results.map(({ rate }) => rate);
}

function column(name: ServerName): string {
  return TITLES[name];
}
