/**
 * Tag records: what is remembered of a tag, in three tiers. KV has it durably and everywhere, and is written sparingly
 * (Free plan: 1,000 writes a day); isolate memory and the edge cache add when it was last confirmed.
 */

import * as v from "valibot";
import type { Digest } from "../oci/digest.ts";
import { DigestSchema } from "../oci/digest-schema.ts";
import { parseJson } from "../oci/json.ts";
import { boundedMap } from "../registry/bounded-map.ts";
import type { Visibility } from "./store.ts";

export interface TagRecord {
  digest: Digest;
  mediaType: string;
  /** Bytes of the manifest. */
  size: number;
  /** When upstream was last heard to say so; milliseconds since the epoch. */
  confirmed: number;
  /** When upstream was first heard to have deleted the tag, which is kept all the same; milliseconds since the epoch. */
  gone?: number;
}

export interface TagName {
  upstream: string;
  repository: string;
  tag: string;
  /** Records of private tags are kept apart from public ones. */
  visibility: Visibility;
}

export interface TagRecordsOptions {
  kv: KVNamespace;
  /** The edge cache, or null where there is none. */
  edge: () => Promise<Cache | null>;
  /** Milliseconds since the epoch. */
  now: () => number;
}

/**
 * An unchanged tag's record is written again when it is this old, so that "confirmed" in KV is never off by more than a
 * day: without it, a tag that has not moved for STALE_MAX could not be served when upstream fails.
 */
const REWRITE_AFTER = 24 * 3600 * 1000;
const REMEMBERED_TAGS = 5000;
/** Records on a page: each is a read, of the 50 subrequests that a request has on the Free plan. */
const LISTED = 40;
/** Milliseconds by which two machines' clocks may differ. */
const TOLERATED_SKEW = 60_000;

export class TagRecords {
  readonly #options: TagRecordsOptions;
  readonly #memory = boundedMap<string, TagRecord>(REMEMBERED_TAGS);

  constructor(options: TagRecordsOptions) {
    this.#options = options;
  }

  /** A record confirmed less than `ttl` seconds ago, from memory or the edge cache; null if neither has one. */
  async fresh(name: TagName, ttl: number): Promise<{ record: TagRecord; from: "memory" | "edge" } | null> {
    const isFresh = (record: TagRecord | null): record is TagRecord =>
      record !== null && this.age(record) < ttl * 1000;
    const key = keyOf(name);
    const remembered = this.#memory.get(key) ?? null;
    if (isFresh(remembered)) return { record: remembered, from: "memory" };
    const text = await this.#withEdge(async (edge) => (await edge.match(edgeUrl(key)))?.text());
    const record = text ? parseRecord(text) : null;
    if (!isFresh(record)) return null;
    this.#memory.set(key, record);
    return { record, from: "edge" };
  }

  /**
   * Milliseconds since upstream last confirmed the record. One from the future is as old as can be: its writer had
   * a wrong clock, and believing it would pin the tag until that day comes.
   */
  age(record: TagRecord): number {
    const age = this.#options.now() - record.confirmed;
    return age < -TOLERATED_SKEW ? Number.POSITIVE_INFINITY : Math.max(0, age);
  }

  /** Remembers a confirmed record here, for `ttl` seconds in the edge cache. */
  async remember(name: TagName, record: TagRecord, ttl: number): Promise<void> {
    const key = keyOf(name);
    this.#memory.set(key, record);
    const left = Math.floor(ttl - this.age(record) / 1000);
    if (left < 1) return;
    const headers = { "Cache-Control": `max-age=${left}`, "Content-Type": "application/json" };
    const response = new Response(JSON.stringify(record), { headers });
    await this.#withEdge((edge) => edge.put(edgeUrl(key), response));
  }

  /** The durable record; null if there is none, or KV is out of reach: then upstream is requested as for a new tag. */
  async read(name: TagName): Promise<TagRecord | null> {
    try {
      const text = await this.#options.kv.get(keyOf(name));
      return text === null ? null : parseRecord(text);
    } catch (error) {
      console.warn(`the tag records can't be read: ${error}`);
      return null;
    }
  }

