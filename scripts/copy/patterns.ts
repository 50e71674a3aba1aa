/** Which repositories and tags a list means: patterns, and the newest of what they match. */

import { matchesAny } from "../../src/access/patterns.ts";

export type Pattern = (text: string) => boolean;

/**
 * Reads `1.*`, in which `*` stands for any characters, or, between slashes, a regular expression: `/^v\d+$/`.
 * @throws Error for a regular expression that isn't one.
 */
export function pattern(text: string): Pattern {
  const expression = expressionIn(text);
  if (expression === null) return (tried) => matchesAny([text], tried);
  try {
    const compiled = new RegExp(expression);
    return (tried) => compiled.test(tried);
  } catch (error) {
    throw new Error(`${text} is no regular expression: ${error instanceof Error ? error.message : error}`);
  }
}

/** Whether a text is a pattern and not the one thing that it names. */
export function isPattern(text: string): boolean {
  return text.includes("*") || expressionIn(text) !== null;
}

function expressionIn(text: string): string | null {
  return /^\/(.+)\/$/s.exec(text)?.[1] ?? null;
}

/** The versions of most recent number, the highest first; what has no number, as `latest`, isn't among them. */
export function newestOf(tags: readonly string[], count: number): string[] {
  return tags
    .filter((tag) => /^v?\d/.test(tag))
    .sort((one, other) => compareVersions(other, one))
    .slice(0, count);
}

/** As semantic versions are ordered, for tags that needn't be any: `1.9` < `1.10-rc1` < `1.10`. */
function compareVersions(one: string, other: string): number {
  const [core = "", early] = split(one);
  const [otherCore = "", otherEarly] = split(other);
  const byCore = compareParts(core, otherCore);
  if (byCore !== 0) return byCore;
  if (early === undefined || otherEarly === undefined) {
    return Number(early === undefined) - Number(otherEarly === undefined);
  }
  return compareParts(early, otherEarly);
}

function split(tag: string): string[] {
  return tag.replace(/^v/, "").split(/-(.*)/s).slice(0, 2);
}

const natural = new Intl.Collator("en", { numeric: true });

function compareParts(one: string, other: string): number {
  return natural.compare(one, other);
}
