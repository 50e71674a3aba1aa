/** What verify found, as a table that is read at a glance, the differences in words, and one line that sums up. */

import { attestedName } from "../image/image.ts";
import { bad, good, quiet, strong, warning } from "../terminal/colours.ts";
import { count, shortDigest, shortMirror, size, span } from "../terminal/format.ts";
import { table } from "../terminal/table.ts";
import { type Finding, type State, worst } from "./compare.ts";
import type { ImageResult, MirrorResult } from "./verify-image.ts";

const PAINT: Record<State, (text: string) => string> = {
  same: good,
  stale: warning,
  refused: warning,
  failed: warning,
  different: bad,
  missing: bad,
};

/** Whether everything could be requested, and all of it is the publisher's. */
export function isAllSame({ mirrors }: ImageResult): boolean {
  return mirrors.every(({ findings }) => worst(findings) === "same");
}

/** Whether there are differences, rather than only requests without a response. */
export function hasDifference({ mirrors }: ImageResult): boolean {
  return mirrors.some(({ findings }) => !["same", "refused", "failed"].includes(worst(findings)));
}

/** The table of one image and, below it, what its states alone don't say. */
export function imageReport(result: ImageResult): string {
  const { image, publisher, expected, mirrors } = result;
  const platforms = expected.platforms.filter(({ name }) => attestedName(name) === null);
  const what = expected.isIndex ? `an index of ${count(platforms.length, "platform")}` : "one manifest";
  const head = ["", "size", ...mirrors.map(({ mirror }) => shortMirror(mirror))];
  const lines = [
    strong(image),
    quiet(`  ${publisher} has ${shortDigest(expected.root.digest)}, ${what}`),
    "",
    table(rows(result), { head: head.map(quiet), right: [1], indent: 2 }),
  ];
  const notes = mirrors.flatMap(notesOf);
  if (notes.length > 0) lines.push("", table(notes, { indent: 2 }));
  return lines.join("\n");
}

/** @param deep whether layers were downloaded and hashed, or only requested */
export function summary(results: readonly ImageResult[], deep: boolean): string {
  const mirrors = [...new Set(results.flatMap((result) => result.mirrors.map(({ mirror }) => mirror)))];
  const states = mirrors.map((mirror) => ({ mirror, state: worst(findingsOf(mirror, results)) }));
  const right = states.filter(({ state }) => state === "same");
  const images = results.length === 1 ? "the image" : `all ${results.length} images`;
  const them = results.length === 1 ? "it" : "them";
  const depth = deep ? "every layer hashed" : "layers by digest and size; --deep downloads and hashes them";
  if (right.length === mirrors.length) {
    const who = mirrors.length === 1 ? shortMirror(mirrors[0] ?? "") : `All ${mirrors.length} mirrors`;
    const verb = mirrors.length === 1 ? "gives" : "give";
    return `${good("✓")} ${who} ${verb} ${images} as the publisher pushed ${them} ${quiet(`(${depth})`)}`;
  }
  const wrong = states
    .filter(({ state }) => state !== "same")
    .map(({ mirror, state }) => `${shortMirror(mirror)}: ${PAINT[state](wordFor(state))}`);
  const some = `${right.length} of ${count(mirrors.length, "mirror")} give ${images} as the publisher pushed ${them}`;
  return `${bad("✗")} ${mirrors.length === 1 ? "" : `${some}; `}${wrong.join(", ")}`;
}

function findingsOf(mirror: string, results: readonly ImageResult[]): Finding[] {
  return results.flatMap((result) =>
    result.mirrors.filter((each) => each.mirror === mirror).flatMap(({ findings }) => findings),
  );
}

function rows({ expected, mirrors }: ImageResult): string[][] {
  const index = mirrors.map(({ findings }) => findings.find(({ kind }) => kind === "index"));
  const indexRow = ["index", size(expected.root.size), ...index.map(cell)];
  const shown = expected.platforms.filter(({ name }) => !isPlain(name, mirrors));
  const platforms = shown.flatMap(({ name }) => platformRows(name, mirrors));
  return index.some((finding) => finding !== undefined) ? [indexRow, ...platforms] : platforms;
}

