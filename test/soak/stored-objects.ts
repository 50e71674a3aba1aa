/** The content of the mirror's data folder, read without the mirror: every object is verified against its name. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir } from "node:fs/promises";
import { join, relative } from "node:path";

export interface StoredObjects {
  /** Digests of the manifests and blobs whose bytes match their names. */
  digests: Set<string>;
  /** Everything else that would be served by its name. */
  wrong: string[];
  /** Files that are never served: partial writes from when the mirror was killed. */
  orphans: number;
}

/** Of a file that is served, below the store: `blobs/sha256/ab/ab…`, as the keys of `src/store/store.ts`. */
const KEY = /^(?:manifests|blobs)\/sha256\/([0-9a-f]{2})\/(\1[0-9a-f]{62})$/;

/** Call it only while the mirror isn't running. @throws Error if there is no store of plain files in the folder. */
export async function readStore(data: string): Promise<StoredObjects> {
  const store = join(data, "store");
  const found: StoredObjects = { digests: new Set(), wrong: [], orphans: 0 };
  for (const entry of await readdir(store, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const key = relative(store, path);
    const [, , named] = KEY.exec(key) ?? [];
    if (named === undefined) {
      if (/^(manifests|blobs)\//.test(key)) found.wrong.push(`${key}: not a key of the store`);
      else found.orphans++;
      continue;
    }
    const actual = await digestOf(path);
    if (actual === named) found.digests.add(`sha256:${named}`);
    else found.wrong.push(`${key}: its content is ${actual}`);
  }
  return found;
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  return hash.digest("hex");
}
