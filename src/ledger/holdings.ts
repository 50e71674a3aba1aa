/** What is cached of mirrored content: tag records and objects, a page at a time, and their removal. */
import { type Digest, parseDigest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { contentKey, digestIn, type Store, type StoredEntry } from "../store/store.ts";
import type { TagName, TagRecord, TagRecords } from "../store/tag-records.ts";
import type { HoldingsLedger } from "./cached.ts";
import { type Part, Parts } from "./parts.ts";
import { MOST_REMOVED, PurgeRequest, parsed } from "./requests.ts";

export interface HoldingsServices {
  store: Pick<Store, "list" | "get" | "delete">;
  tags: TagRecords;
  /** What this isolate has in memory. */
  manifests: { delete(digest: Digest): unknown };
}

export interface Page<Entry> {
  entries: Entry[];
  /** For the next page; null after the last. */
  cursor: string | null;
}

const VISIBILITIES = ["public", "private"] as const;
/** Cached content, by what it is. Hosted content isn't cached: it has its own ways to be listed and deleted. */
const PREFIXES = VISIBILITIES.flatMap((visibility) =>
  ["manifests/", "blobs/"].map((kind) => (visibility === "private" ? `private/${kind}` : kind)),
);

/** Tags by name, the public ones first. @param cursor of the page before. */
export function listTags(
  { tags }: HoldingsServices,
  cursor: string | null,
): Promise<Page<TagName & TagRecord>> {
  return inTurn(VISIBILITIES, cursor, (visibility, from) => tags.list(visibility, from));
}

/** A stored object, and when it was last used: milliseconds since the epoch, to the hour; null where no use is known. */
export type ListedObject = StoredEntry & { used: number | null };

/** Manifests and blobs by key. @param cursor of the page before. */
export async function listObjects(
  { store, ledger }: Pick<HoldingsServices, "store"> & { readonly ledger: Pick<HoldingsLedger, "lastUses"> },
  cursor: string | null,
): Promise<Page<ListedObject> & { missing: Part[] }> {
  const page = await inTurn(PREFIXES, cursor, (prefix, from) => store.list(prefix, from ?? undefined));
  const parts = new Parts();
  const digests = page.entries.flatMap(({ key }) => digestIn(key) ?? []);
  const uses = await parts.read("ledger", ledger.lastUses(digests), null);
  const entries = page.entries.map((entry) => {
    const digest = digestIn(entry.key);
    return { ...entry, used: (digest && uses?.get(digest)) ?? null };
  });
  return { missing: parts.missing, entries, cursor: page.cursor };
}

/** A stored manifest's bytes. @throws RegistryError 404 */
export async function readManifest(
  { store }: HoldingsServices,
  text: string,
  visibility: "public" | "private",
): Promise<ReadableStream<Uint8Array>> {
  const digest = parseDigest(text);
  const object = digest && (await store.get(contentKey("manifests", digest, visibility)));
  if (!object)
    throw new RegistryError(404, "MANIFEST_UNKNOWN", `the manifest ${text.slice(0, 80)} isn't stored`);
  return object.body;
}

/** One page after the other of several lists; the cursor says which list is at what page of its own. */
async function inTurn<List extends string, Entry>(
  lists: readonly List[],
  cursor: string | null,
  read: (list: List, cursor: string | null) => Promise<Page<Entry>>,
): Promise<Page<Entry>> {
  const [, number = "0", rest = ""] = /^(\d+):(.*)$/s.exec(cursor ?? "0:") ?? [];
  const list = lists[Number(number)];
  if (list === undefined) throw new RegistryError(400, "UNSUPPORTED", "the cursor is none of this list's");
  const page = await read(list, rest === "" ? null : rest);
  if (page.cursor !== null) return { entries: page.entries, cursor: `${number}:${page.cursor}` };
  const next = Number(number) + 1;
  return { entries: page.entries, cursor: next < lists.length ? `${next}:` : null };
}

/**
 * Removes tag records and objects. What a client requests again is fetched again.
 * @param request as parsed from JSON: `tags` by name, `objects` by key.
 * @throws RegistryError 400
 */
export async function remove({ store, tags, manifests }: HoldingsServices, request: unknown): Promise<void> {
  const message = `the body has tags and objects as they are listed, ${MOST_REMOVED} of each at most`;
  const purged = parsed(PurgeRequest, request, message);
  for (const name of purged.tags) await tags.end(name, await tags.read(name));
  for (const key of purged.objects) {
    const digest = digestIn(key);
    if (digest) manifests.delete(digest);
  }
  if (purged.objects.length > 0) await store.delete(purged.objects);
}
