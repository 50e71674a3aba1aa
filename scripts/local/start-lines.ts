/** The registries of a mirror in what `npm start` prints: there are too many to name each on every line. */
import { REGISTRIES } from "../../src/upstream/registries.ts";
import type { Way } from "./ways.ts";

/** Those that most images come from, before all others. */
const WELL_KNOWN = ["docker.io", "ghcr.io", "quay.io"];
/** Names on one line, unless only one is left. */
const MOST = 12;
/** Columns of a terminal, and of the text in front of each line. */
const WIDTH = 80;
const INDENT = 2;

/** `docker.io, ghcr.io, quay.io, local.test and 26 more (--help)`: the operator's own are shown, as long as there are few. */
export function mirrorsText(upstreams: readonly string[]): string {
  const known = WELL_KNOWN.filter((name) => upstreams.includes(name));
  const own = upstreams.filter((name) => !Object.hasOwn(REGISTRIES, name));
  const first = [...known, ...own];
  const others = upstreams.filter((name) => !first.includes(name));
  const text = shortened([...first, ...others], Math.min(Math.max(first.length, WELL_KNOWN.length), MOST));
  return text.endsWith(" more") ? `${text} (--help)` : text;
}

/** How upstreams are reached, a line for each way: all by one, or the few exceptions and then all others. */
export function wayLines(ways: readonly Way[], upstreams: readonly string[]): string[] {
  const first = ways.filter(({ isSecond }) => !isSecond);
  const most = Math.max(...first.map((way) => way.upstreams.length));
  const main = first.find((way) => way.upstreams.length === most);
  const exceptions = first.filter((way) => way !== main);
  const ordered = [...exceptions, ...(main ? [main] : []), ...ways.filter(({ isSecond }) => isSecond)];
  return ordered.map((way) => {
    const isAll = way.upstreams.length === upstreams.length;
    const names = isAll ? "all" : way === main && most > 1 ? "all others" : shortened(way.upstreams, MOST);
    const by = way.through === null ? "directly" : `through ${way.through}`;
    return `${names} ${by}${way.isSecond ? " when limited" : ""}`;
  });
}

/** The registries that a mirror has without any settings, for the help: lines of a terminal's width. */
export function registriesHelp(): string {
  const lines: string[] = [];
  for (const name of Object.keys(REGISTRIES).sort()) {
    const last = lines.at(-1);
    if (last !== undefined && `${last}, ${name},`.length <= WIDTH - INDENT)
      lines[lines.length - 1] = `${last}, ${name}`;
    else lines.push(name);
  }
  return lines.map((line) => `${" ".repeat(INDENT)}${line}`).join(",\n");
}

function shortened(names: readonly string[], most: number): string {
  const left = names.length - most;
  return left > 1 ? `${names.slice(0, most).join(", ")} and ${left} more` : names.join(", ");
}
