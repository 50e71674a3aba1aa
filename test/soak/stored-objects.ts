/** What lies in the mirror's data folder, read without the mirror: every object's bytes against its name. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir } from "node:fs/promises";
import { join, relative } from "node:path";

export interface Holdings {
  /** Digests of the manifests and blobs whose bytes are what their names say. */
  digests: Set<string>;
  /** Everything else that would be served by its name. */
  wrong: string[];
  /** Files that nothing would be served from: what was being written when the mirror was killed. */
  orphans: number;
}

/** Of a file that is served, below the store: `blobs/sha256/ab/ab…`, as the keys of `src/store/store.ts`. */
const KEY = /^(?:manifests|blobs)\/sha256\/([0-9a-f]{2})\/(\1[0-9a-f]{62})$/;

/** To be called while the mirror doesn't run. @throws Error if there is no store of plain files in the folder. */
export async function readHoldings(data: string): Promise<Holdings> {
  const store = join(data, "store");
  const holdings: Holdings = { digests: new Set(), wrong: [], orphans: 0 };
  for (const entry of await readdir(store, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const key = relative(store, path);
    const [, , named] = KEY.exec(key) ?? [];
    if (named === undefined) {
      if (/^(manifests|blobs)\//.test(key)) holdings.wrong.push(`${key}: no key of the store`);
      else holdings.orphans++;
      continue;
    }
    const found = await digestOf(path);
    if (found === named) holdings.digests.add(`sha256:${named}`);
    else holdings.wrong.push(`${key}: ${found} lies behind it`);
  }
  return holdings;
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  return hash.digest("hex");
}
