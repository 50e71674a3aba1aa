/** Tag records end with their images, so that a tag is stored or not, and never only its name. */
import { contentKey, type StoredEntry } from "../store/store.ts";
import type { TagName, TagRecord } from "../store/tag-records.ts";
import { type HoldingsLedger, readTags, type TagServices } from "./cached.ts";
import { Parts } from "./parts.ts";
import { type QuotaServices, roomFor } from "./quotas.ts";

export interface EvictedTagServices extends TagServices, QuotaServices {
  readonly ledger: HoldingsLedger & QuotaServices["ledger"];
}

/** Records that one call of the ledger's object ends, by three requests each. */
const ENDED = 15;
/** Milliseconds after which a record would be written again anyway: one without content is of no use then. */
const DAY = 86_400_000;

/**
 * Ends the records of tags whose manifests were evicted, and those that an earlier eviction has left. Where KV or the ledger's
 * object fails, or a quota is nearly used up, they stay until the next eviction.
 * @param left what is stored.
 * @param evicted keys of what no longer is.
 */
export async function endEvictedTags(
  services: EvictedTagServices,
  left: ReadonlyMap<string, StoredEntry>,
  evicted: ReadonlySet<string>,
): Promise<void> {
  try {
    const room = await roomFor(services, "kvWrites");
    if (room === 0) return;
    const tags = await readTags(services, new Parts());
    const ended = tags.filter((tag) => {
      const isOld = services.now() - tag.confirmed > DAY;
      return !isStored(tag, left) && (isOld || keysOf(tag).some((key) => evicted.has(key)));
    });
    for (let at = 0; at < Math.min(ended.length, room); at += ENDED) {
      await services.ledger.endTags(ended.slice(at, Math.min(at + ENDED, room)));
    }
  } catch (error) {
    console.warn(`the tag records of evicted images can't be deleted: ${error}`);
  }
}

function isStored(tag: TagName & TagRecord, left: ReadonlyMap<string, StoredEntry>): boolean {
  return keysOf(tag).some((key) => left.has(key));
}

/** Where a tag's manifest may be stored: what is private may be public elsewhere. */
function keysOf({ digest, visibility }: TagName & TagRecord): string[] {
  const visibilities = visibility === "public" ? (["public"] as const) : (["public", "private"] as const);
  return visibilities.map((each) => contentKey("manifests", digest, each));
}
