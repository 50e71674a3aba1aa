/** What the store is taken by, image by image, for the owner: exact, and by the day where it is about time. */
import { RegistryError } from "../oci/errors.ts";
import { digestIn, type StoredEntry } from "../store/store.ts";
import {
  type CachedContent,
  type CachedServices,
  readCached,
  type StoredBytes,
  storedBytes,
} from "./cached.ts";
import { evictionOrder, release } from "./eviction.ts";
import { type CachedImage, type CachedImages, imagesOf, namesOf, sizeOf } from "./images.ts";
import { type Part, Parts } from "./parts.ts";
import type { Pins } from "./pins.ts";

export interface ImageAccount {
  /** The names of all tags that name it; its repository and digest if none does. */
  names: { name: string; confirmed: string | null }[];
  digest: string;
  visibility: "public" | "private";
  /** Bytes that are stored of it. */
  size: number;
  /** Bytes that only it needs. */
  alone: number;
  /** Whether the manifest, and of one platform everything, is stored. */
  isWhole: boolean;
  isPinned: boolean;
  /** Days, as in 2026-11-28. */
  firstUse: string;
  lastUse: string;
  /** Hours in which it was used. */
  hours: number;
  /** The how manieth it leaves when the limit is met; null for one that never does. */
  leaves: number | null;
  /** Bytes that are freed when it leaves, after all that leaves before it; null where it never does. */
  frees: number | null;
}

export interface ImageDetail extends ImageAccount {
  /** Other images that need some of what it needs, and how many bytes of it; the most first. */
  sharedWith: { image: string; bytes: number }[];
  objects: {
    key: string;
    size: number;
    /** Images that need it. */
    images: number;
    firstUse: string;
    lastUse: string;
    /** Upstream and repository that it was pulled from last, where that is known. */
    source: string | null;
  }[];
}

export interface StoreAccount {
  /** What couldn't be read: without the ledger, uses are those of storing, and what was evicted isn't known. */
  missing: Part[];
  /** CACHE_LIMIT, in bytes. */
  limit: number;
  /** Bytes that count for it. */
  bytes: number;
  stored: StoredBytes[];
  /** Bytes that never leave. */
  pinned: number;
  /** Bytes that were ever evicted; null where the ledger can't be read. */
  evicted: number | null;
  /** What no image needs. */
  unreferenced: { objects: number; bytes: number };
  /** Bytes stored a day, in the last week. */
  growth: number;
  /** The day on which the limit is met if it goes on like that; null if it isn't met within a year, or was met already. */
  full: string | null;
  images: ImageAccount[];
}

export interface AccountServices extends CachedServices {
  config: { cacheLimit: number };
  pins: Pick<Pins, "patterns">;
  /** Milliseconds since the epoch. */
  now: () => number;
}

/** What is stored, seen as images. */
export interface Accounted {
  cached: CachedContent;
  holdings: CachedImages;
  /** Of each image that may leave: its place in the order of eviction, from 1 on, and the bytes that are freed with it then. */
  places: ReadonlyMap<CachedImage, { place: number; frees: number }>;
}

const DAY = 86_400_000;
/** Days of which the growth is the mean. */
const WEEK = 7;

export async function readAccounts(services: AccountServices, parts = new Parts()): Promise<Accounted> {
  const [cached, pin] = await Promise.all([
    readCached(services, { withTags: true, parts }),
    services.pins.patterns(),
  ]);
  const holdings = imagesOf(cached, { pin, now: services.now() });
  const needs = new Map(holdings.needs);
  const leaving = evictionOrder(holdings).filter((unit) => "digest" in unit);
  const places = leaving.map((image, index) => {
    return [image, { place: index + 1, frees: sizeOf(cached, release(image, needs)) }] as const;
  });
  return { cached, holdings, places: new Map(places) };
}

