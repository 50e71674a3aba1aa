/** What is held, and for whom: public content for everybody, private content for the repositories it is linked to. */

import { type Digest, EMPTY_DIGEST } from "../oci/digest.ts";
import { type RepositoryAccess, visibilityOf } from "../pull/repository-access.ts";
import type { Services } from "../services.ts";
import { linkKey, linksOf, type PutOptions, type Visibility } from "./store.ts";

/**
 * Reads what is held for a place: what is public, with one look; else what is private, if upstream has given it out of
 * this very repository.
 * @param keyOf the content's key in a visibility.
 * @param read null for what isn't there.
 */
export async function readVisible<Held>(
  services: Services,
  access: RepositoryAccess,
  { digest }: Pick<PutOptions, "digest">,
  keyOf: (visibility: Visibility) => string,
  read: (key: string) => Promise<Held | null>,
): Promise<Held | null> {
  const open = await read(keyOf("public"));
  if (open !== null || visibilityOf(access) === "public") return open;
  const link = await services.store.head(linkKey(access.upstream, access.repository, digest));
  return link && read(keyOf("private"));
}

/**
 * Stores what upstream gave at a place, for those who may have it.
 * @throws DigestMismatch, or another error as the store's `put` does.
 */
export async function storeVisible(
  services: Services,
  access: RepositoryAccess,
  keyOf: (visibility: Visibility) => string,
  body: ReadableStream<Uint8Array> | Uint8Array,
  options: PutOptions,
): Promise<void> {
  const visibility = visibilityOf(access);
  await services.store.put(keyOf(visibility), body, options);
  if (visibility === "public") return;
  const link = linkKey(access.upstream, access.repository, options.digest);
  await services.store.put(link, new Uint8Array(0), { digest: EMPTY_DIGEST });
}

/**
 * Takes back what private content a repository is linked to: this digest, or all. The content stays, for others that
 * are linked to it and until it is evicted; whoever is let in again has it fetched again.
 */
export async function unlink(
  services: Services,
  { upstream, repository }: Pick<RepositoryAccess, "upstream" | "repository">,
  digest: Digest | null,
): Promise<void> {
  if (digest !== null) return services.store.delete([linkKey(upstream, repository, digest)]);
  await deleteAll(services, linksOf(upstream, repository));
}

/** Deletes all that lies under a prefix. */
export async function deleteAll({ store }: Services, prefix: string): Promise<void> {
  for (;;) {
    const { entries, cursor } = await store.list(prefix);
    if (entries.length > 0) await store.delete(entries.map(({ key }) => key));
    if (cursor === null) return;
  }
}
