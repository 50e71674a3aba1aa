/** A soak's figures, and which of them are failures. */
import type { Soak } from "./phases.ts";

export interface Findings {
  /** What hasn't recovered at the end although there are no more faults. */
  unrecovered: string[];
  /** What couldn't be read back, or only with upstream requests. */
  unread: string[];
  /** Stored objects that don't match their digests. */
  wrong: string[];
  /** Objects that were once stored and no longer are. */
  lost: string[];
  /** Files that belong to no stored object. */
  orphans: number;
  stored: number;
  /** Milliseconds until everything had recovered. */
  recovery: number;
}

export interface Settings {
  seconds: number;
  seed: number;
  clients: number;
  rate: number;
}

export interface Figures extends Settings {
  pulls: Record<string, number>;
  requests: number;
  mebibytes: number;
  faults: Record<string, number>;
  faultsTotal: number;
  /** Upstream calls for content beyond one per object. */
  retries: number;
  errors: Record<string, number>;
  served: Record<string, number>;
  wrongBytes: number;
  /** Wrong content of an upstream that was passed on unverified: rejected by the client, and never stored. */
  passedOn: number;
  lostObjects: number;
  unexplained: number;
  backwards: number;
  stored: number;
  orphans: number;
  recoverySeconds: number;
}

/** The least pulls and faults per second for a run to count. */
const PULLS_PER_SECOND = 1;
const FAULTS_PER_SECOND = 1;
/** Kinds of faults that may happen not to occur. */
const MAY_BE_ABSENT = 4;
/** Findings of a kind that are printed. */
const SHOWN = 10;

export function figures(
  { ledger, upstreams, catalogue }: Soak,
  findings: Findings,
  settings: Settings,
): Figures {
  const objects = new Set(
    catalogue.images.flatMap(({ index, manifests, blobs }) => [
      index,
      ...manifests,
      ...blobs.map(({ digest }) => digest),
    ]),
  );
  objects.delete(null);
  return {
    ...settings,
    pulls: ledger.pulls,
    requests: ledger.requests,
    mebibytes: Math.round(ledger.bytes / 1024 ** 2),
    faults: upstreams.faults.counts,
    faultsTotal: upstreams.faults.total,
    retries: upstreams.contentRequests() - objects.size,
    errors: ledger.errors,
    served: ledger.served,
    wrongBytes: ledger.wrong.length + findings.wrong.length,
    passedOn: ledger.passedOn,
    lostObjects: findings.lost.length,
    unexplained: ledger.unexplained.length,
    backwards: ledger.backwards.length,
    stored: findings.stored,
    orphans: findings.orphans,
    recoverySeconds: Math.round(findings.recovery / 100) / 10,
  };
}

/** The reasons why the run failed; empty if it passed. */
export function verdict({ ledger, upstreams }: Soak, findings: Findings, seconds: number): string[] {
  const pulls = ledger.pulls.whole;
  const absent = Object.entries(upstreams.faults.counts)
    .filter(([, count]) => count === 0)
    .map(([name]) => name);
  return [
    ...shown("wrong bytes served", ledger.wrong),
    ...shown("wrong bytes stored", findings.wrong),
    ...shown("lost", findings.lost),
    ...shown("unexplained", ledger.unexplained),
    ...shown("not recovered", findings.unrecovered),
    ...shown("not read back", findings.unread),
    ...(pulls < seconds * PULLS_PER_SECOND ? [`only ${pulls} whole pulls in ${seconds} s`] : []),
    ...(upstreams.faults.total < seconds * FAULTS_PER_SECOND
      ? [`only ${upstreams.faults.total} faults in ${seconds} s`]
      : []),
    ...(absent.length > MAY_BE_ABSENT ? [`these faults never happened: ${absent.join(", ")}`] : []),
  ];
}

export function print(figures: Figures, faults: readonly string[], asJson: boolean): void {
  if (asJson) {
    console.log(JSON.stringify({ ...figures, failures: faults }, null, 2));
    return;
  }
  for (const [name, value] of Object.entries(figures)) {
    const text =
      typeof value === "object"
        ? Object.entries(value)
            .map(([part, count]) => `${part} ${count}`)
            .join(" · ")
        : String(value);
    console.log(`${name.padEnd(16)} ${text || "none"}`);
  }
  console.log(faults.length === 0 ? "\nPassed." : `\nFAILED\n${faults.join("\n")}`);
}

function shown(what: string, findings: readonly string[]): string[] {
  const more = findings.length - SHOWN;
  return [
    ...findings.slice(0, SHOWN).map((finding) => `${what}: ${finding}`),
    ...(more > 0 ? [`${what}: ${more} more`] : []),
  ];
}
