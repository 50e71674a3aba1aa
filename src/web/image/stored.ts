/** Which layers of an image are stored here. */
import type { Digest } from "../../oci/digest.ts";
import { contentKey, linkKey, type Store } from "../../store/store.ts";

export interface StoredServices {
  store: Pick<Store, "head">;
  /** Store reads that one request may make. */
  storeReads: number;
}

/** The repository whose image it is. */
export type StoredIn =
  | { upstream: string; repository: string }
  /** Says whether the hosted repository has a blob, as far as the visitor may know. It rejects where that can't be found out. */
  | { hasBlob: (digest: Digest) => Promise<boolean> };

/** @returns by digest; layers that weren't looked up, or that couldn't be, are missing. */
export async function storedAmong(
  { store, storeReads }: StoredServices,
  name: StoredIn,
  digests: readonly Digest[],
): Promise<Map<Digest, boolean>> {
  let left = Math.min(MOST, storeReads - OTHERS);
  const within = async (look: () => Promise<boolean>): Promise<boolean | null> => {
    if (left <= 0) return null;
    left--;
    return look().catch(() => null);
  };
  const has = (key: string) => within(async () => (await store.head(key)) !== null);
  const found = new Map<Digest, boolean>();
  const note = (digest: Digest, isStored: boolean | null) => isStored !== null && found.set(digest, isStored);
  const unique = [...new Set(digests)];
  if ("hasBlob" in name) {
    // Not from the store: a manifest may name what another repository has, and that isn't the visitor's to know.
    await Promise.all(unique.map(async (digest) => note(digest, await within(() => name.hasBlob(digest)))));
    return found;
  }
  await Promise.all(
    unique.map(async (digest) => note(digest, await has(contentKey("blobs", digest, "public")))),
  );
  // Private content counts only where it came out of this repository, which the visitor may pull.
  const others = unique.filter((digest) => found.get(digest) === false);
  await Promise.all(
    others.map(async (digest) => {
      const isLinked = await has(linkKey(name.upstream, name.repository, digest));
      if (isLinked) note(digest, await has(contentKey("blobs", digest, "private")));
    }),
  );
  return found;
}

/** Layers of the largest images that are looked up, twice. */
const MOST = 256;
/** Store reads of the rest of the page. */
const OTHERS = 10;
