/** docs/architecture.md against the code: its picture shows what imports what, and every part and function that it names is there. */
import { readdirSync, readFileSync } from "node:fs";
import { join, matchesGlob } from "node:path";
import { describe, expect, test } from "vitest";
import { importsOf, testFiles } from "../support/node/imports.ts";
import { codes, page, root } from "./support/documentation.ts";

const { blocks, prose } = page("docs/architecture.md");
const files = testFiles(["{src,scripts}/**/*.{ts,tsx}"]);
const imports = new Map(files.map((file) => [file, importsOf(file).filter((name) => files.includes(name))]));

/** The parts of the picture by the names that its arrows use, each with its files. */
const picture = blocks[0]?.text ?? "";
const parts = new Map(
  [...picture.matchAll(/(\w+)\["([^<]+)<br\/>/g)].map(([, part = "", paths = ""]) => [
    part,
    paths.split(", ").map((path) => `src/${path}`),
  ]),
);
const arrows = [...picture.matchAll(/^ *(\w+)(?:\[.*?\])? --> (\w+)/gm)].map(([, from = "", to = ""]) => ({
  from,
  to,
}));

/** The longest path that has a file decides its part: `objects/stubs.ts` is no part of `objects`. */
function partOf(file: string): string | null {
  let found: { part: string; length: number } | null = null;
  for (const [part, paths] of parts) {
    for (const path of paths) {
      const isIn = file === path || file.startsWith(`${path}/`);
      if (isIn && path.length > (found?.length ?? 0)) found = { part, length: path.length };
    }
  }
  return found?.part ?? null;
}

/** What a part's arrows lead to, directly or through other parts. */
function reached(from: string, known = new Set<string>()): Set<string> {
  for (const { to } of arrows.filter((arrow) => arrow.from === from)) {
    if (!known.has(to)) reached(to, known.add(to));
  }
  return known;
}

describe("the picture", () => {
  const drawn = [...imports].flatMap(([file, names]) =>
    names.map((name) => ({ file, name, from: partOf(file), to: partOf(name) })),
  );

  test("has an arrow, or a path of arrows, for each import between its parts, and none upwards", () => {
    expect(arrows.length).toBeGreaterThan(20);
    const undrawn = drawn.filter(
      ({ from, to }) => from !== null && to !== null && from !== to && !reached(from).has(to),
    );
    expect(undrawn).toEqual([]);
    expect([...parts.keys()].filter((part) => reached(part).has(part))).toEqual([]);
  });

  test("has no arrow that no import follows", () => {
    const idle = arrows.filter(
      (arrow) => !drawn.some(({ from, to }) => from === arrow.from && to === arrow.to),
    );
    expect(idle).toEqual([]);
  });
});

test("no files import each other in a circle, types included", () => {
  const done = new Set<string>();
  const circles: string[] = [];
  const visit = (file: string, way: readonly string[]): void => {
    if (way.includes(file)) circles.push([...way.slice(way.indexOf(file)), file].join(" → "));
    if (done.has(file) || way.includes(file)) return;
    for (const name of imports.get(file) ?? []) visit(name, [...way, file]);
    done.add(file);
  };
  for (const file of files) visit(file, []);
  expect(circles).toEqual([]);
});

test("the table has each file of src, and each folder of src and scripts", () => {
  const named = [...prose.matchAll(/^\| (`(?:src|scripts).*?) \|/gm)].flatMap(([, cell]) => codes(cell));
  const there = ["src", "scripts"].flatMap((folder) =>
    readdirSync(join(root, folder), { withFileTypes: true })
      .filter((entry) => entry.isDirectory() || folder === "src")
      .map(({ name }) => `${folder}/${name}`),
  );
  expect(there.filter((path) => !named.some((pattern) => matchesGlob(path, pattern)))).toEqual([]);
});

test("each function that is named is in the file beside it", () => {
  const named = [...prose.matchAll(/`([\w.]+)` (?:and `(\w+)` )?in `(src\/[\w./-]+)`/g)];
  expect(named.length).toBeGreaterThan(8);
  for (const [, one = "", other, file = ""] of named) {
    const source = readFileSync(join(root, file), "utf8");
    for (const name of [...one.split("."), ...(other ? [other] : [])]) {
      const defined = new RegExp(`^( *async|export (async )?function|export class) ${name}\\b`, "m");
      expect(source, `${name} in ${file}`).toMatch(defined);
    }
  }
});
