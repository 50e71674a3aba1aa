/** What a mirror holds, seen as images: which objects each consists of, and which of them it shares with others. */
import pLimit from "p-limit";
import type { Digest } from "../../src/oci/digest.ts";
import { readManifest } from "../../src/oci/manifest.ts";
import { type ContentKind, contentKey } from "../../src/store/store.ts";
import type { HeldObject, HeldTag, OwnerClient } from "./owner-client.ts";

export interface HeldImage {
  tag: HeldTag;
  /** `docker.io/library/alpine:3.20` */
  name: string;
  /** Keys of the objects that are stored. */
  keys: ReadonlySet<string>;
  /** Bytes stored. */
  size: number;
  /** Bytes that are freed if only this image is removed. */
  alone: number;
  /** Whether the manifest, and of one platform everything, is stored. */
  isWhole: boolean;
}

export interface Holdings {
  images: readonly HeldImage[];
  objects: ReadonlyMap<string, HeldObject>;
  /** By the key of each stored manifest, where what it refers to can be stored. */
  references: ReadonlyMap<string, readonly string[]>;
  /** Blobs to which no stored manifest refers. */
  unreferenced: readonly HeldObject[];
}

/** Manifests that are read at a time. */
const AT_ONCE = 8;
const MANIFEST = /^(private\/)?manifests\/([a-z0-9]+)\/[0-9a-f]{2}\/([0-9a-f]+)$/;
const BLOB = /^(private\/)?blobs\//;

export async function holdingsOf(client: OwnerClient): Promise<Holdings> {
  const [tags, listed] = await Promise.all([client.tags(), client.objects()]);
  const objects = new Map(listed.map((object) => [object.key, object]));
  const references = await referencesOf(client, objects);
  const images = tags.map((tag) => imageOf(tag, objects, references));
  const holdings = { images, objects, references, unreferenced: unreferencedAmong(objects, references) };
  const isShared = sharedAmong(holdings);
  for (const image of images)
    image.alone = sizeOf(
      holdings,
      [...image.keys].filter((key) => !isShared(key)),
    );
  return holdings;
}

/** Whether more than one tag, or a manifest without one, needs an object; counted once for all images. */
function sharedAmong({
  images,
  references,
}: Pick<Holdings, "images" | "references">): (key: string) => boolean {
  const tags = new Map<string, number>();
  for (const { keys } of images) for (const key of keys) tags.set(key, (tags.get(key) ?? 0) + 1);
  const untagged = new Set([...references].flatMap(([key, children]) => (tags.has(key) ? [] : children)));
  return (key) => (tags.get(key) ?? 0) > 1 || untagged.has(key);
}

/** Bytes of stored objects. */
export function sizeOf({ objects }: Pick<Holdings, "objects">, keys: Iterable<string>): number {
  return [...keys].reduce((sum, key) => sum + (objects.get(key)?.size ?? 0), 0);
}

/** The objects that go with images: those that no other tag, and no other manifest, refers to. */
export function keysToRemove(
  { images, references }: Pick<Holdings, "images" | "references">,
  doomed: readonly HeldImage[],
): string[] {
  const candidates = new Set(doomed.flatMap(({ keys }) => [...keys]));
  const kept = new Set(images.filter((image) => !doomed.includes(image)).flatMap(({ keys }) => [...keys]));
  // Manifests are also pulled by digest, without a tag.
  for (const [key, children] of references)
    if (!candidates.has(key)) for (const child of children) kept.add(child);
  return [...candidates].filter((key) => !kept.has(key));
}

/** By the key of each stored manifest, the keys of what it refers to, stored or not. */
async function referencesOf(
  client: OwnerClient,
  objects: ReadonlyMap<string, HeldObject>,
): Promise<Map<string, string[]>> {
  const limit = pLimit(AT_ONCE);
  const read = [...objects.keys()].map((key) =>
    limit(async (): Promise<[string, string[]][]> => {
      const [, isPrivate, algorithm, hex] = MANIFEST.exec(key) ?? [];
      if (hex === undefined) return [];
      const bytes = await client.manifest(`${algorithm}:${hex}`, isPrivate ? "private" : "public");
      const manifest = bytes && readManifest(bytes);
      if (!manifest) return [];
      const { manifests, config, layers } = manifest;
      const blobs = [...(config ? [config] : []), ...layers].map(({ digest }) => keysOf("blobs", digest));
      return [[key, [...manifests.map(({ digest }) => keysOf("manifests", digest)), ...blobs].flat()]];
    }),
  );
  return new Map((await Promise.all(read)).flat());
}

/** Where an object can be stored: what is private may refer to what is public. */
function keysOf(kind: ContentKind, digest: Digest): string[] {
  return [contentKey(kind, digest, "public"), contentKey(kind, digest, "private")];
}

function imageOf(
  tag: HeldTag,
  objects: ReadonlyMap<string, HeldObject>,
  references: ReadonlyMap<string, string[]>,
): HeldImage {
  const keys = new Set<string>();
  const roots = keysOf("manifests", tag.digest).filter((key) => objects.has(key));
  const add = (key: string) => {
    if (keys.has(key) || !objects.has(key)) return;
    keys.add(key);
    for (const child of references.get(key) ?? []) add(child);
  };
  for (const root of roots) add(root);
  const hasAll = (key: string): boolean => {
    const children = references.get(key) ?? [];
    const digests = new Set(children.map((child) => child.replace(/^private\//, "")));
    const isStored = (child: string) => objects.has(child) || objects.has(`private/${child}`);
    const isIndex = [...digests].some((child) => MANIFEST.test(child));
    return isIndex
      ? children.some((child) => objects.has(child) && MANIFEST.test(child) && hasAll(child))
      : digests.size > 0 && [...digests].every(isStored);
  };
  const { upstream, repository } = tag;
  return {
    tag,
    name: `${upstream}/${repository}:${tag.tag}`,
    keys,
    size: sizeOf({ objects }, keys),
    alone: 0,
    isWhole: roots.some(hasAll),
  };
}

function unreferencedAmong(
  objects: ReadonlyMap<string, HeldObject>,
  references: ReadonlyMap<string, string[]>,
): HeldObject[] {
  const referenced = new Set([...references.values()].flat());
  return [...objects.values()].filter(({ key }) => BLOB.test(key) && !referenced.has(key));
}
