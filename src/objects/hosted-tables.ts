/** The tables in which the records of hosted repositories are kept: SQL, and nothing else. All of it is synchronous. */
import type { Digest } from "../oci/digest.ts";
import type {
  ManifestRecord,
  NewManifest,
  Page,
  Referrer,
  ReferrerPlace,
  ReferrersPage,
} from "../push/records.ts";
import type { TagTime } from "../push/retention.ts";
import type { Reference } from "../push/target.ts";
import type { ContentKind } from "../store/store.ts";
import { LeavingTable } from "./leaving-table.ts";

/** Content that is, was or is about to be stored. */
export interface Content {
  kind: ContentKind;
  digest: Digest;
  size: number;
}

/** Bytes of a manifest's annotations, as JSON, that are kept for lists: a row of a Durable Object has 2 MB at most. */
const MOST_ANNOTATIONS = 1024 * 1024;

const TABLES = `
CREATE TABLE IF NOT EXISTS contents (
  kind TEXT NOT NULL, digest TEXT NOT NULL, size INTEGER NOT NULL, reserved_until INTEGER NOT NULL,
  PRIMARY KEY (kind, digest)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS blobs (
  repository TEXT NOT NULL, digest TEXT NOT NULL, touched INTEGER NOT NULL,
  PRIMARY KEY (repository, digest)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS blobs_by_digest ON blobs (digest);
CREATE TABLE IF NOT EXISTS manifests (
  repository TEXT NOT NULL, digest TEXT NOT NULL, media_type TEXT NOT NULL, size INTEGER NOT NULL,
  subject TEXT, artifact_type TEXT, annotations TEXT NOT NULL, pushed INTEGER NOT NULL,
  PRIMARY KEY (repository, digest)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS manifests_by_digest ON manifests (digest);
CREATE INDEX IF NOT EXISTS manifests_by_subject ON manifests (repository, subject, pushed, digest);
CREATE TABLE IF NOT EXISTS needs (
  repository TEXT NOT NULL, manifest TEXT NOT NULL, kind TEXT NOT NULL, digest TEXT NOT NULL,
  PRIMARY KEY (repository, manifest, kind, digest)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS needs_by_digest ON needs (repository, kind, digest);
CREATE TABLE IF NOT EXISTS tags (
  repository TEXT NOT NULL, tag TEXT NOT NULL, digest TEXT NOT NULL, updated INTEGER NOT NULL,
  PRIMARY KEY (repository, tag)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS tags_by_digest ON tags (repository, digest);
CREATE TABLE IF NOT EXISTS released (
  repository TEXT NOT NULL, digest TEXT NOT NULL, since INTEGER NOT NULL,
  PRIMARY KEY (repository, digest)) WITHOUT ROWID;
`;

