/** What hosted repositories have, counted: SQL over the tables of `hosted-tables.ts`. Synchronous. */
import type { HostedCount, HostedImage, HostedRepository } from "../ledger/hosted.ts";

/** Content that several repositories have counts once. */
export function countHosted(sql: SqlStorage): HostedCount {
  const [row] = sql
    .exec<HostedCount & Record<string, SqlStorageValue>>(
      `WITH held AS (
         SELECT DISTINCT 'blobs' AS kind, digest FROM blobs UNION ALL SELECT DISTINCT 'manifests', digest FROM manifests)
       SELECT
         (SELECT count(*) FROM (SELECT repository FROM manifests UNION SELECT repository FROM blobs)) AS repositories,
         (SELECT count(*) FROM tags) AS tags,
         (SELECT count(*) FROM held WHERE kind = 'manifests') AS manifests,
         (SELECT count(*) FROM held WHERE kind = 'blobs') AS blobs,
         (SELECT coalesce(sum(c.size), 0) FROM held JOIN contents AS c USING (kind, digest)) AS bytes,
         (SELECT count(*) FROM uploads) AS uploads`,
    )
    .toArray();
  return row ?? { repositories: 0, tags: 0, manifests: 0, blobs: 0, bytes: 0, uploads: 0 };
}

/** @param limit entries at most, in the order of their names, after `last`. */
export function hostedRepositories(sql: SqlStorage, last: string | null, limit: number): HostedRepository[] {
  return sql
    .exec<HostedRepository & Record<string, SqlStorageValue>>(
      `WITH names AS (
         SELECT repository FROM manifests WHERE repository > ?1 UNION SELECT repository FROM blobs WHERE repository > ?1
         ORDER BY repository LIMIT ?2)
       SELECT repository,
         (SELECT count(*) FROM tags AS t WHERE t.repository = n.repository) AS tags,
         (SELECT count(*) FROM manifests AS m WHERE m.repository = n.repository) AS manifests,
         (SELECT coalesce(sum(size), 0) FROM manifests AS m WHERE m.repository = n.repository)
           + (SELECT coalesce(sum(c.size), 0) FROM blobs AS b JOIN contents AS c ON c.kind = 'blobs' AND c.digest = b.digest
              WHERE b.repository = n.repository) AS bytes,
         (SELECT max(pushed) FROM manifests AS m WHERE m.repository = n.repository) AS pushed
       FROM names AS n ORDER BY repository`,
      last ?? "",
      limit,
    )
    .toArray();
}

/** @param limit entries at most, in the order of their tags, after `last`; what has no tag comes behind the last one. */
export function hostedImages(
  sql: SqlStorage,
  repository: string,
  last: string | null,
  limit: number,
): HostedImage[] {
  return sql
    .exec<HostedImage & Record<string, SqlStorageValue>>(
      `WITH RECURSIVE page AS (SELECT * FROM (
         SELECT tag, digest, updated FROM tags WHERE repository = ?1 AND tag > ?2
         UNION ALL
         SELECT NULL, digest, pushed FROM manifests AS m WHERE repository = ?1
           AND NOT EXISTS (SELECT 1 FROM tags WHERE repository = ?1 AND digest = m.digest)
           AND NOT EXISTS (SELECT 1 FROM needs WHERE repository = ?1 AND kind = 'manifests' AND digest = m.digest)
           AND NOT EXISTS (SELECT 1 FROM manifests AS s WHERE s.repository = ?1 AND s.digest = m.subject))
         ORDER BY tag IS NULL, tag LIMIT ?3),
       held(root, kind, digest) AS (
         SELECT digest, 'manifests', digest FROM page
         UNION
         SELECT h.root, n.kind, n.digest FROM held AS h
           JOIN needs AS n ON n.repository = ?1 AND n.manifest = h.digest AND h.kind = 'manifests'),
       sizes AS (SELECT root, sum(c.size) AS bytes FROM held JOIN contents AS c USING (kind, digest) GROUP BY root)
       SELECT tag, digest, updated, coalesce(bytes, 0) AS bytes FROM page LEFT JOIN sizes ON root = digest
       ORDER BY tag IS NULL, tag`,
      repository,
      last ?? "",
      limit,
    )
    .toArray();
}
