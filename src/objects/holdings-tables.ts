/** The ledger's tables of stored content: its use, what manifests refer to, and how much there was at the last count. */
import type { Counted, HoldingsIndex, Settlement, StoredBytes } from "../ledger/cached.ts";
import type { ManifestReferences } from "../ledger/references.ts";
import { USE_SPAN } from "../ledger/span.ts";
import type { Use, UseRecord } from "../ledger/uses.ts";
import type { Digest } from "../oci/digest.ts";

const TABLES = [
  `CREATE TABLE IF NOT EXISTS uses (
    digest TEXT PRIMARY KEY, source TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    uses INTEGER NOT NULL, level REAL NOT NULL) WITHOUT ROWID`,
  "CREATE TABLE IF NOT EXISTS manifests (digest TEXT PRIMARY KEY, refers_to TEXT NOT NULL) WITHOUT ROWID",
  `CREATE TABLE IF NOT EXISTS stored (
    kind TEXT NOT NULL, visibility TEXT NOT NULL, bytes INTEGER NOT NULL, objects INTEGER NOT NULL,
    PRIMARY KEY (kind, visibility)) WITHOUT ROWID`,
  "CREATE TABLE IF NOT EXISTS counts (name TEXT PRIMARY KEY, value REAL NOT NULL) WITHOUT ROWID",
];
const USED = `INSERT INTO uses VALUES (?, ?, ?, ?, 1, ?) ON CONFLICT DO UPDATE SET source = excluded.source,
  uses = uses + 1, last = excluded.last, level = excluded.level WHERE excluded.last > last`;
/** Uses that are kept: also of what clients got and was never stored. All of them are one message, which has a largest size. */
const MOST = 100_000;

export class HoldingsTables {
  readonly #storage: DurableObjectStorage;
  readonly #most: number;

  /** @param most uses that are kept. */
  constructor(storage: DurableObjectStorage, most = MOST) {
    this.#storage = storage;
    this.#most = most;
    for (const table of TABLES) storage.sql.exec(table);
  }

  /** @param at milliseconds since the epoch. */
  use(uses: readonly Use[], at: number): void {
    if (uses.length === 0) return;
    const span = at - (at % USE_SPAN);
    const level = this.#count("level") ?? 0;
    for (const { digest, source } of uses) this.#storage.sql.exec(USED, digest, source, span, span, level);
  }

  index(): HoldingsIndex {
    const manifests = this.#rows<{ digest: Digest; refers_to: string }>("SELECT * FROM manifests");
    return {
      uses: this.#rows<UseRecord>("SELECT * FROM uses ORDER BY last DESC, digest LIMIT ?", this.#most),
      references: manifests.map(({ digest, refers_to }) => ({ digest, ...JSON.parse(refers_to) })),
      level: this.#count("level") ?? 0,
    };
  }

  lastUses(digests: readonly Digest[]): Map<Digest, number> {
    // One parameter: a query takes a hundred at most.
    const uses = this.#rows<{ digest: Digest; last: number }>(
      "SELECT digest, last FROM uses WHERE digest IN (SELECT value FROM json_each(?))",
      JSON.stringify(digests),
    );
    return new Map(uses.map(({ digest, last }) => [digest, last]));
  }

  /** Drops the oldest uses beyond the most. */
  prune(): void {
    this.#storage.sql.exec(
      `DELETE FROM uses WHERE digest IN (SELECT digest FROM uses ORDER BY last DESC, digest LIMIT -1 OFFSET ?)`,
      this.#most,
    );
  }

  learn(references: readonly ManifestReferences[]): void {
    for (const { digest, manifests, blobs } of references) {
      const refersTo = JSON.stringify({ manifests, blobs });
      this.#storage.sql.exec("INSERT OR REPLACE INTO manifests VALUES (?, ?)", digest, refersTo);
    }
  }

  settle({ at, stored, freed, level, gone }: Settlement): void {
    const { sql } = this.#storage;
    this.#storage.transactionSync(() => {
      sql.exec("DELETE FROM stored");
      for (const { kind, visibility, bytes, objects } of stored)
        sql.exec("INSERT INTO stored VALUES (?, ?, ?, ?)", kind, visibility, bytes, objects);
      for (const digest of gone) {
        sql.exec("DELETE FROM uses WHERE digest = ?", digest);
        sql.exec("DELETE FROM manifests WHERE digest = ?", digest);
      }
      this.#setCount("at", at);
      if (freed === 0) return;
      this.#setCount("level", Math.max(level, this.#count("level") ?? 0));
      this.#setCount("evicted", freed + (this.#count("evicted") ?? 0));
    });
  }

  counted(): Counted {
    return {
      at: this.#count("at"),
      stored: this.#rows<StoredBytes>("SELECT * FROM stored"),
      evicted: this.#count("evicted") ?? 0,
    };
  }

  #count(name: string): number | null {
    return this.#rows<{ value: number }>("SELECT value FROM counts WHERE name = ?", name)[0]?.value ?? null;
  }

  #setCount(name: string, value: number): void {
    this.#storage.sql.exec("INSERT OR REPLACE INTO counts VALUES (?, ?)", name, value);
  }

  #rows<Row extends object>(query: string, ...values: unknown[]): Row[] {
    return this.#storage.sql.exec(query, ...values).toArray() as unknown as Row[];
  }
}
