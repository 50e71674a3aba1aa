/** Temporary files in memory: a simulated store that syncs each write to a disk takes half of a test run's time. */
import { mkdtempSync, rmSync, statfsSync } from "node:fs";
import { join } from "node:path";

/** Where Linux keeps files in memory. */
const MEMORY = "/dev/shm";
/** Bytes: several times what a run was seen to use. */
const ENOUGH = 2 * 1024 ** 3;

/** Has this process, and those that it starts, keep temporary files in memory where there is room for them. */
export function keepTemporaryFilesInMemory(): void {
  if (freeIn(MEMORY) < ENOUGH) return;
  const folder = mkdtempSync(join(MEMORY, "portolan-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  process.env.TMPDIR = folder;
}

function freeIn(folder: string): number {
  try {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize;
  } catch {
    return 0;
  }
}
