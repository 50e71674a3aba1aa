/** Sorts test files by what they import, so that each runs where it has what it needs and costs least. */
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** A module of the Workers runtime, or another file of this tree, as it is imported. */
const IMPORT = /(?:from|import) "(cloudflare:\w+|\.{1,2}\/[^"]+\.tsx?)"/g;

/** @returns the files that match, as paths from the project's root. */
export function testFiles(patterns: string[], exclude: string[] = []): string[] {
  return globSync(patterns, { exclude }).map(String);
}

/** What a file imports, types included: `cloudflare:…`, or files as paths from the project's root. */
export function importsOf(file: string): string[] {
  return [...readFileSync(file, "utf8").matchAll(IMPORT)].map(([, name = ""]) =>
    name.startsWith(".") ? join(file, "..", name) : name,
  );
}

/**
 * @param isSought is given `cloudflare:…`, or a file's path from the project's root.
 * @returns those that import something of the kind, themselves or through others, and those that don't.
 */
export function byImport(
  files: string[],
  isSought: (imported: string) => boolean,
): { importing: string[]; others: string[] } {
  const known = new Map<string, boolean>();
  const imports = (file: string): boolean => {
    const before = known.get(file);
    if (before !== undefined) return before;
    // Until it is known otherwise: files that import each other mustn't be followed for ever.
    known.set(file, false);
    const found = importsOf(file).some(
      (path) => isSought(path) || (!path.startsWith("cloudflare:") && imports(path)),
    );
    known.set(file, found);
    return found;
  };
  return { importing: files.filter(imports), others: files.filter((file) => !imports(file)) };
}
