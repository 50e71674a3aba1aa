/** Settings put into wrangler.toml. Comments, order and layout of everything else stay. */
import { isDeepStrictEqual } from "node:util";
import { parse, TomlError } from "smol-toml";
import { withSetting } from "../config/merge/toml-text.ts";
import { isTable, type Setting, type Table } from "../config/merge/values.ts";

/**
 * Checked by a parser that has no part in the change: the file then has these settings, and no other change.
 * @returns the same text if it says so already.
 * @throws Error that names the settings, where they can't be put in.
 */
export function withSettings(text: string, settings: readonly Setting[]): string {
  const before = read(text);
  const missing = settings.filter(({ path, value }) => !isDeepStrictEqual(valueAt(before, path), value));
  if (missing.length === 0) return text;
  try {
    const after = missing.reduce(withSetting, text);
    if (isDeepStrictEqual(read(after), missing.reduce(withValue, before))) return after;
  } catch (error) {
    // A table that is written inline, or what isn't TOML once it is changed.
    if (!(error instanceof TomlError || error instanceof SyntaxError)) throw error;
  }
  const names = missing.map(({ path, value }) => `${path.join(".")} = ${JSON.stringify(value)}`);
  throw new Error(
    `wrangler.toml can't be changed without its other content; set by hand:\n${names.join("\n")}`,
  );
}

function read(text: string): Table {
  // The parser's objects have no prototype, which makes them unlike all others.
  return structuredClone(parse(text));
}

function valueAt(file: unknown, path: readonly string[]): unknown {
  return path.reduce((value, key) => (isTable(value) ? value[key] : undefined), file);
}

function withValue(file: Table, { path: [key = "", ...rest], value }: Setting): Table {
  const inner = file[key];
  return {
    ...file,
    [key]: rest.length === 0 ? value : withValue(isTable(inner) ? inner : {}, { path: rest, value }),
  };
}
