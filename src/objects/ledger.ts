/**
 * The Durable Object that keeps what the requests were, minutes for a day, hours for a month, days for a year, then one sum;
 * what the mirror did besides; which digests are recalled; what content is used, and who pulled it; what tags named, and which are watched; and the
 * access keys that the owner has made.
 */
import { DurableObject } from "cloudflare:workers";
import type { WrittenKey } from "../access/key-list.ts";
import { type Activity, NO_ACTIVITY } from "../ledger/activity.ts";
import type { Counted, HoldingsIndex, HoldingsLedger, Settlement, TagPage } from "../ledger/cached.ts";
import type { KeyLedger, KeyList } from "../ledger/managed-keys.ts";
import type { DigestTrace, PullLedger } from "../ledger/pulls.ts";
import { tightQuotas, type Usage, type UsageLedger } from "../ledger/quotas.ts";
import type { Recalled, RecallLedger } from "../ledger/recalls.ts";
import { type ManifestName, type ManifestReferences, readReferences } from "../ledger/references.ts";
import type { LedgerBatch, Traffic, TrafficAt, TrafficLedger } from "../ledger/traffic.ts";
import type { WatchChoice, WatchedTag, WatchLedger, WatchResult } from "../ledger/watch.ts";
import type { Digest } from "../oci/digest.ts";
import { waitUntilOf } from "../pull/wait-until.ts";
import { type Env, servicesOf } from "../services.ts";
import type { Visibility } from "../store/store.ts";
import {
  type DeletedTag,
  decide,
  type HistoryDecision,
  type HistoryRules,
  type ReleasedDigest,
  type TagHistory,
  type TagHistoryEntry,
  type TagMove,
  type TagSighting,
} from "../store/tag-history.ts";
import type { TagName, TagRecord } from "../store/tag-records.ts";
import { ActivityTables } from "./activity-tables.ts";
import { HoldingsTables } from "./holdings-tables.ts";
import { StoredKeyList } from "./key-list.ts";
import { PullTable } from "./pull-table.ts";
import { TagHistoryTables } from "./tag-history-tables.ts";
import { UsageTable } from "./usage-table.ts";
import { WatchTable } from "./watch-table.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Milliseconds of a span, and for how many milliseconds it is kept. What is older goes into the next one. */
const SPANS = [
  { span: MINUTE, kept: DAY },
  { span: HOUR, kept: 31 * DAY },
  { span: DAY, kept: 366 * DAY },
] as const;
/** Tags of a repository that are listed. */
const LISTED_TAGS = 500;
/** Moves of tags that are listed. */
const LISTED_MOVES = 100;
/** Tags that were deleted upstream, of those that are listed. */
const LISTED_DELETED = 1_000;
/** Upstreams beside the configured ones whose traffic is counted by name: clients choose which members of a family there are. */
const MEMBERS = 500;
/** The span of what is older than all of them. */
const EVER = 0;

const TABLE = `CREATE TABLE IF NOT EXISTS traffic (
  span INTEGER NOT NULL, start INTEGER NOT NULL, upstream TEXT NOT NULL, kind TEXT NOT NULL, served TEXT NOT NULL,
  status INTEGER NOT NULL, requests INTEGER NOT NULL, bytes INTEGER NOT NULL,
  PRIMARY KEY (span, start, upstream, kind, served, status)) WITHOUT ROWID`;
const RECALLED =
  "CREATE TABLE IF NOT EXISTS recalled (digest TEXT PRIMARY KEY, reason TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID";
const ADDED =
  "ON CONFLICT DO UPDATE SET requests = requests + excluded.requests, bytes = bytes + excluded.bytes";