  /** Durable records by name, a page at a time. @param cursor of the page before. */
  async list(
    visibility: Visibility,
    cursor: string | null,
  ): Promise<{ entries: (TagName & TagRecord)[]; cursor: string | null }> {
    const { kv } = this.#options;
    const prefix = prefixOf(visibility);
    const page = await kv.list({ prefix, limit: LISTED, ...(cursor === null ? {} : { cursor }) });
    const entries = page.keys.map(async ({ name: key }) => {
      const name = nameOf(key.slice(prefix.length), visibility);
      const text = name && (await kv.get(key));
      const record = text ? parseRecord(text) : null;
      return name && record ? [{ ...name, ...record }] : [];
    });
    return { entries: (await Promise.all(entries)).flat(), cursor: page.list_complete ? null : page.cursor };
  }

  /** Writes a record durably if it says something new. @returns whether it does. */
  async write(name: TagName, record: TagRecord, before: TagRecord | null): Promise<boolean> {
    const isKnown = before?.digest === record.digest && before.gone === record.gone;
    if (isKnown && isRecent(record.confirmed - before.confirmed)) return false;
    try {
      await this.#options.kv.put(keyOf(name), JSON.stringify(record));
    } catch (error) {
      console.warn(`a tag record can't be written: ${error}`);
    }
    return true;
  }

  /**
   * Ends a record everywhere within reach: the tag is gone upstream.
   * @param before the durable record; where there is none, nothing is deleted, since a delete counts as a write.
   */
  async end(name: TagName, before: TagRecord | null): Promise<void> {
    await this.forget(name);
    if (before === null) return;
    try {
      await this.#options.kv.delete(keyOf(name));
    } catch (error) {
      console.warn(`a tag record can't be deleted: ${error}`);
    }
  }

  /** Forgets a record in memory and the edge cache. */
  async forget(name: TagName): Promise<void> {
    const key = keyOf(name);
    this.#memory.delete(key);
    await this.#withEdge((edge) => edge.delete(edgeUrl(key)));
  }

  /** The edge cache only ever saves a question, so one that is absent or out of order is as good as an empty one. */
  async #withEdge<Result>(use: (edge: Cache) => Promise<Result>): Promise<Result | null> {
    try {
      const edge = await this.#options.edge();
      return edge && (await use(edge));
    } catch (error) {
      console.warn(`the edge cache is out of order: ${error}`);
      return null;
    }
  }
}

const WrittenRecord = v.object({
  digest: DigestSchema,
  mediaType: v.string(),
  size: v.pipe(v.number(), v.safeInteger()),
  confirmed: v.pipe(v.number(), v.finite()),
  gone: v.exactOptional(v.pipe(v.number(), v.finite())),
});

/** False also for less than nothing: then the older record has a wrong time, which must be corrected. */
function isRecent(milliseconds: number): boolean {
  return milliseconds >= 0 && milliseconds < REWRITE_AFTER;
}

function prefixOf(visibility: Visibility): string {
  return visibility === "private" ? "private/tags/" : "tags/";
}

function keyOf({ upstream, repository, tag, visibility }: TagName): string {
  return `${prefixOf(visibility)}${upstream}/${repository}/${tag}`;
}

function nameOf(key: string, visibility: Visibility): TagName | null {
  const [, upstream, repository, tag] = /^([^/]+)\/(.+)\/([^/]+)$/.exec(key) ?? [];
  return upstream && repository && tag ? { upstream, repository, tag, visibility } : null;
}

/** A name that no request can have, so that nothing outside can read or fill these entries. */
function edgeUrl(key: string): string {
  return `https://tags.portolan.invalid/${key}`;
}

/** A record as it was written; null for one of another version, or damaged. */
function parseRecord(text: string): TagRecord | null {
  return parseJson(WrittenRecord, text);
}
