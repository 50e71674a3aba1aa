/** Images that upstream has deleted and the mirror serves on, by KEEP. */
import { matchesAny } from "../access/patterns.ts";
import type { Config } from "../config.ts";
import type { Digest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { contentKey, type Store } from "../store/store.ts";
import type { TagHistory } from "../store/tag-history.ts";
import type { Page } from "./holdings.ts";

export interface GoneServices {
  config: Pick<Config, "keep">;
  store: Pick<Store, "head">;
  tagHistory: () => TagHistory;
}

export interface GoneImage {
  upstream: string;
  repository: string;
  tag: string;
  /** What it named last. */
  digest: Digest;
  /** When it was found to be deleted; ISO 8601. */
  since: string;
  /** Whether its manifest is stored, without which it isn't served. */
  isStored: boolean;
}

/** Images on a page: each is a read of the store, of the 50 subrequests that a request has on the Free plan. */
const LISTED = 40;

/** By when they were found to be deleted, the latest first. @param cursor of the page before. @throws RegistryError 400 */
export async function listGone(
  { config, store, tagHistory }: GoneServices,
  cursor: string | null,
): Promise<Page<GoneImage>> {
  const start = Number(cursor ?? 0);
  if (!Number.isSafeInteger(start) || start < 0) {
    throw new RegistryError(400, "UNSUPPORTED", "the cursor is none of this list's");
  }
  const kept = (await tagHistory().deletedTags()).filter(
    ({ upstream, repository, visibility }) =>
      visibility === "public" && matchesAny(config.keep, `${upstream}/${repository}`),
  );
  const entries = kept.slice(start, start + LISTED).map(async ({ upstream, repository, tag, digest, at }) => {
    const stored = await store.head(contentKey("manifests", digest, "public"));
    return {
      upstream,
      repository,
      tag,
      digest,
      since: new Date(at).toISOString(),
      isStored: stored !== null,
    };
  });
  const next = start + LISTED;
  return { entries: await Promise.all(entries), cursor: next < kept.length ? String(next) : null };
}
