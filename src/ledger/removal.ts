/** Takes images out of the store for the owner, and what no image needs. What other images need stays. */
import type { Store } from "../store/store.ts";
import type { TagRecords } from "../store/tag-records.ts";
import { type AccountServices, imagesNamed, readAccounts } from "./accounts.ts";
import { type DeletionServices, deleteCached, release } from "./eviction.ts";
import { type CachedImage, sizeOf } from "./images.ts";
import { MOST_REMOVED, parsed, RemovalRequest } from "./requests.ts";

export interface RemovalServices extends AccountServices, DeletionServices {
  store: Pick<Store, "list" | "get" | "delete">;
  tags: Pick<TagRecords, "list" | "end">;
}

/** What was removed, or would be. */
export interface Removed {
  images: string[];
  objects: number;
  /** Bytes. */
  bytes: number;
}

/**
 * Removes images by name: the tag, and the image itself unless another tag names it.
 * @param request as parsed from JSON: `images`, and `dryRun` to only count.
 * @throws RegistryError 400, or 404 if one isn't stored: then none is removed.
 */
export async function removeImages(services: RemovalServices, request: unknown): Promise<Removed> {
  const message = `the body has images, ${MOST_REMOVED} at most, and dryRun if none is to go`;
  const { images, dryRun } = parsed(RemovalRequest, request, message);
  const { cached, holdings } = await readAccounts(services);
  const doomed = new Set<CachedImage>();
  const tags = new Set<CachedImage["tags"][number]>();
  for (const name of images) {
    for (const image of imagesNamed(holdings, name)) {
      for (const tag of image.tags) {
        if (`${tag.upstream}/${tag.repository}:${tag.tag}` === name) tags.add(tag);
      }
      if (image.tags.every((tag) => tags.has(tag))) doomed.add(image);
    }
  }
  const needs = new Map(holdings.needs);
  const keys = [...doomed].flatMap((image) => release(image, needs));
  if (!dryRun) {
    for (const tag of tags) await services.tags.end(tag, tag);
    await deleteCached(services, keys);
  }
  return { images: [...new Set(images)], objects: keys.length, bytes: sizeOf(cached, keys) };
}

/** Removes blobs that no stored manifest refers to, once they are an hour old. */
export async function pruneUnreferenced(
  services: RemovalServices,
  isDryRun: boolean,
): Promise<Omit<Removed, "images">> {
  const { cached, holdings } = await readAccounts(services);
  const keys = holdings.loose.filter(({ turn }) => turn === 0).map(({ key }) => key);
  if (!isDryRun) await deleteCached(services, keys);
  return { objects: keys.length, bytes: sizeOf(cached, keys) };
}
