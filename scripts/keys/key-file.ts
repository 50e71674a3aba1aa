/** The file with the list of access keys: a deployed mirror has the list as a secret, which can't be read back from it. */

import { checked } from "../../src/access/key-changes.ts";
import type { WrittenKey } from "../../src/access/key-list.ts";
import { readIfThere, writePrivately } from "../files.ts";

/** In the project's folder, where npm runs its scripts. */
export const KEY_FILE = "access-keys.json";

/** @returns null if there is no such file. @throws Error that names it if it can't be used. */
export async function readKeyFile(path: string): Promise<WrittenKey[] | null> {
  const text = await readIfThere(path);
  if (text === null) return null;
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch {
    throw new Error(`${path} isn't valid JSON; fix it, or remove it and add the keys again`);
  }
  try {
    return checked(list);
  } catch (error) {
    throw new Error(`${path} can't be used: ${error instanceof Error ? error.message : error}`);
  }
}

/** Replaces the file as a whole, so that no reader ever sees half a list. */
export function writeKeyFile(path: string, list: readonly WrittenKey[]): Promise<void> {
  return writePrivately(path, `${JSON.stringify(list, null, 2)}\n`);
}
