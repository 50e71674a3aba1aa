/** The Chinese pages against the English ones: they say the same, in the same order, with the same code. */
import { describe, expect, test } from "vitest";
import { anchorOf, codes, follow, links, type Page, page, pages } from "./support/documentation.ts";

/** The English path of a Chinese page or picture: `docs/zh/serve.md` is `docs/serve.md`, `page.zh.png` is `page.png`. */
function englishOf(path: string): string {
  if (path === "README.zh-CN.md") return "README.md";
  return path.replace(/^docs\/zh\//, "docs/").replace(/\.zh\.png$/, ".png");
}

const chinese = pages.filter(({ path }) => englishOf(path) !== path);
const translated = new Map(chinese.map(({ path }) => [englishOf(path), path]));

test("docs/zh has pages on serving, deploying, access, hosted repositories, clients and troubleshooting", () => {
  const needed = ["serve", "deploy", "access", "troubleshooting", "home", "hosted", "clients/README"];
  expect([...translated.keys()]).toEqual(expect.arrayContaining(needed.map((name) => `docs/${name}.md`)));
});

/** Where a link leads in both languages: the English page, and which of its headings. */
function destination(from: Page, target: string): string {
  const { path, anchor } = follow(from.path, target);
  if (anchor === undefined) return englishOf(path);
  const index = page(path).headings.findIndex((heading) => anchorOf(heading) === anchor);
  return `${englishOf(path)}, heading ${index}`;
}

/** Without those that only change the language. */
function destinations(from: Page): string[] {
  const all = links(from).map((target) => destination(from, target));
  return all.filter((each) => each !== englishOf(from.path)).sort();
}

describe.each(chinese)("$path", (translation) => {
  const original = page(englishOf(translation.path));

  test("has the same code blocks, to the letter", () => {
    const shown = ({ blocks }: Page) => blocks.map(({ language, text }) => ({ language, text }));
    expect(shown(translation)).toEqual(shown(original));
  });

  test("has headings that correspond", () => {
    const levels = ({ headings }: Page) => headings.map(({ level }) => level);
    expect(levels(translation)).toEqual(levels(original));
    const untranslated = (text: string) => /^[A-Za-z0-9]+$/.test(text);
    for (const [index, { text }] of translation.headings.entries()) {
      if (untranslated(text)) expect(text).toBe(original.headings[index]?.text);
    }
  });

  test("has the same lists and tables, with the same code in each item and row", () => {
    const paragraphs = ({ prose }: Page) => prose.split(/\n(?=- |\||\n)/);
    const rows = (from: Page) => paragraphs(from).filter((each) => each.startsWith("|"));
    const items = (from: Page) => paragraphs(from).filter((each) => each.startsWith("- "));
    const inOrder = (all: string[]) => all.map((each) => codes(each.replaceAll("\n", " ")).sort());
    expect(inOrder(rows(translation))).toEqual(inOrder(rows(original)));
    expect(inOrder(items(translation))).toEqual(inOrder(items(original)));
  });

  test("leads to the same places as the original", () => {
    expect(destinations(translation)).toEqual(destinations(original));
  });

  test("leads to the original", () => {
    expect(links(translation).map((target) => follow(translation.path, target).path)).toContain(
      original.path,
    );
  });

  test("leads to Chinese pages where they exist", () => {
    const reached = links(translation).map((target) => follow(translation.path, target).path);
    const available = reached.filter((path) => path !== original.path && translated.has(path));
    expect(available).toEqual([]);
  });

  test("has bold text that Markdown recognizes: no punctuation inside of its ends next to a letter outside", () => {
    const withoutCode = translation.prose.replaceAll(/`[^`\n]*`/g, "``");
    for (const [bold, before = "", text = "", after = ""] of withoutCode.matchAll(
      /(.?)\*\*([^*]+)\*\*(.?)/gsu,
    )) {
      expect(/^\p{P}/u.test(text) && /[\p{L}\p{N}]/u.test(before), bold).toBe(false);
      expect(/[\p{P}`]$/u.test(text) && /[\p{L}\p{N}]/u.test(after), bold).toBe(false);
    }
  });
});