export async function accountOf(services: AccountServices, parts = new Parts()): Promise<StoreAccount> {
  const { config, now, ledger } = services;
  const accounted = await readAccounts(services, parts);
  const { cached, holdings } = accounted;
  const entries = [...cached.objects.values()];
  const bytes = sizeOf(cached, cached.objects.keys());
  const pinned = new Set(holdings.images.filter(({ isPinned }) => isPinned).flatMap(({ keys }) => [...keys]));
  const counted = await parts.read("ledger", ledger.counted(), null);
  const growth = growthOf(entries, now());
  return {
    missing: parts.missing,
    limit: config.cacheLimit,
    bytes,
    stored: storedBytes(entries),
    pinned: sizeOf(cached, pinned),
    evicted: counted?.evicted ?? null,
    unreferenced: {
      objects: holdings.loose.length,
      bytes: holdings.loose.reduce((sum, { size }) => sum + size, 0),
    },
    growth,
    full: fullOn(config.cacheLimit - bytes, growth, now()),
    images: holdings.images.map((image) => account(image, accounted)),
  };
}

/** Images of one name: a public and a private one at most. @throws RegistryError 404 */
export async function detailsOfImage(
  services: AccountServices,
  name: string,
): Promise<{ missing: Part[]; entries: ImageDetail[] }> {
  const parts = new Parts();
  const accounted = await readAccounts(services, parts);
  const entries = imagesNamed(accounted.holdings, name).map((image) => detail(image, accounted));
  return { missing: parts.missing, entries };
}

/** @throws RegistryError 404 */
export function imagesNamed({ images }: CachedImages, name: string): CachedImage[] {
  const named = images.filter((image) => namesOf(image).includes(name));
  if (named.length > 0) return named;
  throw new RegistryError(404, "NAME_UNKNOWN", `${name.slice(0, 400)} isn't stored`);
}

function account(image: CachedImage, { places }: Accounted): ImageAccount {
  const { digest, visibility, size, alone, isWhole, isPinned, first, last, uses, tags } = image;
  return {
    names: namesOf(image).map((name, index) => {
      const confirmed = tags[index]?.confirmed;
      return { name, confirmed: confirmed === undefined ? null : new Date(confirmed).toISOString() };
    }),
    ...{ digest, visibility, size, alone, isWhole, isPinned },
    firstUse: dayOf(first),
    lastUse: dayOf(last),
    hours: uses,
    leaves: places.get(image)?.place ?? null,
    frees: places.get(image)?.frees ?? null,
  };
}

function detail(image: CachedImage, accounted: Accounted): ImageDetail {
  const { cached, holdings } = accounted;
  const sharedWith = holdings.images.flatMap((other) => {
    const shared = other === image ? [] : [...other.keys].filter((key) => image.keys.has(key));
    const [name = ""] = namesOf(other);
    return shared.length > 0 ? [{ image: name, bytes: sizeOf(cached, shared) }] : [];
  });
  const entries = [...image.keys].flatMap((key) => cached.objects.get(key) ?? []);
  return {
    ...account(image, accounted),
    sharedWith: sharedWith.sort((one, other) => other.bytes - one.bytes),
    objects: entries.map(({ key, size, stored }) => {
      const digest = digestIn(key);
      const use = digest && cached.uses.get(digest);
      return {
        ...{ key, size },
        images: holdings.needs.get(key) ?? 0,
        firstUse: dayOf(Math.min(stored, use?.first ?? stored)),
        lastUse: dayOf(Math.max(stored, use?.last ?? stored)),
        source: use?.source ?? null,
      };
    }),
  };
}

/** Bytes a day, over a week, or over as long as there has been anything. */
function growthOf(entries: readonly StoredEntry[], now: number): number {
  const recent = entries.filter(({ stored }) => now - stored < WEEK * DAY);
  const oldest = entries.reduce((least, { stored }) => Math.min(least, stored), now);
  const days = Math.min(WEEK, Math.max(1, (now - oldest) / DAY));
  return Math.round(recent.reduce((sum, { size }) => sum + size, 0) / days);
}

function fullOn(left: number, growth: number, now: number): string | null {
  const days = growth > 0 ? left / growth : Number.POSITIVE_INFINITY;
  return left > 0 && days < 366 ? dayOf(now + days * DAY) : null;
}

function dayOf(milliseconds: number): string {
  return new Date(milliseconds).toISOString().slice(0, "2026-11-28".length);
}
