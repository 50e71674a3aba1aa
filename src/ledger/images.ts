/** Stored content as images: what each consists of, what it shares with others, and what it is worth. */
import { matchesAnyImage, matchesAnyRepository } from "../access/image-patterns.ts";
import type { Digest } from "../oci/digest.ts";
import { type ContentKind, contentKey, digestIn, type StoredEntry, type Visibility } from "../store/store.ts";
import type { TagName, TagRecord } from "../store/tag-records.ts";
import type { CachedContent } from "./cached.ts";
import { byWorth, type Worth } from "./worth.ts";

/** A manifest that no other one lists, or that a tag names, with all that is stored of what it refers to. */
export interface CachedImage extends Worth {
  digest: Digest;
  visibility: Visibility;
  /** The tags that name it. */
  tags: readonly (TagName & TagRecord)[];
  /** Upstream and repository that it was pulled from last; null where that isn't known. */
  source: string | null;
  keys: ReadonlySet<string>;
  /** When it was used or stored first; milliseconds since the epoch. */
  first: number;
  /** Bytes that are freed if only this image leaves. */
  alone: number;
  /** Whether the manifest, and of one platform everything, is stored. */
  isWhole: boolean;
  /** Whether it never leaves. */
  isPinned: boolean;
  turn: Turn;
}

/** An object that no image needs. */
export interface LooseObject extends Worth {
  key: string;
  turn: Turn;
}

/** What of a lower turn leaves before all of a higher one, whatever it is worth. */
export type Turn = 0 | 1 | 2;
/** What no image needs, and hasn't come with one just now. */
const GARBAGE: Turn = 0;
const USUAL: Turn = 1;
/** What is being pulled just now; and what was pulled by digest out of a pinned repository. */
const LAST: Turn = 2;

export interface CachedImages {
  images: readonly CachedImage[];
  loose: readonly LooseObject[];
  /** How many images need an object, by key. */
  needs: ReadonlyMap<string, number>;
}

export interface ImageOptions {
  /** Patterns of images that never leave. */
  pin: readonly string[];
  /** Milliseconds since the epoch. */
  now: number;
}

/** Milliseconds: an image of which an object was stored within them may still be on its way. */
const ARRIVING = 10 * 60_000;
/** Milliseconds: the manifest of a blob that is older would be there. */
const GRACE = 3_600_000;
const MANIFEST = /^(private\/)?manifests\//;

/** Stored images and the rest; without the tags where they weren't read. */
export function imagesOf(cached: CachedContent, options: ImageOptions): CachedImages {
  const tags = Map.groupBy(cached.tags, ({ digest, visibility }) =>
    contentKey("manifests", digest, visibility),
  );
  const listed = new Set<string>();
  const manifests = [...cached.objects.keys()].filter((key) => MANIFEST.test(key));
  for (const key of manifests) for (const child of childrenOf(cached, key, "manifests")) listed.add(child);
  const images = manifests
    .filter((key) => !listed.has(key) || tags.has(key))
    .map((key) => imageOf(cached, key, tags.get(key) ?? [], options));
  const needs = new Map<string, number>();
  for (const { keys } of images) for (const key of keys) needs.set(key, (needs.get(key) ?? 0) + 1);
  for (const image of images)
    image.alone = sizeOf(
      cached,
      [...image.keys].filter((key) => needs.get(key) === 1),
    );
  const loose = [...cached.objects.values()]
    .filter(({ key }) => !needs.has(key))
    .map((entry) => looseObject(cached, entry, options));
  return { images, loose, needs };
}

/** Negative if the first leaves before the second. */
export function byTurn(one: Worth & { turn: Turn }, other: Worth & { turn: Turn }): number {
  return one.turn - other.turn || byWorth(one, other);
}

