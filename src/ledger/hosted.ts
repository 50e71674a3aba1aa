/** What hosted repositories have, for the owner of the mirror. */
import type { Config } from "../config.ts";
import type { Digest } from "../oci/digest.ts";

/** Of all of them; content that several have counts once. */
export interface HostedCount {
  repositories: number;
  tags: number;
  manifests: number;
  blobs: number;
  bytes: number;
  /** Uploads that are neither ended nor given up. */
  uploads: number;
}

export interface HostedRepository {
  repository: string;
  tags: number;
  manifests: number;
  /** Of its blobs and manifests, also of those that other repositories have too. */
  bytes: number;
  /** When a manifest was last pushed, in milliseconds since the epoch; null where there is none. */
  pushed: number | null;
}

/** A tag, or a manifest that no tag, no index and no subject has. */
export interface HostedImage {
  tag: string | null;
  digest: Digest;
  /** When the tag was set, or the manifest pushed; milliseconds since the epoch. */
  updated: number;
  /** Of everything that it needs. */
  bytes: number;
}

/** What is to be removed from a repository: a tag, a manifest with its tags, or all of it. */
export type HostedPart = { tag: string } | { digest: Digest } | "all";

export interface HostedRemoval {
  tags: number;
  manifests: number;
  /** Bytes that nothing needs any more, and that garbage collection frees within a day or two. */
  freed: number;
}

export interface HostedLedger {
  count(): Promise<HostedCount>;
  /** Entries in the order of their names, those after `last`. */
  account(last: string | null, limit: number): Promise<HostedRepository[]>;
  /** Tags in their order, those after `last`; behind the last tag what has none. */
  images(repository: string, last: string | null, limit: number): Promise<HostedImage[]>;
  /**
   * Removes part of a repository, with what only that part had.
   * @param isDryRun whether it is only counted.
   */
  remove(
    repository: string,
    part: HostedPart,
    isDryRun: boolean,
  ): Promise<HostedRemoval | "unknown" | "immutable">;
}

/** Repositories on a page. */
const PAGE = 500;
/** @param cursor of the page before; null for the first. */
export async function listHosted(
  { hostedRecords, config }: { hostedRecords: HostedLedger; config: Pick<Config, "hosted"> },
  cursor: string | null,
) {
  const found = await hostedRecords.account(cursor, PAGE);
  return {
    entries: found.map(({ repository, pushed, ...counts }) => ({
      repository: `${config.hosted.path}/${repository}`,
      ...counts,
      pushed: pushed === null ? null : new Date(pushed).toISOString(),
    })),
    cursor: found.length === PAGE ? (found.at(-1)?.repository ?? null) : null,
  };
}
