/** Takes part of a hosted repository out of the records. Synchronous; what nothing needs any more is collected later. */
import type { HostedPart, HostedRemoval } from "../ledger/hosted.ts";
import type { Digest } from "../oci/digest.ts";
import type { HostedTables } from "./hosted-tables.ts";

interface Removal {
  repository: string;
  part: HostedPart;
  /** Milliseconds since the epoch. */
  now: number;
  /** Before it nothing of what is removed is collected: a push may rely on it. */
  until: number;
}

/** @returns null where there is no such part. */
export function removePart(
  sql: SqlStorage,
  tables: HostedTables,
  { repository, part, now, until }: Removal,
): Omit<HostedRemoval, "freed"> | null {
  const forget = (digest: Digest): void => {
    tables.deleteManifest(repository, digest, now);
    tables.reserve("manifests", digest, until);
  };
  const tagged = tables.tagTimes(repository);
  if (part === "all") {
    if (!tables.hasRepository(repository)) return null;
    const manifests = manifestsOf(sql, repository);
    for (const digest of manifests) forget(digest);
    for (const digest of tables.blobsOf(repository)) {
      tables.unlink(repository, digest);
      tables.reserve("blobs", digest, until);
    }
    return { tags: tagged.length, manifests: manifests.length };
  }
  if ("tag" in part) {
    const named = tables.tagged(repository, part.tag);
    if (named === null) return null;
    tables.deleteTag(repository, part.tag);
    tables.release(repository, named, now);
    return { tags: 1, manifests: 0 };
  }
  if (tables.manifest(repository, part) === null) return null;
  // What an index lists, and what refers to it, goes with it unless something else has it.
  tables.release(repository, part.digest, now);
  forget(part.digest);
  return { tags: tagged.filter(({ digest }) => digest === part.digest).length, manifests: 1 };
}

function manifestsOf(sql: SqlStorage, repository: string): Digest[] {
  return sql
    .exec<{ digest: Digest }>("SELECT digest FROM manifests WHERE repository = ?", repository)
    .toArray()
    .map(({ digest }) => digest);
}
