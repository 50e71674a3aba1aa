/**
 * Content that no repository has any more, or ever had, and that is stored until it is collected, with the repositories that it
 * came from: it counts for their quota, or a client that deletes what it pushes could fill the store. SQL, and nothing else.
 */
import type { Digest } from "../oci/digest.ts";
import type { ContentKind } from "../store/store.ts";

const TABLE = `
CREATE TABLE IF NOT EXISTS leaving (
  kind TEXT NOT NULL, digest TEXT NOT NULL, repository TEXT NOT NULL,
  PRIMARY KEY (kind, digest, repository)) WITHOUT ROWID`;

export class LeavingTable {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(TABLE);
  }

  /** A repository has lost content, or didn't get it. It counts there unless another one has it. */
  add(kind: ContentKind, digest: Digest, repository: string): void {
    // The table is one of two names.
    this.#sql.exec(
      `INSERT OR IGNORE INTO leaving SELECT ?1, ?2, ?3 WHERE NOT EXISTS (SELECT 1 FROM ${kind} WHERE digest = ?2)`,
      kind,
      digest,
      repository,
    );
  }

  /** A repository has the content, or it is no longer stored. */
  remove(kind: ContentKind, digest: Digest): void {
    this.#sql.exec("DELETE FROM leaving WHERE kind = ? AND digest = ?", kind, digest);
  }
}
