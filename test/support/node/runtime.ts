/** Which test files need the Workers runtime, so that all others run in Node, where a file starts many times faster. */
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** A module of the runtime, or another file of this tree, as it is imported. */
const IMPORT = /(?:from|import) "(cloudflare:\w+|\.{1,2}\/[^"]+\.tsx?)"/g;

/**
 * @param patterns globs of test files, from the project's root.
 * @returns those of them that import `cloudflare:…`, themselves or through others, and those that don't.
 */
export function byRuntime(patterns: string[], exclude: string[]): { workerd: string[]; node: string[] } {
  const known = new Map<string, boolean>();
  const needsWorkerd = (file: string): boolean => {
    const before = known.get(file);
    if (before !== undefined) return before;
    // Until it is known otherwise: files that import each other mustn't be followed for ever.
    known.set(file, false);
    const imports = [...readFileSync(file, "utf8").matchAll(IMPORT)].map(([, name = ""]) => name);
    const needs = imports.some(
      (name) => name.startsWith("cloudflare:") || needsWorkerd(join(file, "..", name)),
    );
    known.set(file, needs);
    return needs;
  };
  const files = globSync(patterns, { exclude }).map(String);
  return { workerd: files.filter(needsWorkerd), node: files.filter((file) => !needsWorkerd(file)) };
}