/** An attestation is worth a line only where it is wrong in another way than what it attests. */
function isPlain(name: string, mirrors: readonly MirrorResult[]): boolean {
  const subject = attestedName(name);
  const state = (findings: readonly Finding[], of: string) =>
    worst(findings.filter(({ platform }) => platform === of));
  return (
    subject !== null &&
    mirrors.every(({ findings }) => ["same", state(findings, subject)].includes(state(findings, name)))
  );
}

/** One line for a platform; below it the objects that aren't the same although, or because, the manifest above them says so. */
function platformRows(name: string, mirrors: readonly MirrorResult[]): string[][] {
  const all = mirrors.map(({ findings }) => findings.filter(({ platform }) => platform === name));
  const [first = []] = all;
  const total = first.reduce((sum, { expected }) => sum + expected.size, 0);
  const row = [name, size(total), ...all.map((findings) => cell(summed(findings)))];
  const detailed = first.slice(1).flatMap((object, below) => {
    const findings = all.map((each) => each[below + 1]);
    const isTelling = findings.some((finding, mirror) => isOwn(finding, all[mirror]?.[0]));
    return isTelling ? [[`  ${nameOf(object)}`, size(object.expected.size), ...findings.map(cell)]] : [];
  });
  return [row, ...detailed];
}

/** Whether an object's state says more than that of its platform's manifest. */
function isOwn(finding: Finding | undefined, manifest: Finding | undefined): boolean {
  if (finding === undefined || finding.state === "same") return false;
  return manifest?.state === "same" || finding.state === "different";
}

/** What stands in a platform's own line: its manifest's state, unless something below is worse. */
function summed(findings: readonly Finding[]): Finding | undefined {
  const [manifest] = findings;
  if (manifest === undefined || manifest.state !== "same") return manifest;
  return findings.find(({ state }) => state === worst(findings));
}

function cell(finding: Finding | undefined): string {
  if (finding === undefined) return "";
  const { state, behind } = finding;
  const age = state === "stale" && behind !== null ? `, ${aged(behind)}` : "";
  return PAINT[state](`${wordFor(state)}${age}`);
}

function wordFor(state: State): string {
  if (state === "refused") return "no access";
  return state === "failed" ? "no response" : state;
}

function aged(behind: number): string {
  if (behind === 0) return "made at the same time";
  return `${span(behind)} ${behind > 0 ? "behind" : "ahead"}`;
}

function nameOf({ kind, position }: Finding): string {
  return position === null ? kind : `${kind} ${position}`;
}

/** Lines of mirror, object and what is wrong with it; what has no reason of its own follows from another line. */
function notesOf({ mirror, findings }: MirrorResult): string[][] {
  const reported = new Set<string>();
  return findings.flatMap((finding) => {
    const words = explanation(finding);
    // A stale tag, and a mirror that doesn't respond, are the one reason for all that follows.
    const cause = ["stale", "refused", "failed"].includes(finding.state) ? finding.state : (words ?? "");
    if (words === null || reported.has(cause)) return [];
    reported.add(cause);
    const object = [finding.platform, finding.kind === "manifest" ? null : nameOf(finding)];
    return [[shortMirror(mirror), object.filter((part) => part !== null).join(", "), words]];
  });
}

function explanation({ state, reason, expected, found, kind }: Finding): string | null {
  if (state === "same" || (reason === null && kind !== "layer" && kind !== "config")) return null;
  if (reason === null && (found === null || found === expected.digest || state === "stale")) return null;
  const instead = found === null || found === expected.digest ? "" : `${shortDigest(found)}`;
  if (reason === null) return `has ${instead} where the publisher has ${shortDigest(expected.digest)}`;
  return instead === "" ? reason : `has ${instead}: ${reason}`;
}
