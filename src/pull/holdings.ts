/** What is held, and for whom: public content for everybody, restricted content for the repositories it is linked to. */
import { linkKey, linksOf, type PutOptions, type Sphere } from "../cache/store.ts";
import { type Digest, EMPTY_DIGEST } from "../oci/digest.ts";
import type { Mirror } from "./mirror.ts";
import { type Place, sphereOf } from "./place.ts";

/**
 * Reads what is held for a place: what is public, with one look; else what is restricted, if upstream has given it out of
 * this very repository.
 * @param keyOf the content's key in a sphere.
 * @param read null for what isn't there.
 */
export async function readHeld<Held>(
  mirror: Mirror,
  place: Place,
  { digest }: Pick<PutOptions, "digest">,
  keyOf: (sphere: Sphere) => string,
  read: (key: string) => Promise<Held | null>,
): Promise<Held | null> {
  const open = await read(keyOf("public"));
  if (open !== null || sphereOf(place) === "public") return open;
  const link = await mirror.store.head(linkKey(place.upstream, place.repository, digest));
  return link && read(keyOf("restricted"));
}

/**
 * Stores what upstream gave at a place, for those who may have it.
 * @throws DigestMismatch, or another error as the store's `put` does.
 */
export async function keep(
  mirror: Mirror,
  place: Place,
  keyOf: (sphere: Sphere) => string,
  body: ReadableStream<Uint8Array> | Uint8Array,
  options: PutOptions,
): Promise<void> {
  const sphere = sphereOf(place);
  await mirror.store.put(keyOf(sphere), body, options);
  if (sphere === "public") return;
  const link = linkKey(place.upstream, place.repository, options.digest);
  await mirror.store.put(link, new Uint8Array(0), { digest: EMPTY_DIGEST });
}

/**
 * Takes back what restricted content a repository is linked to: this digest, or all. The content stays, for others that
 * are linked to it and until it is evicted; whoever is let in again has it fetched again.
 */
export async function unlink(
  mirror: Mirror,
  { upstream, repository }: Pick<Place, "upstream" | "repository">,
  digest: Digest | null,
): Promise<void> {
  if (digest !== null) return mirror.store.delete([linkKey(upstream, repository, digest)]);
  await deleteAll(mirror, linksOf(upstream, repository));
}

/** Deletes all that lies under a prefix. */
export async function deleteAll({ store }: Mirror, prefix: string): Promise<void> {
  for (;;) {
    const { entries, cursor } = await store.list(prefix);
    if (entries.length > 0) await store.delete(entries.map(({ key }) => key));
    if (cursor === null) return;
  }
}
