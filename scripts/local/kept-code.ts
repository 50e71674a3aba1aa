/** The bundles of the previous start, reused until a source changes: bundling takes most of a start's time. */
import { createHash } from "node:crypto";
import { globSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { writePrivately } from "../files.ts";

/** The bundles of the two Workers, by the names of their files. */
export type WorkerCode = Record<"mirror.js" | "store.js", string>;

/** Beside Node's compile cache: its content is run as code, so no other user may write to it. */
const KEPT = "node_modules/.cache/portolan/workers.json";
/** npm's record of the packages that are installed, and all that a bundle may contain of the project itself. */
const SOURCES = [
  "node_modules/.package-lock.json",
  "{src,scripts/local,scripts/page}/**/*.{ts,tsx,css,json}",
];

/**
 * @param root the project's folder.
 * @param bundle makes the bundles, where there are none of these sources.
 */
export async function keptCode(root: string, bundle: () => Promise<WorkerCode>): Promise<WorkerCode> {
  const kept = join(root, KEPT);
  const sources = await hashOf(root);
  const before = await readFile(kept, "utf8")
    .then(JSON.parse)
    .catch(() => null);
  if (before?.sources === sources) return before.code;
  const code = await bundle();
  // If the project's folder can't be written to, the next start only takes longer.
  await mkdir(dirname(kept), { recursive: true })
    .then(() => writePrivately(kept, JSON.stringify({ sources, code })))
    .catch(() => {});
  return code;
}

async function hashOf(root: string): Promise<string> {
  const hash = createHash("sha256");
  for (const path of globSync(SOURCES, { cwd: root }).sort()) {
    const content = await readFile(join(root, path));
    hash.update(`${path} ${content.byteLength}\n`).update(content);
  }
  return hash.digest("hex");
}
