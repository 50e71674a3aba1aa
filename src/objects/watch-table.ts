/** The ledger's table of watched tags, and which they are: by what its other tables know of tags and uses. */
import { matchesAnyImage } from "../access/image-patterns.ts";
import type { WatchChoice, WatchedTag, WatchResult } from "../ledger/watch.ts";
import { type Digest, parseDigest } from "../oci/digest.ts";

const TABLE = `CREATE TABLE IF NOT EXISTS watched (
  upstream TEXT NOT NULL, repository TEXT NOT NULL, tag TEXT NOT NULL, visibility TEXT NOT NULL,
  checked INTEGER NOT NULL, done TEXT NOT NULL, doing TEXT NOT NULL, cursor INTEGER NOT NULL,
  PRIMARY KEY (upstream, repository, tag, visibility)) WITHOUT ROWID`;
/** Digests of a tag by which the platforms are found out that clients pull. */
const LATEST = 3;
/** Digests of one query: SQLite takes 100 parameters on the platform. */
const BATCH = 90;

type Row = Omit<WatchedTag, "used"> & { id: number; used: number };

export class WatchTable {
  readonly #sql: SqlStorage;

  /** @param sql with the tables of tags' history and of uses. */
  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(TABLE);
  }

  choose({ since, pin, most }: WatchChoice): WatchedTag[] {
    const rows = this.#sql.exec(
      `SELECT t.id, t.upstream, t.repository, t.tag, t.visibility, coalesce(w.done, '') AS done,
         coalesce(w.doing, '') AS doing, coalesce(w.cursor, 0) AS cursor,
         EXISTS (SELECT 1 FROM history_names n JOIN uses u ON u.digest = n.digest WHERE n.tag = t.id AND u.last >= ?) AS used
       FROM history_tags t LEFT JOIN watched w USING (upstream, repository, tag, visibility)
       ORDER BY coalesce(w.checked, 0), t.id`,
      since,
    ) as unknown as Iterable<Row>;
    const chosen: Row[] = [];
    for (const row of rows) {
      const { upstream, repository, tag, used } = row;
      if (used === 0 && !matchesAnyImage(pin, `${upstream}/${repository}`, tag)) continue;
      chosen.push(row);
      if (chosen.length === most) break;
    }
    return chosen.map(({ id, used: _, ...tag }) => ({ ...tag, used: this.#usedOf(id) }));
  }

  note(results: readonly WatchResult[], at: number): void {
    for (const { upstream, repository, tag, visibility, done, doing, cursor } of results) {
      this.#sql.exec(
        "INSERT OR REPLACE INTO watched VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        ...[upstream, repository, tag, visibility, at, done, doing, cursor],
      );
    }
  }

  /** Forgets tags of which there is no history any more. */
  prune(): void {
    this.#sql.exec(
      `DELETE FROM watched WHERE NOT EXISTS (SELECT 1 FROM history_tags t WHERE t.upstream = watched.upstream
       AND t.repository = watched.repository AND t.tag = watched.tag AND t.visibility = watched.visibility)`,
    );
  }

  usedAmong(digests: readonly Digest[]): Digest[] {
    const found: Digest[] = [];
    for (let at = 0; at < digests.length; at += BATCH) {
      const some = digests.slice(at, at + BATCH);
      const places = some.map(() => "?").join(", ");
      found.push(...this.#digests(`SELECT digest FROM uses WHERE digest IN (${places})`, ...some));
    }
    return found;
  }

  #usedOf(tag: number): Digest[] {
    return this.#digests(
      `SELECT n.digest FROM history_names n JOIN uses u ON u.digest = n.digest
       WHERE n.tag = ? GROUP BY n.digest ORDER BY max(n.seen) DESC LIMIT ${LATEST}`,
      tag,
    );
  }

  #digests(query: string, ...values: unknown[]): Digest[] {
    const rows = this.#sql.exec(query, ...values).toArray() as unknown as { digest: string }[];
    return rows.flatMap(({ digest }) => parseDigest(digest) ?? []);
  }
}
