/** Changes of single lines in the text of a TOML file. What can't be changed so throws; the caller checks the result. */
import { isDeepStrictEqual } from "node:util";
import { stringify } from "smol-toml";
import { type AST, getStaticTOMLValue, parseTOML } from "toml-eslint-parser";
import { isTable, type Setting } from "./values.ts";

interface Entry {
  path: readonly string[];
  node: AST.TOMLKeyValue;
}

interface Section {
  path: readonly string[];
  node: AST.TOMLTable;
}

interface Parsed {
  text: string;
  /** Keys that stand before the first table. */
  top: AST.TOMLKeyValue[];
  /** Those and the tables' keys. */
  entries: Entry[];
  sections: Section[];
}

function parsed(text: string): Parsed {
  const { body } = parseTOML(text, { tomlVersion: "1.0" }).body[0];
  const sections = body
    .filter((node) => node.type === "TOMLTable")
    .map((node) => ({ node, path: node.resolvedKey.map(String) }));
  const keyValues = (path: readonly string[], nodes: readonly AST.TOMLKeyValue[]): Entry[] =>
    nodes.map((node) => ({ node, path: [...path, ...getStaticTOMLValue(node.key).map(String)] }));
  const top = body.filter((node) => node.type === "TOMLKeyValue");
  return {
    text,
    top,
    sections,
    entries: [...keyValues([], top), ...sections.flatMap(({ path, node }) => keyValues(path, node.body))],
  };
}

/** Sets one value: in its place if it stands there, else in a new line of its table, which is made if need be. */
export function withSetting(text: string, { path, value }: Setting): string {
  const file = parsed(text);
  const key = path.at(-1) ?? "";
  const parent = path.slice(0, -1);
  const present = file.entries.find((entry) => isDeepStrictEqual(entry.path, path));
  if (present) return replaced(text, present.node, value);
  const eol = text.includes("\r\n") ? "\r\n" : "\n";
  const section = file.sections.find((each) => isDeepStrictEqual(each.path, parent));
  if (section || parent.length === 0) {
    const last = (section ? section.node.body : file.top).at(-1);
    const line = `${section ? indentOfKeys(file, section) : ""}${assignment(key, value)}`;
    if (last) return insertedAt(text, endOfLine(text, last.range[1]), line, eol);
    return section ? insertedAt(text, endOfHeader(text, section), line, eol) : `${line}${eol}${text}`;
  }
  return withSection(file, parent, assignment(key, value), eol);
}

