import { expect, test } from "vitest";
import { cleaned, cleanJson } from "../../../scripts/terminal/clean.ts";

test.each([
  ["an escape sequence", "a\x1b[31mb", "a�[31mb"],
  ["its form with one byte", "a\x9b31mb", "a�31mb"],
  ["what sets a terminal's title", "\x1b]0;owned\x07", "�]0;owned�"],
  ["a return to the line's start", "right\rwrong", "right�wrong"],
  ["lines", "one\ntwo\u2028three\x85four", "one�two�three�four"],
  ["what turns the direction of text", "linux/\u202e46dma\u2066", "linux/�46dma�"],
  ["what can't be seen", "ghcr\u200b.io\ufeff", "ghcr�.io�"],
  ["half a character", "a\ud800b", "a�b"],
])("%s is taken out", (_, text, clean) => {
  expect(cleaned(text)).toBe(clean);
});

test("text of people stays as it is", () => {
  const text = "Müller — 镜像 ✓ (100 %)";
  expect(cleaned(text)).toBe(text);
});

test("all texts of an object are cleaned, and nothing else of it changes", () => {
  const found = { name: "a\x1b", list: [{ name: "b\x1b", size: 1, isHeld: null }], none: undefined };
  expect(cleaned(found)).toEqual({
    name: "a�",
    list: [{ name: "b�", size: 1, isHeld: null }],
    none: undefined,
  });
});

test("JSON escapes it all and loses nothing", () => {
  const value = { text: "a\x1b[31m\x9b\x7f\u202e\u2028\n b", emoji: "🚢", tag: "a\u{e0041}" };
  const json = cleanJson(value);
  expect(json.replaceAll("\n", "")).not.toMatch(/[\p{C}\u2028\u2029]/u);
  expect(json).toContain("🚢");
  expect(JSON.parse(json)).toEqual(value);
});
