/** Measured mirrors as a table, the best first, and what to configure. */
import { bad, good, quiet, warning } from "../terminal/colours.ts";
import { shortMirror, size, span } from "../terminal/format.ts";
import { table } from "../terminal/table.ts";
import { daemonJson, upstreamOption } from "./client-configuration.ts";
import { isFresh, isUsable, type Measured } from "./rank.ts";

const HEAD = ["", "mirror", "of", "first byte", "a second", "content", "tags", "limits, problems"];

/** @param publishers the endpoint of each registry's own. */
export function mirrorsReport(ranked: readonly Measured[], publishers: ReadonlyMap<string, string>): string {
  const rows = ranked.map((measured, remote) => [
    isUsable(measured) ? String(remote + 1) : "",
    shortMirror(measured.mirror.url),
    quiet(measured.mirror.registry),
    measured.firstByte === null ? "" : `${Math.max(1, Math.round(measured.firstByte))} ms`,
    measured.speed === null ? "" : size(measured.speed),
    contentWord(measured),
    tagsWord(measured),
    measured.problem === null ? quiet(measured.limits ?? "") : bad(measured.problem),
  ]);
  const measured = table(rows, { head: HEAD.map(quiet), right: [0, 3, 4], indent: 2 });
  return [measured, ...configurations(ranked, publishers), "", summary(ranked)].join("\n");
}

function configurations(ranked: readonly Measured[], publishers: ReadonlyMap<string, string>): string[] {
  const docker = daemonJson(ranked);
  const options = [...publishers].flatMap(([name, url]) => upstreamOption(ranked, name, url) ?? []);
  return [
    ...(docker === null ? [] : ["", "Docker, in /etc/docker/daemon.json:", indented(docker)]),
    ...(options.length === 0
      ? []
      : ["", "Portolan, which asks them for digests only and the registry itself for tags:"]),
    ...(options.length === 0 ? [] : [indented(`npm start -- ${options.join(" ")}`)]),
  ];
}

function indented(text: string): string {
  return text.replaceAll(/^/gm, "  ");
}

function contentWord({ isCorrect }: Measured): string {
  if (isCorrect === null) return "";
  return isCorrect ? good("right") : bad("wrong");
}

function tagsWord({ problem, freshness, behind }: Measured): string {
  if (problem !== null) return "";
  switch (freshness) {
    case null:
      return quiet("–");
    case "same":
      return good("fresh");
    case "stale":
      return warning(behind === null || behind <= 0 ? "stale" : `${span(behind)} behind`);
    case "refused":
      return warning("no access");
    case "failed":
      return warning("no response");
    default:
      return bad(freshness);
  }
}

function summary(ranked: readonly Measured[]): string {
  const usable = ranked.filter(isUsable);
  const [best] = usable;
  if (best === undefined) return `${bad("✗")} None of ${ranked.length} can be used`;
  const fresh = usable.filter(isFresh).length;
  return `${good("✓")} ${usable.length} of ${ranked.length} can be used, ${fresh} of them for tags too; best is ${shortMirror(best.mirror.url)}`;
}
