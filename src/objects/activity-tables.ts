/** The ledger's tables of requests to upstreams and of fills, since the ledger began. */
import type { Activity, FillCount, PullsRemaining, UpstreamCount } from "../ledger/activity.ts";

const TABLES = [
  `CREATE TABLE IF NOT EXISTS upstream_requests (
    upstream TEXT NOT NULL, endpoint TEXT NOT NULL, outcome TEXT NOT NULL, requests INTEGER NOT NULL, last INTEGER NOT NULL,
    PRIMARY KEY (upstream, endpoint, outcome)) WITHOUT ROWID`,
  `CREATE TABLE IF NOT EXISTS pulls_remaining (
    upstream TEXT NOT NULL, login TEXT NOT NULL, pulls INTEGER NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (upstream, login)) WITHOUT ROWID`,
  "CREATE TABLE IF NOT EXISTS fills (outcome TEXT PRIMARY KEY, fills INTEGER NOT NULL) WITHOUT ROWID",
];

/** Rows of upstream requests: clients choose which members of a family of upstreams there are. */
const MOST = 1_000;

export class ActivityTables {
  readonly #sql: SqlStorage;
  readonly #most: number;

  /** @param most rows of upstream requests. */
  constructor(sql: SqlStorage, most = MOST) {
    this.#sql = sql;
    this.#most = most;
    for (const table of TABLES) sql.exec(table);
  }

  add({ upstream: counts, remaining, fills }: Activity): void {
    for (const { upstream, endpoint, outcome, requests, last } of counts) {
      const row = this.#hasRoomFor(upstream, endpoint, outcome)
        ? [upstream, endpoint, outcome]
        : ["other", "other", outcome];
      this.#sql.exec(
        `INSERT INTO upstream_requests VALUES (?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET requests = requests + excluded.requests, last = max(last, excluded.last)`,
        ...[...row, requests, last],
      );
    }
    for (const { upstream, login, pulls, at } of remaining) {
      this.#sql.exec(
        `INSERT INTO pulls_remaining VALUES (?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET pulls = excluded.pulls, at = excluded.at WHERE excluded.at >= at`,
        ...[upstream, login, pulls, at],
      );
    }
    for (const { outcome, fills: count } of fills) {
      this.#sql.exec(
        "INSERT INTO fills VALUES (?, ?) ON CONFLICT DO UPDATE SET fills = fills + excluded.fills",
        ...[outcome, count],
      );
    }
  }

  all(): Activity {
    return {
      upstream: this.#rows<UpstreamCount>("SELECT * FROM upstream_requests"),
      remaining: this.#rows<PullsRemaining>("SELECT * FROM pulls_remaining"),
      fills: this.#rows<FillCount>("SELECT * FROM fills"),
    };
  }

  #hasRoomFor(upstream: string, endpoint: string, outcome: string): boolean {
    const [row] = this.#rows<{ known: number; all: number }>(
      `SELECT count(*) AS "all", sum(upstream = ? AND endpoint = ? AND outcome = ?) AS known FROM upstream_requests`,
      ...[upstream, endpoint, outcome],
    );
    return (row?.known ?? 0) > 0 || (row?.all ?? 0) < this.#most;
  }

  #rows<Row extends object>(query: string, ...values: unknown[]): Row[] {
    return this.#sql.exec(query, ...values).toArray() as unknown as Row[];
  }
}