export class HostedTables {
  readonly #sql: SqlStorage;
  readonly #leaving: LeavingTable;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    this.#leaving = new LeavingTable(sql);
    for (const statement of TABLES.split(";").filter((text) => text.trim() !== "")) sql.exec(statement);
  }

  #rows<Row extends Record<string, SqlStorageValue>>(query: string, ...values: unknown[]): Row[] {
    return this.#sql.exec<Row>(query, ...values).toArray();
  }

  /** @returns the number of rows that were changed. */
  #change(query: string, ...values: unknown[]): number {
    return this.#sql.exec(query, ...values).rowsWritten;
  }

  // Content

  /** @param until milliseconds since the epoch before which it isn't collected. */
  reserve(kind: ContentKind, digest: Digest, until: number): void {
    this.#sql.exec(
      `INSERT INTO contents VALUES (?, ?, 0, ?) ON CONFLICT DO UPDATE SET reserved_until = max(reserved_until, excluded.reserved_until)`,
      kind,
      digest,
      until,
    );
  }

  setSize({ kind, digest, size }: Content): void {
    this.#sql.exec("UPDATE contents SET size = ? WHERE kind = ? AND digest = ?", size, kind, digest);
  }

  /** Content that no repository has, and that isn't reserved. @param limit rows at most. */
  orphans(now: number, limit: number): Content[] {
    return this.#rows<{ kind: ContentKind; digest: Digest; size: number }>(
      `SELECT kind, digest, size FROM contents AS c WHERE reserved_until < ?
         AND NOT EXISTS (SELECT 1 FROM blobs WHERE c.kind = 'blobs' AND digest = c.digest)
         AND NOT EXISTS (SELECT 1 FROM manifests WHERE c.kind = 'manifests' AND digest = c.digest)
       LIMIT ?`,
      now,
      limit,
    );
  }

  /** Bytes of the content that no manifest needs, whether or not a repository has it. */
  unreferenced(): number {
    const [row] = this.#rows<{ bytes: number | null }>(
      `SELECT sum(size) AS bytes FROM contents AS c WHERE CASE kind
         WHEN 'manifests' THEN NOT EXISTS (SELECT 1 FROM manifests WHERE digest = c.digest)
         ELSE NOT EXISTS (SELECT 1 FROM blobs AS b JOIN needs AS n
           ON n.repository = b.repository AND n.kind = 'blobs' AND n.digest = b.digest WHERE b.digest = c.digest) END`,
    );
    return row?.bytes ?? 0;
  }

  forgetContent({ kind, digest }: Omit<Content, "size">): void {
    this.#sql.exec("DELETE FROM contents WHERE kind = ? AND digest = ?", kind, digest);
    this.#leaving.remove(kind, digest);
  }

  /** Content is stored that a repository was to have, and doesn't get. */
  refuse(repository: string, content: Content): void {
    this.setSize(content);
    this.#leaving.add(content.kind, content.digest, repository);
  }

  // Blobs of a repository

  /** Bytes; null where the repository doesn't have it. */
  blobSize(repository: string, digest: Digest): number | null {
    const [row] = this.#rows<{ size: number }>(
      `SELECT size FROM blobs JOIN contents ON contents.kind = 'blobs' AND contents.digest = blobs.digest
       WHERE repository = ? AND blobs.digest = ?`,
      repository,
      digest,
    );
    return row?.size ?? null;
  }

  repositoriesWith(digest: Digest, limit: number): string[] {
    return this.#rows<{ repository: string }>(
      "SELECT repository FROM blobs WHERE digest = ? LIMIT ?",
      digest,
      limit,
    ).map(({ repository }) => repository);
  }

  link(repository: string, digest: Digest, now: number): void {
    this.#sql.exec("INSERT OR REPLACE INTO blobs VALUES (?, ?, ?)", repository, digest, now);
    this.#leaving.remove("blobs", digest);
  }

  /** A client that looks for a blob may rely on it in the manifest that it pushes next. */
  touch(repository: string, digest: Digest, now: number, atMostEvery: number): void {
    this.#sql.exec(
      "UPDATE blobs SET touched = ? WHERE repository = ? AND digest = ? AND touched < ?",
      now,
      repository,
      digest,
      now - atMostEvery,
    );
  }

  unlink(repository: string, digest: Digest): boolean {
    const changed = this.#change("DELETE FROM blobs WHERE repository = ? AND digest = ?", repository, digest);
    if (changed > 0) this.#leaving.add("blobs", digest, repository);
    return changed > 0;
  }

  blobsOf(repository: string): Digest[] {
    return this.#rows<{ digest: Digest }>("SELECT digest FROM blobs WHERE repository = ?", repository).map(
      ({ digest }) => digest,
    );
  }

  /** Blobs that no manifest of their repository needs, and that were last touched before. */
  unneeded(before: number, limit: number): { repository: string; digest: Digest }[] {
    return this.#rows<{ repository: string; digest: Digest }>(
      `SELECT repository, digest FROM blobs AS b WHERE touched < ? AND NOT EXISTS
         (SELECT 1 FROM needs WHERE repository = b.repository AND kind = 'blobs' AND digest = b.digest)
       LIMIT ?`,
      before,
      limit,
    );
  }

  /**
   * Bytes of the distinct content of all repositories that a pattern matches, and of what they had until it is collected.
   * @param pattern with `*` for any text. What doesn't begin as it does isn't read.
   * @param besides content that isn't counted.
   */
  bytesOf(pattern: string, besides: Digest | null): number {
    const [row] = this.#rows<{ bytes: number | null }>(
      `WITH counted AS (
         SELECT 'blobs' AS kind, digest FROM blobs WHERE repository GLOB ?1 UNION
         SELECT 'manifests', digest FROM manifests WHERE repository GLOB ?1 UNION
         SELECT kind, digest FROM leaving WHERE repository GLOB ?1)
       SELECT sum(size) AS bytes FROM counted JOIN contents USING (kind, digest) WHERE digest IS NOT ?2`,
      pattern,
      besides,
    );
    return row?.bytes ?? 0;
  }

  // Manifests and tags

  manifest(repository: string, reference: Reference): ManifestRecord | null {
    const digest = "digest" in reference ? reference.digest : this.tagged(repository, reference.tag);
    const [row] = this.#rows<{ digest: Digest; mediaType: string; size: number }>(
      "SELECT digest, media_type AS mediaType, size FROM manifests WHERE repository = ? AND digest = ?",
      repository,
      digest,
    );
    return row ?? null;
  }

  tagged(repository: string, tag: string): Digest | null {
    const [row] = this.#rows<{ digest: Digest }>(
      "SELECT digest FROM tags WHERE repository = ? AND tag = ?",
      repository,
      tag,
    );
    return row?.digest ?? null;
  }

  putManifest(repository: string, manifest: NewManifest, tags: readonly string[], now: number): void {
    const { digest, mediaType, size, subject, artifactType, annotations, references } = manifest;
    this.#sql.exec(
      "INSERT OR REPLACE INTO manifests VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
      repository,
      digest,
      mediaType,
      size,
      subject,
      artifactType,
      keptAnnotations(annotations),
      now,
    );
    for (const { kind, digest: needed } of references) {
      this.#sql.exec("INSERT OR IGNORE INTO needs VALUES (?, ?, ?, ?)", repository, digest, kind, needed);
    }
    this.#sql.exec("DELETE FROM released WHERE repository = ? AND digest = ?", repository, digest);
    this.#leaving.remove("manifests", digest);
    for (const tag of tags) {
      this.#sql.exec("INSERT OR REPLACE INTO tags VALUES (?, ?, ?, ?)", repository, tag, digest, now);
    }
  }

  deleteTag(repository: string, tag: string): boolean {
    return this.#change("DELETE FROM tags WHERE repository = ? AND tag = ?", repository, tag) > 0;
  }

  /** Deletes a manifest with its tags; the blobs that only it needed are touched, so that their time begins now. */
  deleteManifest(repository: string, digest: Digest, now: number): boolean {
    this.#sql.exec(
      `UPDATE blobs SET touched = ?3 WHERE repository = ?1 AND digest IN
         (SELECT digest FROM needs WHERE repository = ?1 AND manifest = ?2 AND kind = 'blobs')`,
      repository,
      digest,
      now,
    );
    this.#sql.exec("DELETE FROM needs WHERE repository = ? AND manifest = ?", repository, digest);
    this.#sql.exec("DELETE FROM tags WHERE repository = ? AND digest = ?", repository, digest);
    this.#sql.exec("DELETE FROM released WHERE repository = ? AND digest = ?", repository, digest);
    const query = "DELETE FROM manifests WHERE repository = ? AND digest = ?";
    const changed = this.#change(query, repository, digest);
    if (changed > 0) this.#leaving.add("manifests", digest, repository);
    return changed > 0;
  }

  // Retention

  taggedRepositories(): string[] {
    return this.#rows<{ repository: string }>("SELECT DISTINCT repository FROM tags").map(
      ({ repository }) => repository,
    );
  }

  tagTimes(repository: string): TagTime[] {
    return this.#rows<{ tag: string; digest: Digest; updated: number }>(
      "SELECT tag, digest, updated FROM tags WHERE repository = ?",
      repository,
    );
  }

  /** Notes that a manifest has lost its last tag, with those that it needs or that refer to it: who else has them is seen later. */
  release(repository: string, digest: Digest, now: number): void {
    this.#sql.exec(
      `WITH RECURSIVE lost(digest) AS (SELECT ?2 UNION
         SELECT n.digest FROM lost JOIN needs AS n
           ON n.repository = ?1 AND n.manifest = lost.digest AND n.kind = 'manifests' UNION
         SELECT m.digest FROM lost JOIN manifests AS m ON m.repository = ?1 AND m.subject = lost.digest)
       INSERT OR IGNORE INTO released SELECT ?1, digest, ?3 FROM lost`,
      repository,
      digest,
      now,
    );
  }

  /** A client that looks for a manifest may rely on it. */
  touchReleased(repository: string, digest: Digest, now: number, atMostEvery: number): void {
    this.#sql.exec(
      "UPDATE released SET since = ? WHERE repository = ? AND digest = ? AND since < ?",
      now,
      repository,
      digest,
      now - atMostEvery,
    );
  }

  /** Manifests that were released before, and that no tag, no index and no subject in their repository has. */
  unheld(before: number): { repository: string; digest: Digest }[] {
    this.#sql.exec(
      "DELETE FROM released AS r WHERE EXISTS (SELECT 1 FROM tags WHERE repository = r.repository AND digest = r.digest)",
    );
    return this.#rows<{ repository: string; digest: Digest }>(
      `SELECT repository, digest FROM released AS r WHERE since < ?
         AND NOT EXISTS (SELECT 1 FROM needs WHERE repository = r.repository AND kind = 'manifests' AND digest = r.digest)
         AND NOT EXISTS (SELECT 1 FROM manifests AS m JOIN manifests AS s ON s.repository = m.repository AND s.digest = m.subject
           WHERE m.repository = r.repository AND m.digest = r.digest)`,
      before,
    );
  }

  hasRepository(repository: string): boolean {
    const [row] = this.#rows<{ known: number }>(
      `SELECT EXISTS (SELECT 1 FROM manifests WHERE repository = ?1)
           OR EXISTS (SELECT 1 FROM blobs WHERE repository = ?1) AS known`,
      repository,
    );
    return row?.known === 1;
  }

  tags(repository: string, { last, limit }: Page): string[] {
    return this.#rows<{ tag: string }>(
      "SELECT tag FROM tags WHERE repository = ? AND tag > ? ORDER BY tag LIMIT ?",
      repository,
      last ?? "",
      limit,
    ).map(({ tag }) => tag);
  }

  /** Repositories that have a manifest. */
  repositories({ last, limit }: Page): string[] {
    return this.#rows<{ repository: string }>(
      "SELECT DISTINCT repository FROM manifests WHERE repository > ? ORDER BY repository LIMIT ?",
      last ?? "",
      limit,
    ).map(({ repository }) => repository);
  }

  /** Without their annotations. @param limit rows at most. */
  referrers(
    repository: string,
    subject: Digest,
    { artifactType, after }: ReferrersPage,
    limit: number,
  ): ReferrerPlace[] {
    return this.#rows<{ pushed: number; digest: Digest }>(
      `SELECT pushed, digest FROM manifests WHERE repository = ?1 AND subject = ?2 AND (pushed, digest) > (?3, ?4)
         AND (?5 IS NULL OR artifact_type = ?5)
       ORDER BY pushed, digest LIMIT ?6`,
      repository,
      subject,
      after?.pushed ?? 0,
      after?.digest ?? "",
      artifactType,
      limit,
    );
  }

  /** A manifest as lists of referrers have it. */
  referrer(repository: string, digest: Digest): Referrer {
    const { artifactType, annotations, ...descriptor } = this.#sql
      .exec<{ mediaType: string; size: number; artifactType: string | null; annotations: string }>(
        `SELECT media_type AS mediaType, size, artifact_type AS artifactType, annotations FROM manifests
         WHERE repository = ? AND digest = ?`,
        repository,
        digest,
      )
      .one();
    return {
      ...{ ...descriptor, digest },
      ...(artifactType === null ? {} : { artifactType }),
      ...(annotations === "{}" ? {} : { annotations: JSON.parse(annotations) }),
    };
  }

  isEmpty(): boolean {
    const [row] = this.#rows<{ any: number }>("SELECT EXISTS (SELECT 1 FROM contents) AS any");
    return row?.any === 0;
  }
}

function keptAnnotations(annotations: Record<string, string>): string {
  const text = JSON.stringify(annotations);
  return byteLength(text) > MOST_ANNOTATIONS ? "{}" : text;
}

/** Bytes of a text in UTF-8. */
export function byteLength(text: string): number {
  return new TextEncoder().encode(text).byteLength;
}
