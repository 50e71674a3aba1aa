/** Settings put into a JSON file: only what changes is rewritten, in the file's own indentation. */
import { isDeepStrictEqual } from "node:util";
import { applyEdits, modify } from "jsonc-parser";
import { addByHand } from "./unsafe.ts";
import { differences, merge } from "./values.ts";

export function mergeJson(existing: string, content: string): string {
  const before: unknown = JSON.parse(existing);
  const expected = merge(before, JSON.parse(content));
  const eol = existing.includes("\r\n") ? "\r\n" : "\n";
  const [, indent = "  "] = /\n([ \t]+)\S/.exec(existing) ?? [];
  const formattingOptions = indent.startsWith("\t")
    ? { insertSpaces: false, tabSize: 1, eol }
    : { insertSpaces: true, tabSize: indent.length, eol };
  const after = differences(before, expected).reduce(
    (text, { path, value }) => applyEdits(text, modify(text, [...path], value, { formattingOptions })),
    existing,
  );
  // A key that stands there twice is one such case.
  if (!isDeepStrictEqual(JSON.parse(after), expected)) {
    throw addByHand("The settings can't be added without a change of what else it says.", content);
  }
  return after;
}
