/** Keeps the store under its limit, so that R2's free 10 GB aren't exceeded unnoticed. */
import type { Digest } from "../oci/digest.ts";
import { digestIn, type Store, type StoredEntry } from "./store.ts";

export interface Eviction {
  /** Bytes that the store holds now. */
  stored: number;
  /** Bytes that were freed. */
  freed: number;
}

/** What of a store is needed here; on one machine another process evicts than the one that serves. */
type Listed = Pick<Store, "list" | "delete">;

/** How far below the limit the store is brought, so that the next blob doesn't start it all over. */
const HEADROOM = 0.1;
/** Keys that one delete takes. */
const BATCH = 1000;

/** The prefixes of cached content, public and private. */
const PREFIXES = ["blobs/", "private/blobs/", "manifests/", "private/manifests/", "listings/"];

/**
 * Deletes what wasn't used for longest, until the store is a tenth below `limit` bytes; does nothing while it is under it. Small
 * manifests go last: all of them together weigh little, and without them no tag can be served while upstream is
 * down. A blob that is being read is read to its end; one that is requested again is fetched again.
 * @param lastUse by digest, milliseconds since the epoch; content that isn't in it was used last when it was stored.
 */
export async function evict(
  store: Listed,
  limit: number,
  lastUse: ReadonlyMap<Digest, number>,
): Promise<Eviction> {
  const entries: StoredEntry[] = [];
  for (const prefix of PREFIXES) entries.push(...(await listAll(store, prefix)));
  const total = sizeOf(entries);
  if (total <= limit) return { stored: total, freed: 0 };
  const usedAt = ({ key, stored }: StoredEntry): number => {
    const digest = digestIn(key);
    return Math.max(stored, (digest && lastUse.get(digest)) ?? 0);
  };
  entries.sort(
    (one, other) =>
      Number(isKeptLonger(one)) - Number(isKeptLonger(other)) ||
      usedAt(one) - usedAt(other) ||
      one.stored - other.stored,
  );
  let freed = 0;
  const doomed: string[] = [];
  for (const { key, size } of entries) {
    if (total - freed <= limit * (1 - HEADROOM)) break;
    doomed.push(key);
    freed += size;
  }
  for (let start = 0; start < doomed.length; start += BATCH) {
    await store.delete(doomed.slice(start, start + BATCH));
  }
  return { stored: total - freed, freed };
}

/** Bytes. Real manifests and indexes are smaller; one that is larger is evicted like a blob. */
const SMALL = 256 * 1024;

function isKeptLonger({ key, size }: StoredEntry): boolean {
  return size <= SMALL && /^(private\/)?manifests\//.test(key);
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

function sizeOf(entries: readonly StoredEntry[]): number {
  return entries.reduce((sum, { size }) => sum + size, 0);
}
