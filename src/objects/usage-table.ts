/** The ledger's table of what was used of the platform's quotas, by day. */
import { FREE_PLAN, type Operation, type Usage } from "../ledger/quotas.ts";

const TABLE =
  "CREATE TABLE IF NOT EXISTS usage (day INTEGER NOT NULL, operation TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (day, operation)) WITHOUT ROWID";
const DAY = 86_400_000;
/** Days that are kept. */
const KEPT = 32;

export class UsageTable {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(TABLE);
  }

  /** @param at milliseconds since the epoch. */
  add(operations: readonly { operation: Operation; count: number }[], at: number): void {
    for (const { operation, count } of operations) {
      this.#sql.exec(
        "INSERT INTO usage VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
        ...[dayOf(at), operation, count],
      );
    }
  }

  usage(at: number): Usage {
    const rows = this.#sql.exec("SELECT operation, count FROM usage WHERE day = ?", dayOf(at)).toArray();
    const counts = new Map(rows.map(({ operation, count }) => [String(operation), Number(count)]));
    const entries = Object.keys(FREE_PLAN).map((each) => [each, counts.get(each) ?? 0]);
    return Object.fromEntries(entries) as Usage;
  }

  prune(now: number): void {
    this.#sql.exec("DELETE FROM usage WHERE day < ?", dayOf(now) - KEPT);
  }
}

function dayOf(at: number): number {
  return Math.floor(at / DAY);
}
