/** The documentation as tests read it: its pages, their code blocks, headings and links. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

export interface Block {
  language: string;
  text: string;
  /** For messages: `docs/serve.md:12`. */
  where: string;
}

interface Heading {
  level: number;
  text: string;
}

export interface Page {
  /** From the project's root, with slashes. */
  path: string;
  blocks: readonly Block[];
  headings: readonly Heading[];
  /** What stands outside of code blocks. */
  prose: string;
}

export const root = fileURLToPath(new URL("../../..", import.meta.url));

export const pages: readonly Page[] = [
  ...readdirSync(root).filter((name) => /^(README.*|SECURITY)\.md$/.test(name)),
  ...readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name.replaceAll("\\", "/")}`),
].map(readPage);

/** @throws Error if there is no such page. */
export function page(path: string): Page {
  const found = pages.find((each) => each.path === path);
  if (!found) throw new Error(`there is no ${path}`);
  return found;
}

function readPage(path: string): Page {
  const blocks: Block[] = [];
  const headings: Heading[] = [];
  const prose: string[] = [];
  let open: { fence: string; indent: number; language: string; lines: string[]; line: number } | null = null;
  for (const [index, line] of readFileSync(join(root, path), "utf8").split("\n").entries()) {
    const [, indent = "", fence = "", language = ""] = /^( *)(`{3,})(\S*)/.exec(line) ?? [];
    if (open) {
      if (fence === open.fence && language === "") {
        blocks.push({ language: open.language, text: open.lines.join("\n"), where: `${path}:${open.line}` });
        open = null;
      } else open.lines.push(line.slice(open.indent));
    } else if (fence !== "") open = { fence, indent: indent.length, language, lines: [], line: index + 1 };
    else {
      prose.push(line);
      const [, marks, text] = /^(#+) (.+)$/.exec(line) ?? [];
      if (marks !== undefined && text !== undefined) headings.push({ level: marks.length, text });
    }
  }
  if (open) throw new Error(`${path}:${open.line}: a code block without an end`);
  return { path, blocks, headings, prose: prose.join("\n") };
}

/** What a cell has in backquotes. */
export function codes(cell: string | undefined): string[] {
  return [...(cell ?? "").matchAll(/`([^`]+)`/g)].map(([, code = ""]) => code);
}

/** A heading's anchor as GitHub makes it, one that stands alone on its page. */
export function anchorOf({ text }: Heading): string {
  const plain = text.replaceAll(/`|\[([^\]]*)\]\([^)]*\)/g, "$1");
  return plain
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{M}\p{N}_\- ]/gu, "")
    .replaceAll(" ", "-");
}

/** Where the page's relative links lead, as they are written. */
export function links({ prose }: Page): string[] {
  const code = /`[^`\n]*`/g;
  return [...prose.replaceAll(code, "").matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = ""]) => target)
    .filter((target) => !/^[a-z]+:/.test(target));
}

/** @returns the file that a page's link leads to, from the project's root, and the anchor on it if it has one. */
export function follow(from: string, target: string): { path: string; anchor: string | undefined } {
  const [file = "", anchor] = target.split("#");
  const path = file === "" ? from : relative(root, join(root, dirname(from), file)).replaceAll("\\", "/");
  return { path, anchor };
}
