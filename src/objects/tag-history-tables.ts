/** The tables of the ledger's object that keep what tags were seen to name. */
import { type Digest, parseDigest } from "../oci/digest.ts";
import type { Visibility } from "../store/store.ts";
import type {
  DeletedTag,
  NamedManifest,
  PastName,
  ReleasedDigest,
  TagHistoryEntry,
  TagMove,
  TagPast,
  TagSighting,
} from "../store/tag-history.ts";
import type { TagName } from "../store/tag-records.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
/** Tags that are recorded. Further ones aren't until others are dropped, so that no flood of tags drives out a tag's past. */
const MOST_TAGS = 50_000;
/** What a tag named, each time. Beyond so many, only the last of each day is kept. */
const MOST_NAMES = 100;
/** Milliseconds for which history is kept: of a tag since it was last seen, and of what it named since it was replaced. */
const KEPT = 400 * DAY;

/** An empty digest says that the tag was deleted; `before` is what the tag named until then, null where it wasn't known. */
const TABLES = [
  `CREATE TABLE IF NOT EXISTS history_tags (
    id INTEGER PRIMARY KEY, upstream TEXT NOT NULL, repository TEXT NOT NULL, tag TEXT NOT NULL, visibility TEXT NOT NULL,
    checked INTEGER NOT NULL, UNIQUE (upstream, repository, tag, visibility))`,
  `CREATE TABLE IF NOT EXISTS history_names (
    id INTEGER PRIMARY KEY AUTOINCREMENT, tag INTEGER NOT NULL, seen INTEGER NOT NULL, digest TEXT NOT NULL,
    media_type TEXT NOT NULL, size INTEGER NOT NULL, before TEXT)`,
  "CREATE INDEX IF NOT EXISTS history_by_tag ON history_names (tag, seen)",
  "CREATE INDEX IF NOT EXISTS history_deleted ON history_names (seen) WHERE digest = ''",
  "CREATE INDEX IF NOT EXISTS history_moves ON history_names (id) WHERE before IS NOT NULL",
  `CREATE TABLE IF NOT EXISTS history_released (
    tag INTEGER NOT NULL, digest TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (tag, digest)) WITHOUT ROWID`,
];

interface NameRow {
  seen: number;
  digest: string;
  media_type: string;
  size: number;
}

interface TagRow {
  id: number;
  upstream: string;
  repository: string;
  tag: string;
  visibility: Visibility;
  checked: number;
}

export class TagHistoryTables {
  readonly #sql: SqlStorage;
  readonly #most: number;
  #tags: number | null = null;

  /** @param most tags that are recorded. */
  constructor(sql: SqlStorage, most = MOST_TAGS) {
    this.#sql = sql;
    this.#most = most;
    for (const table of TABLES) sql.exec(table);
  }