/** `docker.io/library/alpine:3.20`; for an image without a tag, its repository, as far as it is known, and its digest. */
export function namesOf({ tags, source, digest }: CachedImage): string[] {
  if (tags.length === 0) return [`${source ?? ""}@${digest}`];
  return tags.map(({ upstream, repository, tag }) => `${upstream}/${repository}:${tag}`);
}

/** Bytes of stored objects. */
export function sizeOf({ objects }: Pick<CachedContent, "objects">, keys: Iterable<string>): number {
  let sum = 0;
  for (const key of keys) sum += objects.get(key)?.size ?? 0;
  return sum;
}

function imageOf(
  cached: CachedContent,
  root: string,
  tags: readonly (TagName & TagRecord)[],
  { pin, now }: ImageOptions,
): CachedImage {
  const keys = new Set<string>();
  const add = (key: string): void => {
    if (keys.has(key)) return;
    keys.add(key);
    if (!MANIFEST.test(key)) return;
    for (const kind of ["manifests", "blobs"] as const)
      for (const child of childrenOf(cached, key, kind)) add(child);
  };
  add(root);
  const entries = [...keys].flatMap((key) => cached.objects.get(key) ?? []);
  const uses = entries.flatMap(({ key }) => (MANIFEST.test(key) ? (useOf(cached, key) ?? []) : []));
  const stored = entries.map((entry) => entry.stored);
  const source = useOf(cached, root)?.source ?? null;
  const isByDigest = tags.length === 0 && source !== null && matchesAnyRepository(pin, source);
  return {
    digest: digestIn(root) as Digest,
    visibility: root.startsWith("private/") ? "private" : "public",
    tags,
    source,
    keys,
    size: sizeOf(cached, keys),
    alone: 0,
    uses: Math.max(0, ...uses.map((use) => use.uses)),
    level: Math.max(0, ...uses.map((use) => use.level)),
    first: Math.min(...stored, ...uses.map((use) => use.first)),
    last: Math.max(...stored, ...uses.map((use) => use.last)),
    isWhole: isWhole(cached, root),
    isPinned: tags.some(({ upstream, repository, tag }) =>
      matchesAnyImage(pin, `${upstream}/${repository}`, tag),
    ),
    turn: isByDigest || now - Math.max(...stored) < ARRIVING ? LAST : USUAL,
  };
}

function looseObject(
  cached: CachedContent,
  { key, size, stored }: StoredEntry,
  { now }: ImageOptions,
): LooseObject {
  const use = useOf(cached, key);
  // A listing isn't part of an image; of other content that can be said only once all manifests are known.
  const isGarbage = digestIn(key) !== null && cached.isComplete && now - stored > GRACE;
  return {
    key,
    size,
    uses: use?.uses ?? 0,
    level: use?.level ?? 0,
    last: Math.max(stored, use?.last ?? 0),
    turn: isGarbage ? GARBAGE : now - stored < ARRIVING ? LAST : USUAL,
  };
}

function useOf({ uses }: CachedContent, key: string) {
  const digest = digestIn(key);
  return digest ? uses.get(digest) : undefined;
}

/** What is stored of what a manifest refers to: what is private may need what is public, and not the other way round. */
function childrenOf(cached: CachedContent, key: string, kind: ContentKind): string[] {
  const digest = digestIn(key);
  const references = digest && cached.references.get(digest);
  if (!references) return [];
  const visibilities: Visibility[] = key.startsWith("private/") ? ["public", "private"] : ["public"];
  return references[kind]
    .flatMap((child) => visibilities.map((visibility) => contentKey(kind, child, visibility)))
    .filter((child) => cached.objects.has(child));
}

function isWhole(cached: CachedContent, key: string): boolean {
  const digest = digestIn(key);
  const references = digest && cached.references.get(digest);
  if (!references) return false;
  if (references.manifests.length > 0)
    return childrenOf(cached, key, "manifests").some((child) => isWhole(cached, child));
  const stored = new Set(childrenOf(cached, key, "blobs").map(digestIn));
  return references.blobs.every((blob) => stored.has(blob));
}
