/** What a file becomes when a guide's settings are put into it: the rest of it stays, and what is there twice counts once. */
import { isDeepStrictEqual } from "node:util";
import { parse as parseToml, stringify as stringifyToml } from "smol-toml";
import { type Document, isMap, isSeq, type Node, parseDocument, type YAMLMap, type YAMLSeq } from "yaml";
import type { GuideFile } from "../../src/guides/guide.ts";

/** Says that what is there isn't of the file's format; nothing may be written over it. */
export class UnreadableFile extends Error {
  override readonly name = "UnreadableFile";
}

/**
 * @param existing the file's text; null if there is none
 * @returns the text to be written, which is the existing one if that says all of it already
 * @throws UnreadableFile
 */
export function mergedInto(existing: string | null, { path, language, content }: GuideFile): string {
  if (existing === null || existing.trim() === "") return content;
  try {
    if (language === "json") return mergeJson(existing, content);
    if (language === "toml") return mergeToml(existing, content);
    if (language === "yaml") return mergeYaml(existing, content);
  } catch (error) {
    throw new UnreadableFile(
      `${path} can't be read as ${language.toUpperCase()}: ${error instanceof Error ? error.message : error}`,
    );
  }
  return content;
}

function mergeJson(existing: string, content: string): string {
  const before: unknown = JSON.parse(existing);
  const merged = merge(before, JSON.parse(content));
  if (JSON.stringify(merged) === JSON.stringify(before)) return existing;
  const [, indent = "  "] = /\n([ \t]+)\S/.exec(existing) ?? [];
  return `${JSON.stringify(merged, null, indent)}\n`;
}

/** Comments are lost; whole numbers and others are kept apart, because programs that read TOML do so too. */
function mergeToml(existing: string, content: string): string {
  const read = (text: string): unknown => parseToml(text, { integersAsBigInt: true });
  const written = (value: unknown): string => stringifyToml(value, { numbersAsFloat: true });
  const merged = written(merge(read(existing), read(content)));
  return merged === written(read(existing)) ? existing : merged;
}

/**
 * Tables are merged, lists joined with ours in front, and of two other values ours counts.
 * @param key of the table that both are; the hosts of a hosts.toml are asked in their order, so there ours come first
 */
function merge(theirs: unknown, ours: unknown, key = ""): unknown {
  if (Array.isArray(theirs) && Array.isArray(ours)) return joined(theirs, ours);
  if (!isTable(theirs) || !isTable(ours)) return ours;
  const [first, second] = key === "host" ? [ours, theirs] : [theirs, ours];
  const keys = new Set([...Object.keys(first), ...Object.keys(second)]);
  return Object.fromEntries(
    [...keys].map((each) => {
      if (!Object.hasOwn(ours, each)) return [each, theirs[each]];
      return [each, Object.hasOwn(theirs, each) ? merge(theirs[each], ours[each], each) : ours[each]];
    }),
  );
}

function joined(theirs: readonly unknown[], ours: readonly unknown[]): unknown[] {
  const isOurs = (item: unknown): boolean => ours.some((own) => isDeepStrictEqual(own, item));
  return [...ours, ...theirs.filter((item) => !isOurs(item))];
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

/** Done on the document and not on what it says, so that comments stay. */
function mergeYaml(existing: string, content: string): string {
  const document = parseDocument(existing);
  const [fault] = document.errors;
  if (fault) throw fault;
  const before: unknown = document.toJS();
  mergeNode(document, [], parseDocument(content).contents);
  return isDeepStrictEqual(before, document.toJS()) ? existing : document.toString({ lineWidth: 0 });
}

function mergeNode(document: Document, path: readonly unknown[], ours: Node | null): void {
  const theirs: unknown = path.length === 0 ? document.contents : document.getIn(path, true);
  if (isMap(theirs) && isMap(ours)) {
    for (const { key, value } of (ours as YAMLMap<Node, Node | null>).items) {
      mergeNode(document, [...path, key.toJSON()], value);
    }
  } else if (isSeq(theirs) && isSeq(ours)) {
    document.setIn(path, document.createNode(joined(theirs.toJSON(), (ours as YAMLSeq).toJSON())));
  } else if (path.length === 0) document.contents = ours as never;
  else document.setIn(path, ours);
}
