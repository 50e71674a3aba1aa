/** Settings put into a TOML file by inserting lines: comments, order and layout of the rest stay. */
import { isDeepStrictEqual } from "node:util";
import { parse, TomlError } from "smol-toml";
import { inFront, withSetting } from "./toml-text.ts";
import { addByHand } from "./unsafe.ts";
import { differences, isSame, isTable, merge, type Table } from "./values.ts";

/** Checked by a parser that has no part in the change: the file then has the intended settings, and no others. */
export function mergeToml(existing: string, content: string): string {
  const before = read(existing);
  const ours = read(content);
  const expected = merge(before, ours);
  if (isAlike(before, expected)) return existing;
  const after = withDifferences(existing, before, ours, expected);
  if (after !== null) return after;
  throw addByHand("The settings can't be added without a change of what else it says.", content);
}

/** @returns null if lines can't be inserted so that the file says just what is expected */
function withDifferences(existing: string, before: Table, ours: Table, expected: unknown): string | null {
  const mine = hostsOf(before).filter((host) => hostsOf(ours).some((each) => isSame(each, host)));
  try {
    const ordered = mine.reduceRight(inFront, existing);
    const after = differences(before, expected).reduce(withSetting, ordered);
    return isAlike(read(after), expected) ? after : null;
  } catch (error) {
    // A table that is written inline can't be given another header.
    if (error instanceof TomlError || error instanceof SyntaxError) return null;
    throw error;
  }
}

function isAlike(one: unknown, other: unknown): boolean {
  return isDeepStrictEqual(one, other) && isDeepStrictEqual(hostsOf(one), hostsOf(other));
}

/** Whole numbers apart from others, because programs that read TOML keep them apart too. */
function read(text: string): Table {
  // The parser's objects have no prototype, which makes them unlike all others.
  return structuredClone(parse(text, { integersAsBigInt: true }));
}

/** Hosts of a hosts.toml, which are requested in the order in which they stand. */
function hostsOf(file: unknown): string[] {
  return isTable(file) && isTable(file.host) ? Object.keys(file.host) : [];
}