export class Ledger
  extends DurableObject<Env>
  implements
    TrafficLedger,
    RecallLedger,
    HoldingsLedger,
    TagHistory,
    KeyLedger,
    WatchLedger,
    PullLedger,
    UsageLedger
{
  readonly #sql = this.ctx.storage.sql;
  readonly #keys = new StoredKeyList(this.ctx.storage, this.env.TAGS);
  readonly #holdings = new HoldingsTables(this.ctx.storage);
  readonly #activity = new ActivityTables(this.#sql);
  readonly #tags = new TagHistoryTables(this.#sql);
  readonly #watched = new WatchTable(this.#sql);
  readonly #pulls = new PullTable(this.#sql);
  readonly #usage = new UsageTable(this.#sql);
  #members: Set<string> | null = null;

  constructor(context: DurableObjectState, env: Env) {
    super(context, env);
    this.#sql.exec(TABLE);
    this.#sql.exec(RECALLED);
  }

  async add(
    {
      traffic = [],
      uses = [],
      pulls = [],
      operations = [],
      activity = NO_ACTIVITY,
      sightings = [],
    }: LedgerBatch,
    at: number,
  ): Promise<boolean> {
    const start = at - (at % MINUTE);
    for (const { upstream, kind, served, status, requests, bytes } of traffic) {
      this.#sql.exec(
        `INSERT INTO traffic VALUES (?, ?, ?, ?, ?, ?, ?, ?) ${ADDED}`,
        ...[MINUTE, start, this.#counted(upstream), kind, served, status, requests, bytes],
      );
    }
    const requests = traffic.reduce((sum, each) => sum + each.requests, 0);
    this.#usage.add([...operations, { operation: "requests", count: requests }], at);
    const hasRoom = !servicesOf(this.env).hasQuotas || tightQuotas(this.#usage.usage(at)).length === 0;
    if (hasRoom) {
      this.#holdings.use(uses, at);
      this.#pulls.add(pulls, at);
    }
    this.#activity.add(activity);
    this.#see(sightings);
    if ((await this.ctx.storage.getAlarm()) === null) await this.ctx.storage.setAlarm(at + HOUR);
    return hasRoom;
  }

  async decide(name: TagName, rules: HistoryRules, sighting: TagSighting | null): Promise<HistoryDecision> {
    if (sighting) this.#see([sighting]);
    const past = this.#tags.pastOf(name);
    // Where there is no room for another tag it stays one at first sight, so that no flood of tags denies all others.
    const isUnrecorded = past.names.length === 0 && sighting?.named;
    return decide(
      isUnrecorded ? { ...past, names: [{ named: sighting.named, from: sighting.at }] } : past,
      rules,
    );
  }

  async tagHistory(
    repository: { upstream: string; repository: string },
    tag: string | null,
  ): Promise<TagHistoryEntry[]> {
    return this.#tags.entries(repository, tag, LISTED_TAGS);
  }

  async moves(): Promise<TagMove[]> {
    return this.#tags.moves(LISTED_MOVES);
  }

  async deletedTags(): Promise<DeletedTag[]> {
    return this.#tags.deletedTags(LISTED_DELETED);
  }

  async release(name: TagName, at: number): Promise<Digest | null> {
    return this.#tags.release(name, at);
  }

  async undoRelease(name: TagName): Promise<number> {
    return this.#tags.undoRelease(name);
  }

  async releases(): Promise<(TagName & ReleasedDigest)[]> {
    return this.#tags.releases();
  }

  async totals(): Promise<Traffic[]> {
    return this.#rows<Traffic>(
      "SELECT upstream, kind, served, status, sum(requests) AS requests, sum(bytes) AS bytes FROM traffic GROUP BY 1, 2, 3, 4",
    );
  }

  async activity(): Promise<Activity> {
    return this.#activity.all();
  }

  async since(since: number): Promise<TrafficAt[]> {
    return this.#rows<TrafficAt>(
      "SELECT start, upstream, kind, served, status, requests, bytes FROM traffic WHERE start >= ? AND span <> ? ORDER BY start",
      since,
      EVER,
    );
  }

  async index(): Promise<HoldingsIndex> {
    return this.#holdings.index();
  }

  async lastUses(digests: readonly Digest[]): Promise<Map<Digest, number>> {
    return this.#holdings.lastUses(digests);
  }

  async learn(names: ManifestName[]): Promise<ManifestReferences[]> {
    const references = await readReferences(servicesOf(this.env).store, names);
    this.#holdings.learn(references);
    return references;
  }

  tagPage(visibility: Visibility, cursor: string | null): Promise<TagPage> {
    return servicesOf(this.env).tags.list(visibility, cursor);
  }

  async endTags(tags: readonly (TagName & TagRecord)[]): Promise<void> {
    const { tags: records } = servicesOf(this.env);
    await Promise.all(
      tags.map(async (tag) => {
        // A tag that was pulled meanwhile has another record, or its content again.
        const record = await records.read(tag);
        if (record?.digest === tag.digest && record.confirmed === tag.confirmed)
          await records.end(tag, record);
      }),
    );
  }

  async settle(settlement: Settlement): Promise<void> {
    this.#holdings.settle(settlement);
  }

  async counted(): Promise<Counted> {
    return this.#holdings.counted();
  }

  async traceOf(digest: Digest): Promise<DigestTrace> {
    return this.#pulls.traceOf(digest);
  }

  async usage(at: number): Promise<Usage> {
    return this.#usage.usage(at);
  }

  async watched(choice: WatchChoice): Promise<WatchedTag[]> {
    return this.#watched.choose(choice);
  }

  async noteWatched(results: readonly WatchResult[], at: number): Promise<void> {
    this.#watched.note(results, at);
  }

  async usedAmong(digests: readonly Digest[]): Promise<Digest[]> {
    return this.#watched.usedAmong(digests);
  }

  async recalled(): Promise<Recalled[]> {
    return this.#rows<Recalled>("SELECT digest, reason, at FROM recalled");
  }

  async recall({ digest, reason, at }: Recalled, most: number): Promise<Recalled[] | null> {
    const others = this.#rows<{ count: number }>(
      "SELECT count(*) AS count FROM recalled WHERE digest <> ?",
      digest,
    );
    if ((others[0]?.count ?? 0) >= most) return null;
    this.#sql.exec(
      "INSERT INTO recalled VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET reason = excluded.reason, at = excluded.at",
      ...[digest, reason, at],
    );
    return this.recalled();
  }

  async undoRecall(digest: Digest): Promise<Recalled[]> {
    this.#sql.exec("DELETE FROM recalled WHERE digest = ?", digest);
    return this.recalled();
  }

  async accessKeys(): Promise<KeyList> {
    return this.#keys.read();
  }

  async replaceAccessKeys(keys: readonly WrittenKey[], version: number): Promise<boolean> {
    return this.#keys.replace(keys, version);
  }

  /** Merges spans that are older than they are kept. */
  override async alarm(): Promise<void> {
    const now = Date.now();
    for (const [index, { span, kept }] of SPANS.entries()) {
      const next = SPANS[index + 1]?.span ?? EVER;
      const start = next === EVER ? "0" : `start - start % ${next}`;
      const end = now - kept - (next === EVER ? 0 : (now - kept) % next);
      this.ctx.storage.transactionSync(() => {
        this.#sql.exec(
          `INSERT INTO traffic SELECT ?, ${start}, upstream, kind, served, status, sum(requests), sum(bytes)
           FROM traffic WHERE span = ? AND start < ? GROUP BY 2, 3, 4, 5, 6 ${ADDED}`,
          ...[next, span, end],
        );
        this.#sql.exec("DELETE FROM traffic WHERE span = ? AND start < ?", span, end);
      });
    }
    this.#holdings.prune();
    if (now % DAY < HOUR) {
      this.#tags.prune(now);
      this.#watched.prune();
      this.#pulls.prune(now);
      this.#usage.prune(now);
    }
    const { left = 0 } =
      this.#rows<{ left: number }>("SELECT count(*) AS left FROM traffic WHERE span <> 0")[0] ?? {};
    if (left > 0) await this.ctx.storage.setAlarm(now + HOUR);
  }

  /** The name by which an upstream's traffic is counted. */
  #counted(upstream: string): string {
    const { upstreamNames, hosted } = servicesOf(this.env).config;
    if (upstream === "" || upstream === hosted.path || upstreamNames.includes(upstream)) return upstream;
    this.#members ??= new Set(
      this.#rows<{ upstream: string }>("SELECT DISTINCT upstream FROM traffic")
        .map((row) => row.upstream)
        .filter((name) => name !== "" && name !== hosted.path && !upstreamNames.includes(name)),
    );
    if (!this.#members.has(upstream) && this.#members.size >= MEMBERS) return "other";
    this.#members.add(upstream);
    return upstream;
  }

  #see(sightings: readonly TagSighting[]): void {
    const moves = sightings.map((sighting) => this.#tags.see(sighting)).filter((move) => move !== null);
    if (moves.length > 0) servicesOf(this.env).webhooks.announce(moves, waitUntilOf(this.ctx));
  }

  #rows<Row extends object>(query: string, ...values: unknown[]): Row[] {
    return this.#sql.exec(query, ...values).toArray() as unknown as Row[];
  }
}
