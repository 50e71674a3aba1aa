/** The uploads to hosted repositories that are under way, and the parts that they have: SQL, and nothing else. */
import type { Part } from "../push/records.ts";

export interface Upload {
  repository: string;
  /** Bytes. */
  offset: number;
  /** Who appends; null before anybody has. */
  holder: string | null;
}

const TABLES = `
CREATE TABLE IF NOT EXISTS uploads (
  id TEXT PRIMARY KEY, repository TEXT NOT NULL, size INTEGER NOT NULL, holder TEXT, touched INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS uploads_by_repository ON uploads (repository);
CREATE TABLE IF NOT EXISTS parts (
  upload TEXT NOT NULL, position INTEGER NOT NULL, key TEXT NOT NULL, size INTEGER NOT NULL,
  PRIMARY KEY (upload, position)) WITHOUT ROWID;
`;

export class UploadTables {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    for (const statement of TABLES.split(";").filter((text) => text.trim() !== "")) sql.exec(statement);
  }

  start(id: string, repository: string, now: number): void {
    this.#sql.exec("INSERT INTO uploads VALUES (?, ?, 0, NULL, ?)", id, repository, now);
  }

  /** Bytes of the running uploads to repositories that match a pattern. */
  bytes(pattern: string): number {
    const [row] = this.#rows<{ bytes: number | null }>(
      "SELECT sum(size) AS bytes FROM uploads WHERE repository GLOB ?",
      pattern,
    );
    return row?.bytes ?? 0;
  }

  /** How many uploads to a repository run. */
  count(repository: string): number {
    const [row] = this.#rows<{ count: number }>(
      "SELECT count(*) AS count FROM uploads WHERE repository = ?",
      repository,
    );
    return row?.count ?? 0;
  }

  find(id: string): Upload | null {
    const [row] = this.#rows<{ repository: string; offset: number; holder: string | null }>(
      "SELECT repository, size AS offset, holder FROM uploads WHERE id = ?",
      id,
    );
    return row ?? null;
  }

  claim(id: string, holder: string, now: number): void {
    this.#sql.exec("UPDATE uploads SET holder = ?, touched = ? WHERE id = ?", holder, now, id);
  }

  addPart(id: string, { key, size }: Part, now: number): void {
    this.#sql.exec(
      "INSERT INTO parts SELECT ?1, coalesce(max(position) + 1, 0), ?2, ?3 FROM parts WHERE upload = ?1",
      id,
      key,
      size,
    );
    this.#sql.exec("UPDATE uploads SET size = size + ?, touched = ? WHERE id = ?", size, now, id);
  }

  parts(id: string): Part[] {
    return this.#rows<{ key: string; size: number }>(
      "SELECT key, size FROM parts WHERE upload = ? ORDER BY position",
      id,
    );
  }

  forget(id: string): void {
    this.#sql.exec("DELETE FROM parts WHERE upload = ?", id);
    this.#sql.exec("DELETE FROM uploads WHERE id = ?", id);
  }

  before(before: number): string[] {
    return this.#rows<{ id: string }>("SELECT id FROM uploads WHERE touched < ?", before).map(({ id }) => id);
  }

  isEmpty(): boolean {
    return this.#rows("SELECT 1 FROM uploads LIMIT 1").length === 0;
  }

  #rows<Row extends Record<string, SqlStorageValue>>(query: string, ...values: unknown[]): Row[] {
    return this.#sql.exec<Row>(query, ...values).toArray();
  }
}
