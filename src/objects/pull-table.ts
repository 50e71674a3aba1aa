/** The ledger's table of pulls by key: a row for each digest and key, written once an hour at most. */
import type { DigestTrace, KeyPull, PullRecord, TagOfDigest } from "../ledger/pulls.ts";
import { USE_SPAN } from "../ledger/span.ts";
import type { Digest } from "../oci/digest.ts";

const TABLE = `CREATE TABLE IF NOT EXISTS pulls (
  digest TEXT NOT NULL, key TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, hours INTEGER NOT NULL,
  PRIMARY KEY (digest, key)) WITHOUT ROWID`;
const INDEX = "CREATE INDEX IF NOT EXISTS pulls_by_time ON pulls (last)";
const ADDED = `INSERT INTO pulls VALUES (?, ?, ?, ?, 1)
  ON CONFLICT DO UPDATE SET last = excluded.last, hours = hours + 1 WHERE excluded.last > last`;
/** Rows that are kept: the latest. */
const MOST = 100_000;
/** Milliseconds for which a row is kept. */
const KEPT = 400 * 86_400_000;
/** Levels of indexes above a digest, and images that have it, for which tags are looked up. */
const LEVELS = 3;
const IMAGES = 500;
/** Tags that are shown. */
const LISTED = 200;

export class PullTable {
  readonly #sql: SqlStorage;
  readonly #most: number;

  /** @param sql with the tables of tags' history and of what manifests refer to. @param most rows. */
  constructor(sql: SqlStorage, most = MOST) {
    this.#sql = sql;
    this.#most = most;
    sql.exec(TABLE);
    sql.exec(INDEX);
  }

  /** @param at milliseconds since the epoch. */
  add(pulls: readonly KeyPull[], at: number): void {
    const span = at - (at % USE_SPAN);
    for (const { digest, key } of pulls) this.#sql.exec(ADDED, digest, key, span, span);
  }

  traceOf(digest: Digest): DigestTrace {
    const pulls = this.#rows<PullRecord>(
      "SELECT key, first, last, hours FROM pulls WHERE digest = ? ORDER BY last DESC, key",
      digest,
    );
    const tags = this.#imagesWith(digest).flatMap((named) =>
      this.#rows<TagOfDigest>(
        `SELECT t.upstream, t.repository, t.tag, t.visibility, n.digest AS named, min(n.seen) AS "from"
         FROM history_names n JOIN history_tags t ON t.id = n.tag WHERE n.digest = ? GROUP BY t.id`,
        named,
      ),
    );
    return { pulls, tags: tags.sort((one, other) => other.from - one.from).slice(0, LISTED) };
  }

  /** Drops the oldest rows beyond the most, and those that are older than they are kept. */
  prune(now: number): void {
    this.#sql.exec("DELETE FROM pulls WHERE last < ?", now - KEPT);
    this.#sql.exec(
      `DELETE FROM pulls WHERE last < (SELECT last FROM pulls ORDER BY last DESC LIMIT 1 OFFSET ?)`,
      this.#most - 1,
    );
  }

  /** The digest, and the manifests and indexes that are known to lead to it. */
  #imagesWith(digest: Digest): Digest[] {
    const found = new Set([digest]);
    let level = [digest];
    for (let depth = 0; depth < LEVELS && found.size < IMAGES; depth++) {
      level = level.flatMap((part) =>
        this.#rows<{ digest: Digest }>(
          "SELECT digest FROM manifests WHERE instr(refers_to, ?) > 0 LIMIT ?",
          ...[`"${part}"`, IMAGES],
        ).map((row) => row.digest),
      );
      for (const each of level) found.add(each);
    }
    return [...found].slice(0, IMAGES);
  }

  #rows<Row extends object>(query: string, ...values: unknown[]): Row[] {
    return this.#sql.exec(query, ...values).toArray() as unknown as Row[];
  }
}