/** A list that only grows at its front keeps its layout and comments. */
function replaced(text: string, { value: node }: AST.TOMLKeyValue, value: unknown): string {
  const [start, end] = node.range;
  const literal = (item: unknown): string => assignment("v", item).replace(/^v = /, "");
  if (node.type === "TOMLArray" && Array.isArray(value) && node.elements.length > 0) {
    const added = value.length - node.elements.length;
    const rest = node.elements.map((element) => getStaticTOMLValue(element));
    if (added > 0 && isDeepStrictEqual(value.slice(added), rest)) {
      const [, gap = ""] = /^\[(\s*)/.exec(text.slice(start)) ?? [];
      const items = value
        .slice(0, added)
        .map((item) => `${gap}${literal(item)},`)
        .join("");
      const space = gap === "" ? " " : "";
      return text.slice(0, start + 1) + items + space + text.slice(start + 1);
    }
  }
  return text.slice(0, start) + literal(value) + text.slice(end);
}

/** A new table: behind the nearest table that it belongs to, before the first host if it is one, else at the end. */
function withSection(file: Parsed, path: readonly string[], line: string, eol: string): string {
  const { text, sections } = file;
  const owner = sections
    .filter((each) => each.path.length < path.length && startsWith(path, each.path))
    .sort((one, other) => other.path.length - one.path.length)[0];
  const header = `[${path.map((key) => (/^[\w-]+$/.test(key) ? key : JSON.stringify(key))).join(".")}]`;
  const below = owner && sections.filter((each) => startsWith(each.path, owner.path));
  const sibling = owner && below?.find((each) => each.path.length > owner.path.length);
  const column = indentOf(text, sibling ?? owner);
  const keys = sibling ?? owner;
  const inner = keys ? column + indentOfKeys(file, keys).slice(indentOf(text, keys).length) : "";
  const block = `${column}${header}${eol}${inner}${line}${eol}`;
  const [first] = path[0] === "host" && !owner ? sections.filter((each) => each.path[0] === "host") : [];
  if (first) {
    const at = startOf(text, first);
    return `${text.slice(0, at)}${block}${eol}${text.slice(at)}`;
  }
  const last = below?.at(-1);
  if (last === undefined) return `${text.trimEnd()}${eol}${eol}${block}`;
  const at = endOfSection(file, last);
  const before = text.slice(0, at);
  return `${before}${before.endsWith("\n") ? "" : eol}${eol}${block}${text.slice(at)}`;
}

/** Moves a host's tables before those of all others. */
export function inFront(text: string, host: string): string {
  const { sections } = parsed(text);
  const hosts = sections.filter(({ path }) => path[0] === "host");
  const own = hosts.filter(({ path }) => path[1] === host);
  const [first] = hosts;
  const [begin] = own;
  if (first === undefined || begin === undefined || first === begin) return text;
  const next = sections[sections.indexOf(own.at(-1) as Section) + 1];
  const target = startOf(text, first);
  const [from, to] = [startOf(text, begin), next ? startOf(text, next) : text.length];
  const block = text.slice(from, to);
  const separator = block.endsWith("\n") ? "" : "\n";
  return text.slice(0, target) + block + separator + text.slice(target, from) + text.slice(to);
}

function startsWith(path: readonly string[], prefix: readonly string[]): boolean {
  return isDeepStrictEqual(path.slice(0, prefix.length), prefix);
}

function insertedAt(text: string, at: number, line: string, eol: string): string {
  return `${text.slice(0, at)}${eol}${line}${text.slice(at)}`;
}

/** Where the line's text ends, a comment behind the value included. */
function endOfLine(text: string, from: number): number {
  const found = /\r?\n|$/.exec(text.slice(from));
  return from + (found?.index ?? 0);
}

function endOfHeader(text: string, { node }: Section): number {
  return endOfLine(text, node.key.range[1]);
}

/** Behind the table's last line; comments and blank lines after that belong to what follows. */
function endOfSection({ text }: Parsed, section: Section): number {
  const last = section.node.body.at(-1);
  const end = last ? endOfLine(text, last.range[1]) : endOfHeader(text, section);
  return text.startsWith("\r\n", end) ? end + 2 : Math.min(end + 1, text.length);
}

/** Of the table's header, or of the comment lines right above it. */
function startOf(text: string, { node }: Section): number {
  const lines = text.slice(0, node.range[0]).split("\n");
  let at = node.range[0] - (lines.pop() ?? "").length;
  for (let line = lines.pop(); line !== undefined && /^\s*#/.test(line); line = lines.pop())
    at -= line.length + 1;
  return at;
}

function indentOf(text: string, section: Section | undefined): string {
  if (section === undefined) return "";
  return /[ \t]*$/.exec(text.slice(0, section.node.range[0]))?.[0] ?? "";
}

/** Of the table's keys, or of those of another table if it has none. */
function indentOfKeys({ text, sections }: Parsed, section: Section): string {
  const before = (position: number): string => /[ \t]*$/.exec(text.slice(0, position))?.[0] ?? "";
  const [own] = section.node.body;
  if (own) return before(own.range[0]);
  const other = sections.find(({ node }) => node.body.length > 0);
  const [key] = other?.node.body ?? [];
  const step = other && key ? before(key.range[0]).slice(indentOf(text, other).length) : "";
  return indentOf(text, section) + step;
}

/** `key = value`, as TOML writes them on one line: a list of tables would otherwise be written as tables of its own. */
function assignment(key: string, value: unknown): string {
  const options = { numbersAsFloat: true };
  if (!Array.isArray(value) || !value.some(isTable)) return stringify({ [key]: value }, options).trimEnd();
  const nested = stringify({ [key]: [value] }, options).trimEnd();
  return nested.replace(/ = \[ /, " = ").replace(/ \]$/, "");
}
