/** Which layers of an image are stored here. */
import type { Digest } from "../../oci/digest.ts";
import { contentKey, hostedKey, linkKey, type Store } from "../../store/store.ts";

export interface StoredServices {
  store: Pick<Store, "head">;
  /** Store reads that one request may make. */
  storeReads: number;
}

/**
 * @param name null for a hosted repository.
 * @returns by digest; layers that weren't looked up, since there are too many, are missing.
 */
export async function storedAmong(
  { store, storeReads }: StoredServices,
  name: { upstream: string; repository: string } | null,
  digests: readonly Digest[],
): Promise<Map<Digest, boolean>> {
  let left = Math.min(MOST, storeReads - OTHERS);
  const has = async (key: string): Promise<boolean | null> => {
    if (left <= 0) return null;
    left--;
    return store.head(key).then(
      (head) => head !== null,
      () => null,
    );
  };
  const found = new Map<Digest, boolean>();
  const note = (digest: Digest, isStored: boolean | null) => isStored !== null && found.set(digest, isStored);
  const unique = [...new Set(digests)];
  await Promise.all(
    unique.map(async (digest) =>
      note(
        digest,
        await has(name === null ? hostedKey("blobs", digest) : contentKey("blobs", digest, "public")),
      ),
    ),
  );
  if (name === null) return found;
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
