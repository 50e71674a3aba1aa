/** All that is cached, as the store lists it. */
import type { Store, StoredEntry } from "./store.ts";

type Listed = Pick<Store, "list">;

/** Keys that one delete takes. */
const BATCH = 1000;

/** The prefixes of cached content, public and private, and of what belongs to it. */
const PREFIXES = ["blobs/", "private/blobs/", "manifests/", "private/manifests/", "listings/"];

/**
 * Every cached object that counts for CACHE_LIMIT, by key. Links are listed first: one that was made before its content was
 * listed isn't taken for one without content.
 */
export async function listCached(
  store: Listed,
): Promise<{ objects: Map<string, StoredEntry>; links: StoredEntry[] }> {
  const links: StoredEntry[] = [];
  const objects = new Map<string, StoredEntry>();
  for (const entry of await listAll(store, "links/")) {
    // Private listings lie among the links of their repository.
    if (/\/_\/listings\//.test(entry.key)) objects.set(entry.key, entry);
    else links.push(entry);
  }
  for (const prefix of PREFIXES) {
    for (const entry of await listAll(store, prefix)) objects.set(entry.key, entry);
  }
  return { objects, links };
}

/** Deletes any number of objects, in order. */
export async function deleteInBatches(store: Pick<Store, "delete">, keys: readonly string[]): Promise<void> {
  for (let start = 0; start < keys.length; start += BATCH) {
    await store.delete(keys.slice(start, start + BATCH));
  }
}

async function listAll(store: Listed, prefix: string): Promise<StoredEntry[]> {
  const entries: StoredEntry[] = [];
  let cursor: string | null = null;
  do {
    const page: Awaited<ReturnType<Store["list"]>> = await store.list(prefix, cursor ?? undefined);
    entries.push(...page.entries);
    cursor = page.cursor;
  } while (cursor !== null);
  return entries;
}
