/** Files of the user: read if they exist, and written atomically. */
import { randomUUID } from "node:crypto";
import { open, readFile, rename, rm } from "node:fs/promises";

/** Writes a file that only its owner can read, atomically. */
export async function writePrivately(path: string, text: string): Promise<void> {
  const incoming = `${path}.${randomUUID()}.tmp`;
  try {
    const file = await open(incoming, "wx", 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(incoming, path);
  } finally {
    await rm(incoming, { force: true });
  }
}

/** @returns null if there is no such file. */
export async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (hasCode(error, "ENOENT")) return null;
    throw new Error(`${path} can't be read: ${error instanceof Error ? error.message : error}`);
  }
}

/** Whether it is one of these system errors: `ENOENT`, `EBUSY`, … */
export function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && "code" in error && codes.includes(String(error.code));
}
