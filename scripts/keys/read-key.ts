/** A file with one access key, as `--key-file` names it. */
import { readFile } from "node:fs/promises";
import { isKey } from "../../src/guides/key.ts";

/** @throws Error for a file that can't be read, or has no key in it. */
export async function readKey(path: string): Promise<string> {
  const text = await readFile(path, "utf8").catch((error: Error) => {
    throw new Error(`--key-file can't be read: ${error.message}`);
  });
  const key = text.trim();
  // The message must not hold what was found: it may be a key with a slip in it.
  if (!isKey(key)) throw new Error(`${path} holds no access key: 32 characters of a-z and 2-7 on one line.`);
  return key;
}
