/** Stored content and for whom it is: public content for every client, private content for the repositories it is linked to. */
import { type Digest, EMPTY_DIGEST } from "../oci/digest.ts";
import type { ByteRange } from "../oci/range.ts";
import {
  type ContentKind,
  contentKey,
  linkKey,
  linksOf,
  type PutOptions,
  type Store,
  type StoredHead,
  type StoredObject,
  type StoreFill,
  type Visibility,
} from "./store.ts";

/** A repository, and whether its content is public. */
export interface ContentScope {
  upstream: string;
  repository: string;
  visibility: Visibility;
}

/** What a digest names within a scope. */
export interface ContentName {
  kind: ContentKind;
  digest: Digest;
  scope: ContentScope;
}

/** The size of stored content; null where there is none for this scope. */
export function headContent(store: Store, name: ContentName): Promise<StoredHead | null> {
  return findContent(store, name, (key) => store.head(key));
}

/** @throws RangeNotSatisfiable */
export function getContent(store: Store, name: ContentName, range?: ByteRange): Promise<StoredObject | null> {
  return findContent(store, name, (key) => store.get(key, range));
}

/**
 * Reads public content, with one look; else private content, if upstream has given it out of this very repository.
 * @param read null for what isn't there.
 */
export async function findContent<Found>(
  store: Store,
  { kind, digest, scope }: ContentName,
  read: (key: string) => Promise<Found | null>,
): Promise<Found | null> {
  const open = await read(contentKey(kind, digest, "public"));
  if (open !== null || scope.visibility === "public") return open;
  const link = await store.head(linkKey(scope.upstream, scope.repository, digest));
  return link && read(contentKey(kind, digest, "private"));
}

/**
 * Stores what upstream gave for a scope.
 * @throws DigestMismatch, or another error as the store's `put` does.
 */
export async function putContent(
  store: Store,
  { kind, digest, scope }: ContentName,
  body: ReadableStream<Uint8Array> | Uint8Array,
  options: Omit<PutOptions, "digest"> = {},
): Promise<void> {
  await store.put(contentKey(kind, digest, scope.visibility), body, { ...options, digest });
  await linkContent(store, { kind, digest, scope });
}

/**
 * Begins to store what upstream gives for a scope. Public content can be had by other requests at once; private content only
 * from the fill itself, since nothing shows yet that upstream has given it out of this repository.
 * @param size bytes.
 * @returns null where objects can't be read while they are written, or the fill can't begin.
 */
export async function openContentFill(
  store: Store,
  name: ContentName,
  size: number,
): Promise<StoreFill | null> {
  if (size === 0) return null;
  const { kind, digest, scope } = name;
  const isShared = scope.visibility === "public";
  const key = contentKey(kind, digest, scope.visibility);
  const fill = await store.openFill?.(key, { digest, size, isShared }).catch((error) => {
    console.warn(`a fill of ${digest} can't begin: ${error}`);
    return null;
  });
  if (!fill) return null;
  return {
    read: () => fill.read(),
    write: async (body) => {
      await fill.write(body);
      await linkContent(store, name);
    },
  };
}

async function linkContent(store: Store, { digest, scope }: ContentName): Promise<void> {
  if (scope.visibility === "public") return;
  const link = linkKey(scope.upstream, scope.repository, digest);
  await store.put(link, new Uint8Array(0), { digest: EMPTY_DIGEST });
}

/**
 * Ends a repository's links to private content: to this digest, or all. The content stays, for others that are linked to it
 * and until it is evicted; who may have it again has it fetched again.
 */
export async function unlinkContent(
  store: Store,
  { upstream, repository }: Omit<ContentScope, "visibility">,
  digest: Digest | null,
): Promise<void> {
  if (digest !== null) return store.delete([linkKey(upstream, repository, digest)]);
  await deleteAll(store, linksOf(upstream, repository));
}

/** Deletes every object below a prefix. */
export async function deleteAll(store: Store, prefix: string): Promise<void> {
  for (;;) {
    const { entries, cursor } = await store.list(prefix);
    if (entries.length > 0) await store.delete(entries.map(({ key }) => key));
    if (cursor === null) return;
  }
}
