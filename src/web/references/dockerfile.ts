/** The images of a Dockerfile: its base images, what it copies and mounts from other images, and its frontend. */
import type { Found } from "./found.ts";
import { parseReference } from "./reference.ts";

/** `FROM`, `COPY --from`, `RUN --mount=…,from=`, `# syntax=`, and the default of an ARG that a FROM consists of. */
export function dockerfileImages(text: string): Found[] {
  const lines = linesOf(text);
  const stages = new Set<string>(["scratch"]);
  const bases = new Set<string>();
  for (const { line } of lines) {
    const [, base, stage] = /^\s*FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?/i.exec(line) ?? [];
    if (stage !== undefined) stages.add(stage.toLowerCase());
    const [, argument] = /^\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?$/.exec(base ?? "") ?? [];
    if (argument !== undefined) bases.add(argument);
  }
  return lines.flatMap(({ line, start }) =>
    wordsOf(line, bases).flatMap(({ word, at }) => {
      const reference = stages.has(word.toLowerCase()) || /^\d+$/.test(word) ? null : parseReference(word);
      return reference ? [{ start: start + at, end: start + at + word.length, reference }] : [];
    }),
  );
}

interface Word {
  word: string;
  /** In its line. */
  at: number;
}

/** What of a line could be an image's name. @param bases names of ARGs that are whole base images. */
function wordsOf(line: string, bases: ReadonlySet<string>): Word[] {
  const from = /^\s*FROM\s+(?:--\S+\s+)*(\S+)/di.exec(line);
  if (from) return captured(from);
  const syntax = /^#\s*syntax\s*=\s*(\S+)/di.exec(line);
  if (syntax) return captured(syntax);
  const argument = /^\s*ARG\s+([A-Za-z_][A-Za-z0-9_]*)=["']?([^\s"']+)/di.exec(line);
  if (argument) return bases.has(argument[1] ?? "") ? captured(argument, 2) : [];
  if (/^\s*(?:COPY|ADD)\s/i.test(line))
    return [...line.matchAll(/\s--from=(\S+)/dg)].flatMap((each) => captured(each));
  if (!/--mount=/.test(line)) return [];
  return [...line.matchAll(/[=,]from=([^\s,]+)/dg)].flatMap((each) => captured(each));
}

function captured(match: RegExpMatchArray, group = 1): Word[] {
  const at = match.indices?.[group]?.[0];
  const word = match[group];
  return at === undefined || word === undefined ? [] : [{ word, at }];
}

/** The lines of a text, and where each starts. */
export function linesOf(text: string): { line: string; start: number }[] {
  const lines: { line: string; start: number }[] = [];
  let start = 0;
  for (const line of text.split("\n")) {
    lines.push({ line: line.replace(/\r$/, ""), start });
    start += line.length + 1;
  }
  return lines;
}
