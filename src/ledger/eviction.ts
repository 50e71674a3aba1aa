/** Keeps the store under CACHE_LIMIT: images leave whole, what is worth least first, and what another image needs stays. */
import type { Digest } from "../oci/digest.ts";
import { deleteInBatches, listCached } from "../store/listing.ts";
import { contentKey, digestIn, type Store, type StoredEntry } from "../store/store.ts";
import { type CachedContent, type CachedServices, readCached, storedBytes } from "./cached.ts";
import type { Eviction } from "./evicted.ts";
import { type EvictedTagServices, endEvictedTags } from "./evicted-tags.ts";
import { byTurn, type CachedImage, type CachedImages, imagesOf, type LooseObject } from "./images.ts";
import type { Pins } from "./pins.ts";
import { worthOf } from "./worth.ts";

export interface DeletionServices {
  store: Pick<Store, "delete">;
  /** What this isolate has in memory. */
  manifests: { delete(digest: Digest): unknown };
}

export interface EvictionServices extends CachedServices, DeletionServices, EvictedTagServices {
  readonly ledger: EvictedTagServices["ledger"];
  store: Pick<Store, "list" | "get" | "delete">;
  pins: Pick<Pins, "patterns">;
  /** Milliseconds since the epoch. */
  now: () => number;
}

/** How far below the limit the store is brought, so that the next blob doesn't start it all over. */
const HEADROOM = 0.1;
/** Milliseconds: a link that is younger may have come before its content was listed. */
const LINK_GRACE = 3_600_000;

/**
 * Brings the store a tenth below a limit if it exceeds it, and has the ledger know what is stored. Content that is being read is
 * read to its end; what is requested again is fetched again. A ledger that fails only makes the order worse.
 * @param limit bytes.
 * @throws if the store can't be listed, or it isn't known what is pinned: then nothing is evicted.
 */
export async function keepLimit(services: EvictionServices, limit: number): Promise<Eviction> {
  const { store, pins, now } = services;
  const listed = await listCached(store);
  const total = sum(listed.objects.values());
  let plan = NOTHING;
  if (total > limit) {
    const pin = await pins.patterns();
    const cached = await readCached(services, { withTags: pin.length > 0 }, listed);
    plan = planEviction(cached, { target: limit * (1 - HEADROOM), pin, now: now() });
  }
  await deleteCached(services, [...plan.keys, ...danglingLinks(listed, now())]);
  const left = new Map(listed.objects);
  for (const key of plan.keys) left.delete(key);
  if (plan.keys.length > 0) await endEvictedTags(services, left, new Set(plan.keys));
  await services.ledger
    .settle({
      at: now(),
      stored: storedBytes(left.values()),
      freed: plan.freed,
      level: plan.level,
      gone: plan.keys.flatMap((key) => digestIn(key) ?? []),
    })
    .catch((error) => console.warn(`the ledger can't be written: ${error}`));
  return { stored: total - plan.freed, freed: plan.freed };
}

/** Deletes objects from the store, in order, and manifests from memory, which would otherwise be served and never stored again. */
export async function deleteCached(
  { store, manifests }: DeletionServices,
  keys: readonly string[],
): Promise<void> {
  for (const key of keys) {
    const digest = digestIn(key);
    if (digest) manifests.delete(digest);
  }
  await deleteInBatches(store, keys);
}

/** What leaves. */
export interface EvictionPlan {
  /** In the order in which they are deleted: an image's blobs before its manifests, so that what is left of it leaves next time. */
  keys: readonly string[];
  /** Bytes. */
  freed: number;
  /** The worth of what leaves last; see `worth.ts`. */
  level: number;
}

const NOTHING: EvictionPlan = { keys: [], freed: 0, level: 0 };

export interface PlanOptions {
  /** Bytes that may stay. */
  target: number;
  pin: readonly string[];
  /** Milliseconds since the epoch. */
  now: number;
}

/** Chooses what leaves until no more than `target` bytes are left, or only what is pinned. */
export function planEviction(cached: CachedContent, { target, ...options }: PlanOptions): EvictionPlan {
  const holdings = imagesOf(cached, options);
  const needs = new Map(holdings.needs);
  let left = sum(cached.objects.values());
  let { level } = cached;
  const total = left;
  const keys: string[] = [];
  for (const unit of evictionOrder(holdings)) {
    if (left <= target) break;
    const freed = "key" in unit ? [unit.key] : release(unit, needs);
    for (const key of freed) left -= cached.objects.get(key)?.size ?? 0;
    keys.push(...freed);
    level = Math.max(level, worthOf(unit));
  }
  return { keys, freed: total - left, level };
}

/** Everything that may leave, what leaves first first. */
export function evictionOrder({ images, loose }: CachedImages): (CachedImage | LooseObject)[] {
  return [...images.filter(({ isPinned }) => !isPinned), ...loose].sort(byTurn);
}

/** An image leaves. @returns the keys that no other image needs, its blobs first. */
export function release({ keys }: CachedImage, needs: Map<string, number>): string[] {
  const freed = [...keys].filter((key) => {
    const others = (needs.get(key) ?? 1) - 1;
    needs.set(key, others);
    return others === 0;
  });
  const isBlob = (key: string) => /^(private\/)?blobs\//.test(key);
  return [...freed.filter(isBlob), ...freed.filter((key) => !isBlob(key))];
}

/** Links to private content that was evicted. The next authorized pull fetches the content, and writes its link, again. */
function danglingLinks({ objects, links }: Pick<CachedContent, "objects" | "links">, now: number): string[] {
  return links
    .filter(({ key, stored }) => {
      const [, algorithm, hex] = /\/_\/(sha256|sha512)\/([0-9a-f]+)$/.exec(key) ?? [];
      const digest = `${algorithm}:${hex}` as Digest;
      const isStored = (["blobs", "manifests"] as const).some((kind) =>
        objects.has(contentKey(kind, digest, "private")),
      );
      return hex !== undefined && !isStored && now - stored > LINK_GRACE;
    })
    .map(({ key }) => key);
}

function sum(entries: Iterable<StoredEntry>): number {
  let bytes = 0;
  for (const { size } of entries) bytes += size;
  return bytes;
}