  /** Records a sighting where it says something new. @returns the move, if the tag named something else before. */
  see({ name, named, at }: TagSighting): TagMove | null {
    const tag = this.#tagOf(name) ?? (named && this.#addTag(name, at));
    if (!tag) return null;
    // A row written for each sighting would be one for each pull.
    if (at - tag.checked >= HOUR)
      this.#sql.exec("UPDATE history_tags SET checked = ? WHERE id = ?", at, tag.id);
    const [last] = this.#rows<NameRow>(
      "SELECT seen, digest, media_type, size FROM history_names WHERE tag = ? AND seen <= ? ORDER BY seen DESC, id DESC LIMIT 1",
      ...[tag.id, at],
    );
    const digest = named?.digest ?? "";
    if (last?.digest === digest) return null;
    const before = last?.digest ?? null;
    const [added] = this.#rows<{ id: number }>(
      "INSERT INTO history_names (tag, seen, digest, media_type, size, before) VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
      ...[tag.id, at, digest, named?.mediaType ?? "", named?.size ?? 0, before],
    );
    this.#sql.exec("UPDATE history_tags SET checked = max(checked, ?) WHERE id = ?", at, tag.id);
    this.#thin(tag.id);
    if (!added || before === null) return null;
    return { ...name, id: added.id, at, digest: parseDigest(digest), before: parseDigest(before) };
  }

  pastOf(name: TagName): TagPast {
    const tag = this.#tagOf(name);
    return tag ? this.#past(tag.id) : { names: [], released: [] };
  }

  /** The tags of a repository, by name. @param tag null for all. */
  entries(
    { upstream, repository }: { upstream: string; repository: string },
    tag: string | null,
    most: number,
  ): TagHistoryEntry[] {
    const rows = this.#rows<TagRow>(
      `SELECT * FROM history_tags WHERE upstream = ? AND repository = ? AND (tag = ? OR ? IS NULL)
       ORDER BY tag, visibility LIMIT ?`,
      ...[upstream, repository, tag, tag, most],
    );
    return rows.map(({ id, ...row }) => ({ ...row, ...this.#past(id) }));
  }

  moves(most: number): TagMove[] {
    const rows = this.#rows<TagName & { id: number; at: number; digest: string; before: string }>(
      `SELECT history_names.id AS id, upstream, repository, history_tags.tag AS tag, visibility, seen AS at, digest, before
       FROM history_names JOIN history_tags ON history_tags.id = history_names.tag
       WHERE before IS NOT NULL ORDER BY history_names.id DESC LIMIT ?`,
      most,
    );
    return rows.map((row) => ({ ...row, digest: parseDigest(row.digest), before: parseDigest(row.before) }));
  }

  deletedTags(most: number): DeletedTag[] {
    return this.#rows(
      `SELECT upstream, repository, history_tags.tag AS tag, visibility, before AS digest, seen AS at
       FROM history_names JOIN history_tags ON history_tags.id = history_names.tag
       WHERE digest = '' AND before <> '' AND NOT EXISTS (
         SELECT 1 FROM history_names AS later
         WHERE later.tag = history_names.tag AND later.seen > history_names.seen)
       ORDER BY seen DESC LIMIT ?`,
      most,
    );
  }

  release(name: TagName, at: number): Digest | null {
    const tag = this.#tagOf(name);
    const digest = tag && this.#past(tag.id).names.findLast(({ named }) => named)?.named?.digest;
    if (!digest) return null;
    this.#sql.exec(
      "INSERT INTO history_released VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
      tag.id,
      digest,
      at,
    );
    return digest;
  }

  undoRelease(name: TagName): number {
    const tag = this.#tagOf(name);
    return this.#rows("DELETE FROM history_released WHERE tag = ? RETURNING digest", tag?.id ?? null).length;
  }

  releases(): (TagName & ReleasedDigest)[] {
    return this.#rows(
      `SELECT upstream, repository, history_tags.tag AS tag, visibility, digest, at
       FROM history_released JOIN history_tags ON history_tags.id = history_released.tag ORDER BY at DESC`,
    );
  }

  /** Drops what is older than it is kept. What a tag named at the oldest time that is kept stays. */
  prune(now: number): void {
    const end = now - KEPT;
    this.#sql.exec("DELETE FROM history_tags WHERE checked < ?", end);
    this.#sql.exec("DELETE FROM history_names WHERE tag NOT IN (SELECT id FROM history_tags)");
    this.#sql.exec("DELETE FROM history_released WHERE tag NOT IN (SELECT id FROM history_tags)");
    this.#sql.exec(
      `DELETE FROM history_names WHERE seen < ? AND EXISTS (
         SELECT 1 FROM history_names AS later
         WHERE later.tag = history_names.tag AND later.seen > history_names.seen AND later.seen <= ?)`,
      ...[end, end],
    );
    this.#tags = null;
  }

  /** Beyond the most, leaves the last of each day, by which any day can be shown and whatever was old enough stays so. */
  #thin(tag: number): void {
    const [{ count = 0 } = {}] = this.#rows<{ count: number }>(
      "SELECT count(*) AS count FROM history_names WHERE tag = ?",
      tag,
    );
    if (count <= MOST_NAMES) return;
    this.#sql.exec(
      `DELETE FROM history_names WHERE tag = ? AND EXISTS (
         SELECT 1 FROM history_names AS later
         WHERE later.tag = history_names.tag AND later.seen > history_names.seen
           AND later.seen / ${DAY} = history_names.seen / ${DAY})`,
      tag,
    );
  }

  #past(tag: number): TagPast {
    const names = this.#rows<NameRow>(
      "SELECT seen, digest, media_type, size FROM history_names WHERE tag = ? ORDER BY seen, id",
      tag,
    ).map(({ seen, ...row }): PastName => ({ named: manifestOf(row), from: seen }));
    const released = this.#rows<ReleasedDigest>("SELECT digest, at FROM history_released WHERE tag = ?", tag);
    return { names, released };
  }

  #tagOf({ upstream, repository, tag, visibility }: TagName): { id: number; checked: number } | null {
    const rows = this.#rows<{ id: number; checked: number }>(
      "SELECT id, checked FROM history_tags WHERE upstream = ? AND repository = ? AND tag = ? AND visibility = ?",
      ...[upstream, repository, tag, visibility],
    );
    return rows[0] ?? null;
  }

  #addTag(
    { upstream, repository, tag, visibility }: TagName,
    at: number,
  ): { id: number; checked: number } | null {
    this.#tags ??= this.#rows<{ count: number }>("SELECT count(*) AS count FROM history_tags")[0]?.count ?? 0;
    if (this.#tags >= this.#most) return null;
    this.#tags++;
    const [added] = this.#rows<{ id: number; checked: number }>(
      "INSERT INTO history_tags (upstream, repository, tag, visibility, checked) VALUES (?, ?, ?, ?, ?) RETURNING id, checked",
      ...[upstream, repository, tag, visibility, at],
    );
    return added ?? null;
  }

  #rows<Row extends object>(query: string, ...values: unknown[]): Row[] {
    return this.#sql.exec(query, ...values).toArray() as unknown as Row[];
  }
}

function manifestOf({
  digest: text,
  media_type: mediaType,
  size,
}: Omit<NameRow, "seen">): NamedManifest | null {
  const digest: Digest | null = parseDigest(text);
  return digest && { digest, mediaType, size };
}
