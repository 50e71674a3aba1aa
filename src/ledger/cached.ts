/** What is stored of mirrored content, with what the ledger knows about it. A ledger that fails makes it less exact, and no more. */
import type { Digest } from "../oci/digest.ts";
import { listCached } from "../store/listing.ts";
import { digestIn, type Store, type StoredEntry, type Visibility } from "../store/store.ts";
import type { TagName, TagRecord, TagRecords } from "../store/tag-records.ts";
import { Parts } from "./parts.ts";
import { type ManifestName, type ManifestReferences, readReferences } from "./references.ts";
import type { UseRecord } from "./uses.ts";

/** What the ledger's object knows of stored content. All of it is found again in the store, but for the uses. */
export interface HoldingsIndex {
  uses: UseRecord[];
  references: ManifestReferences[];
  /** See `worth.ts`. */
  level: number;
}

/** Bytes of one kind of content. */
export interface StoredBytes {
  kind: "blobs" | "manifests" | "listings";
  visibility: Visibility;
  bytes: number;
  objects: number;
}

/** What the ledger's object is to know after the store was counted. */
export interface Settlement {
  /** Milliseconds since the epoch. */
  at: number;
  stored: StoredBytes[];
  /** Bytes that were freed. */
  freed: number;
  level: number;
  /** Digests that aren't stored any longer. */
  gone: Digest[];
}

/** The store as it was counted last. */
export interface Counted {
  /** Milliseconds since the epoch; null if it was never counted. */
  at: number | null;
  stored: StoredBytes[];
  /** Bytes that were ever evicted. */
  evicted: number;
}

export interface TagPage {
  entries: (TagName & TagRecord)[];
  cursor: string | null;
}

/** The ledger's object. On Cloudflare each of its calls may make as many requests as the Worker itself. */
export interface HoldingsLedger {
  index(): Promise<HoldingsIndex>;
  /** When some digests were last used, in milliseconds since the epoch, to the hour; without those of which no use is known. */
  lastUses(digests: readonly Digest[]): Promise<ReadonlyMap<Digest, number>>;
  /** Reads manifests from the store, as many as `LEARNT`, and keeps what they refer to. */
  learn(names: ManifestName[]): Promise<ManifestReferences[]>;
  tagPage(visibility: Visibility, cursor: string | null): Promise<TagPage>;
  /** Ends the records of some tags that still are what they were. */
  endTags(tags: readonly (TagName & TagRecord)[]): Promise<void>;
  settle(settlement: Settlement): Promise<void>;
  counted(): Promise<Counted>;
}

export interface TagServices {
  tags: Pick<TagRecords, "list">;
  readonly ledger: Pick<HoldingsLedger, "tagPage">;
}

export interface CachedServices extends TagServices {
  store: Pick<Store, "list" | "get">;
  readonly ledger: HoldingsLedger;
  /** Reads of the store that one request may make. */
  storeReads: number;
}

export interface CachedContent {
  objects: ReadonlyMap<string, StoredEntry>;
  /** Links to private content. */
  links: readonly StoredEntry[];
  references: ReadonlyMap<Digest, ManifestReferences>;
  /** Whether it is known of every stored manifest what it refers to. */
  isComplete: boolean;
  uses: ReadonlyMap<Digest, UseRecord>;
  level: number;
  tags: readonly (TagName & TagRecord)[];
}

/** Manifests that one call of the ledger reads. */
const LEARNT = 40;
const MANIFEST = /^(private\/)?manifests\//;

export interface CachedOptions {
  /** Whether tag records are read too. */
  withTags: boolean;
  /** Of the response that it is read for. */
  parts?: Parts;
}

/** @param listed what `listCached` gave; read if absent. */
export async function readCached(
  services: CachedServices,
  { withTags, parts = new Parts() }: CachedOptions,
  listed?: Pick<CachedContent, "objects" | "links">,
): Promise<CachedContent> {
  const { objects, links } = listed ?? (await listCached(services.store));
  const index = await parts.read("ledger", services.ledger.index(), { uses: [], references: [], level: 0 });
  const references = new Map(index.references.map((each) => [each.digest, each]));
  const unknown = new Map<Digest, ManifestName>();
  for (const key of objects.keys()) {
    const digest = MANIFEST.test(key) ? digestIn(key) : null;
    if (digest && !references.has(digest))
      unknown.set(digest, { digest, visibility: key.startsWith("private/") ? "private" : "public" });
  }
  for (const each of await learn(services, parts, [...unknown.values()])) references.set(each.digest, each);
  return {
    objects,
    links,
    references,
    isComplete: [...unknown.keys()].every((digest) => references.has(digest)),
    uses: new Map(index.uses.map((use) => [use.digest, use])),
    level: index.level,
    tags: withTags ? await readTags(services, parts) : [],
  };
}

/** By the ledger, which remembers it; by this request itself, as far as it may, where that fails. */
async function learn(
  services: CachedServices,
  parts: Parts,
  names: ManifestName[],
): Promise<ManifestReferences[]> {
  const learnt: ManifestReferences[] = [];
  for (let at = 0; at < names.length; at += LEARNT) {
    const batch = names.slice(at, at + LEARNT);
    const read = await parts.read("ledger", services.ledger.learn(batch), null);
    if (read === null) {
      const left = names.slice(at, at + services.storeReads);
      return [...learnt, ...(await readReferences(services.store, left))];
    }
    learnt.push(...read);
  }
  return learnt;
}

/** @throws if they can't be read: what is pinned must be known before anything is evicted. */
export async function readTags(
  { ledger, tags: records }: TagServices,
  parts: Parts,
): Promise<(TagName & TagRecord)[]> {
  const tags: (TagName & TagRecord)[] = [];
  for (const visibility of ["public", "private"] as const) {
    let cursor: string | null = null;
    do {
      const page: TagPage =
        (await parts.read("ledger", ledger.tagPage(visibility, cursor), null)) ??
        (await records.list(visibility, cursor));
      tags.push(...page.entries);
      cursor = page.cursor;
    } while (cursor !== null);
  }
  return tags;
}

/** What is stored, by kind and visibility. */
export function storedBytes(objects: Iterable<StoredEntry>): StoredBytes[] {
  const sums = new Map<string, StoredBytes>();
  for (const { key, size } of objects) {
    const visibility = /^(private|links)\//.test(key) ? "private" : "public";
    const kind = MANIFEST.test(key) ? "manifests" : digestIn(key) ? "blobs" : "listings";
    const sum = sums.get(kind + visibility) ?? { kind, visibility, bytes: 0, objects: 0 };
    sum.bytes += size;
    sum.objects++;
    sums.set(kind + visibility, sum);
  }
  return [...sums.values()];
}
