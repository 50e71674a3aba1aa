/** What hosted repositories have, for the owner of the mirror. */
import type { Config } from "../config.ts";

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

export interface HostedLedger {
  count(): Promise<HostedCount>;
  /** Entries in the order of their names, those after `last`. */
  account(last: string | null, limit: number): Promise<HostedRepository[]>;
}

/** Repositories on a page. */
const PAGE = 500;
/** Milliseconds for which a count serves metrics, since each reads all records. */
const COUNTED_FOR = 5 * 60_000;

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

/** The count as it was within the last minutes. */
export function recentCount(now: () => number): (records: HostedLedger) => Promise<HostedCount> {
  let known: { at: number; count: Promise<HostedCount> } | null = null;
  return (records) => {
    if (!known || now() - known.at > COUNTED_FOR) {
      const count = records.count();
      known = { at: now(), count };
      count.catch(() => {
        known = null;
      });
    }
    return known.count;
  };
}
