/** The ledger's table of uses: a row for each digest, written once an hour at most. */
import { USE_SPAN, type Use, type UseRecord } from "../ledger/uses.ts";

const TABLE = `CREATE TABLE IF NOT EXISTS uses (
  digest TEXT PRIMARY KEY, source TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, days INTEGER NOT NULL
) WITHOUT ROWID`;
const DAY = 86_400_000;
const USED = `INSERT INTO uses VALUES (?, ?, ?, ?, 1) ON CONFLICT DO UPDATE SET source = excluded.source,
  days = days + (excluded.last / ${DAY} > last / ${DAY}), last = excluded.last WHERE excluded.last > last`;

export class UseTable {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(TABLE);
  }

  /** @param at milliseconds since the epoch. */
  add(uses: readonly Use[], at: number): void {
    const span = at - (at % USE_SPAN);
    for (const { digest, source } of uses) this.#sql.exec(USED, digest, source, span, span);
  }

  all(): UseRecord[] {
    return this.#sql
      .exec("SELECT digest, source, first, last, days FROM uses")
      .toArray() as unknown as UseRecord[];
  }
}
