/** What pushes cost, for people. */
import { PUSH_CROWD, type Pushes, type PushSide } from "./push.ts";
import { median, ratio } from "./statistics.ts";
import { megabytes, table, type Verdict, verdict } from "./text.ts";

const GIB = 1024 ** 3;
const SENDINGS = {
  streamed: "as dockerd does, without a length",
  whole: "as containerd does, whole",
} as const;

export function pushReport({ bytes, series, pulls, crowd }: Pushes): string {
  const cpuPerGib = (value: number): string => (value * GIB).toFixed(2);
  const row = (
    name: string,
    format: (value: number) => string,
    of: (side: PushSide) => number[],
  ): string[] => [
    name,
    ...(["portolan", "registry"] as const).map((side) => format(median(of(side)))),
    ratio(of("portolan"), of("registry")).toFixed(2),
  ];
  const pushed = Object.entries(SENDINGS).flatMap(([sending, name]) => {
    const sides = series[sending as keyof typeof SENDINGS];
    return [
      row(`pushed ${name}, MB/s`, megabytes, (side) => sides[side].rate),
      row("  CPU, s/GiB", cpuPerGib, (side) => sides[side].cpu),
    ];
  });
  return [
    `Pushes of ${megabytes(bytes)} MB, and downloads of what was pushed`,
    table([
      ["", "Portolan", "docker-registry", "ratio"],
      ...pushed,
      row("downloaded, MB/s", megabytes, (side) => pulls[side].map(({ rate }) => rate)),
      row("  CPU, s/GiB", cpuPerGib, (side) => pulls[side].map(({ cpu }) => cpu)),
    ]),
    `${PUSH_CROWD} pushes at once took ${crowd.seconds.toFixed(1)} s, and ${megabytes(crowd.grown)} MB more of workerd's memory.`,
  ].join("\n");
}

export function pushVerdicts({ series, crowd }: Pushes): Verdict[] {
  const beside = Object.entries(SENDINGS).flatMap(([sending, name]) => {
    const { portolan, registry } = series[sending as keyof typeof SENDINGS];
    const rate = ratio(portolan.rate, registry.rate);
    const cpu = ratio(portolan.cpu, registry.cpu);
    return [
      verdict(`push ${name}, to docker-registry's MB/s`, rate.toFixed(2), "≥ 1.20", rate >= 1.2),
      verdict("  CPU, to docker-registry's", cpu.toFixed(2), "≤ 0.60", cpu <= 0.6),
    ];
  });
  const { grown } = crowd;
  return [
    ...beside,
    verdict(
      `memory grown by ${PUSH_CROWD} pushes at once, MB`,
      megabytes(grown),
      "< 128",
      grown < 128_000_000,
    ),
  ];
}
