/** Measured mirrors as a table, the best first, and what to configure. */
import { bad, good, quiet, warning } from "../terminal/colours.ts";
import { shortMirror, size, span } from "../terminal/format.ts";
import { table } from "../terminal/table.ts";
import { daemonJson, primaryFor, upstreamOption } from "./client-configuration.ts";
import { isFresh, isUsable, type Measured } from "./rank.ts";

const HEAD = ["", "mirror", "of", "first byte", "a second", "content", "tags", "limits, problems"];

/** A registry whose mirrors were measured. */
export interface Publisher {
  registry: string;
  /** Its own endpoint. */
  url: string;
  /** Whether that responds from here. */
  isReachable: boolean;
}

export function mirrorsReport(ranked: readonly Measured[], publishers: readonly Publisher[]): string {
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

function configurations(ranked: readonly Measured[], publishers: readonly Publisher[]): string[] {
  const docker = daemonJson(ranked);
  return [
    ...(docker === null ? [] : ["", "Docker, in /etc/docker/daemon.json:", indented(docker)]),
    ...portolanConfiguration(ranked, publishers),
  ];
}

function portolanConfiguration(ranked: readonly Measured[], publishers: readonly Publisher[]): string[] {
  const options = publishers.flatMap(
    ({ registry, url, isReachable }) => upstreamOption(ranked, registry, isReachable ? url : null) ?? [],
  );
  if (options.length === 0) return [];
  const replaced = publishers.flatMap(({ registry, isReachable }) => {
    const primary = isReachable ? null : primaryFor(ranked, registry);
    return primary ? [{ registry, primary }] : [];
  });
  const heading =
    replaced.length === 0
      ? "Portolan, which asks them for digests only and the registry itself for tags:"
      : `Portolan; ${replaced.map(({ registry }) => registry).join(", ")} can't be reached from here, so that a mirror resolves its tags:`;
  const notes = replaced.map(({ registry, primary }) => {
    const confirmed = isFresh(primary) ? "" : ", and nothing confirms them now";
    const name = shortMirror(primary.mirror.url);
    return `  ${warning("!")} ${name} decides what tags of ${registry} point to${confirmed}: use it only if you trust it`;
  });
  return ["", heading, indented(`npm start -- ${options.join(" ")}`), ...notes];
}

function indented(text: string): string {
  return text.replaceAll(/^/gm, "  ");
}

function contentWord({ isCorrect }: Measured): string {
  if (isCorrect === null) return "";
  return isCorrect ? good("right") : bad("wrong");
}

function tagsWord({ problem, freshness, behind, agrees }: Measured): string {
  if (problem !== null) return "";
  switch (freshness) {
    case null:
      if (agrees === null) return quiet("–");
      return agrees ? good("as others") : warning("unlike others");
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
