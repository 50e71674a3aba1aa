/** Requests to a mirror by its owner: what it holds, and the removal of it. */
import * as v from "valibot";
import { type Digest as DigestText, parseDigest } from "../../src/oci/digest.ts";
import { parseJson } from "../../src/oci/json.ts";
import { readBounded } from "../../src/registry/bounded-read.ts";
import { cleaned } from "../terminal/clean.ts";

/** Bytes of a response. */
const MAXIMUM = 16 * 1024 * 1024; /** Objects that a mirror removes in one request. */
const BATCH = 100;

const Digest = v.custom<DigestText>((given) => typeof given === "string" && parseDigest(given) !== null);
const Entry = v.object({
  key: v.string(),
  size: v.number(),
  stored: v.number(),
  used: v.nullable(v.number()),
});
const Image = v.object({
  names: v.array(v.object({ name: v.string(), confirmed: v.nullable(v.string()) })),
  digest: Digest,
  visibility: v.picklist(["public", "private"]),
  size: v.number(),
  alone: v.number(),
  isWhole: v.boolean(),
  isPinned: v.boolean(),
  firstUse: v.string(),
  lastUse: v.string(),
  hours: v.number(),
  leaves: v.nullable(v.number()),
});
const Missing = v.array(v.string());
const Store = v.object({
  missing: Missing,
  limit: v.number(),
  bytes: v.number(),
  stored: v.array(
    v.object({ kind: v.string(), visibility: v.string(), bytes: v.number(), objects: v.number() }),
  ),
  pinned: v.number(),
  evicted: v.nullable(v.number()),
  unreferenced: v.object({ objects: v.number(), bytes: v.number() }),
  growth: v.number(),
  full: v.nullable(v.string()),
  images: v.array(Image),
});
const Removed = v.object({ images: v.array(v.string()), objects: v.number(), bytes: v.number() });
const Pruned = v.object({ objects: v.number(), bytes: v.number() });
const Status = v.object({
  missing: Missing,
  deployment: v.string(),
  started: v.string(),
  access: v.picklist(["open", "keys"]),
  keys: v.nullable(v.number()),
  limit: v.number(),
  hosted: v.nullable(
    v.object({ repositories: v.number(), tags: v.number(), bytes: v.number(), uploads: v.number() }),
  ),
  upstreams: v.array(v.string()),
  relays: v.array(v.object({ url: v.string(), upstreams: v.array(v.string()), when: v.string() })),
  endpoints: v.array(v.object({ url: v.string(), downFor: v.number(), limitedFor: v.number() })),
  quotas: v.nullable(
    v.object({
      used: v.record(v.string(), v.number()),
      free: v.record(v.string(), v.number()),
      tight: v.array(v.string()),
    }),
  ),
});

const Hosted = v.object({
  repository: v.string(),
  tags: v.number(),
  manifests: v.number(),
  bytes: v.number(),
  pushed: v.nullable(v.string()),
});

const Collected = v.object({
  tags: v.number(),
  deleted: v.number(),
  freed: v.number(),
  uploads: v.number(),
  waiting: v.number(),
  hasMore: v.boolean(),
});

const Recalled = v.object({
  entries: v.array(v.object({ digest: Digest, reason: v.string(), at: v.number() })),
});

const TagPast = v.object({
  upstream: v.string(),
  repository: v.string(),
  tag: v.string(),
  visibility: v.picklist(["public", "private"]),
  history: v.array(
    v.object({
      digest: v.nullable(Digest),
      from: v.string(),
      to: v.string(),
      isCurrent: v.boolean(),
      isReleased: v.boolean(),
    }),
  ),
  served: v.nullable(Digest),
});
const History = v.object({ entries: v.array(TagPast) });

const Released = v.object({
  entries: v.array(
    v.object({
      upstream: v.string(),
      repository: v.string(),
      tag: v.string(),
      digest: Digest,
      at: v.number(),
    }),
  ),
});
const Gone = v.object({
  upstream: v.string(),
  repository: v.string(),
  tag: v.string(),
  digest: Digest,
  since: v.string(),
  isStored: v.boolean(),
});
const JustReleased = v.object({ entries: v.array(v.object({ digest: Digest })) });

export type GoneImage = v.InferOutput<typeof Gone>;
export type ReleasedTag = v.InferOutput<typeof Released>["entries"][number];
/** What a tag was seen to name, the latest first; no digest while it was deleted upstream. */
export type TagPast = v.InferOutput<typeof TagPast>;
const Warmed = v.object({
  repository: v.string(),
  digest: Digest,
  platforms: v.array(v.string()),
  manifests: v.number(),
  blobs: v.object({ total: v.number(), stored: v.number(), filling: v.number(), failed: v.number() }),
  bytes: v.object({ total: v.number(), stored: v.number() }),
  cursor: v.number(),
  isDone: v.boolean(),
});
const Refusal = v.object({ errors: v.looseTuple([v.object({ message: v.string() })]) });

export type WarmProgress = v.InferOutput<typeof Warmed>;
/** Statuses of requests that a Portolan of this version refuses for a reason; an unknown path, as older ones have them, has another. */
const REASONED: ReadonlySet<number> = new Set([400, 409, 503]);

const Resolved = v.object({ repository: v.string(), digest: Digest });
const Trace = v.object({
  pulls: v.array(v.object({ key: v.string(), first: v.number(), last: v.number(), hours: v.number() })),
  tags: v.array(
    v.object({
      upstream: v.string(),
      repository: v.string(),
      tag: v.string(),
      visibility: v.picklist(["public", "private"]),
      named: Digest,
      from: v.number(),
    }),
  ),
});

export type DigestTrace = v.InferOutput<typeof Trace>;
export type CollectedContent = v.InferOutput<typeof Collected>;
export type RecalledDigest = v.InferOutput<typeof Recalled>["entries"][number];
export type HeldObject = v.InferOutput<typeof Entry>;
export type HeldImage = v.InferOutput<typeof Image>;
export type StoreAccount = v.InferOutput<typeof Store>;
export type RemovedImages = v.InferOutput<typeof Removed>;
export type PrunedObjects = v.InferOutput<typeof Pruned>;
export type HostedEntry = v.InferOutput<typeof Hosted>;
export type MirrorStatus = v.InferOutput<typeof Status>;

export class OwnerClient {
  readonly #mirror: string;
  readonly #key: string;
  readonly #fetch: typeof fetch;

  /** @param key the mirror's ADMIN_KEY. */
  constructor(mirror: string, key: string, fetcher: typeof fetch) {
    this.#mirror = mirror;
    this.#key = key;
    this.#fetch = fetcher;
  }

  status(): Promise<MirrorStatus> {
    return this.read(Status, "status");
  }

  /** @param name `registry/repository`, or with its tag. */
  async tagHistory(name: string): Promise<TagPast[]> {
    return (await this.read(History, `tags/${name}`)).entries;
  }

  /** Hosted repositories, by name. */
  hosted(): Promise<HostedEntry[]> {
    return this.#readAll(Hosted, "hosted");
  }

  objects(): Promise<HeldObject[]> {
    return this.#readAll(Entry, "objects");
  }

  /** What is stored, image by image. */
  store(): Promise<StoreAccount> {
    return this.read(Store, "images");
  }

  /** @returns null if one of them isn't stored: then none was removed. */
  async remove(images: readonly string[], dryRun: boolean): Promise<RemovedImages | null> {
    const response = await this.#send("rm", { method: "POST", body: JSON.stringify({ images, dryRun }) });
    if (response.status !== 404) return this.#parse(Removed, "rm", response);
    await response.body?.cancel();
    return null;
  }

  /** Removes objects by key, whatever needs them. */
  async purge(keys: readonly string[]): Promise<void> {
    for (let at = 0; at < keys.length; at += BATCH) {
      const body = JSON.stringify({ objects: keys.slice(at, at + BATCH) });
      await this.#bytesOf(await this.#send("purge", { method: "POST", body }));
    }
  }

  /** Removes blobs that no image needs. @param isDryRun whether they are only counted. */
  prune(isDryRun: boolean): Promise<PrunedObjects> {
    return this.read(Pruned, "prune", { method: isDryRun ? "GET" : "POST" });
  }

  /** Frees a batch of hosted content that nothing needs. @param isDryRun whether all of it is only counted. */
  collect(isDryRun: boolean): Promise<CollectedContent> {
    return this.read(Collected, "gc", { method: isDryRun ? "GET" : "POST" });
  }

  /**
   * Has the mirror fetch what of an image isn't stored; to be called again until it is done.
   * @param cursor of the response before.
   * @throws Error with the mirror's reason if it can't or mustn't.
   */
  async warm(image: string, platforms: readonly string[], cursor: number): Promise<WarmProgress> {
    const body = JSON.stringify({ image, platforms, cursor });
    const response = await this.#send("warm", { method: "POST", body });
    return this.#answerOf(Warmed, response);
  }

  /** The digest that a pull of an image would get from the mirror. @throws Error with the mirror's reason. */
  async resolve(image: string): Promise<DigestText> {
    return (await this.#answerOf(Resolved, await this.#send(`resolve/${image}`))).digest;
  }

  /** Who pulled a digest, and which tags led to it. */
  traceOf(digest: string): Promise<DigestTrace> {
    return this.read(Trace, `pulls/${digest}`);
  }

  /** The latest first. */
  async recalled(): Promise<RecalledDigest[]> {
    return (await this.read(Recalled, "recalled")).entries;
  }

  /** @throws Error if the mirror recalls as many as it can. */
  async recall(digest: string, reason: string): Promise<void> {
    const body = JSON.stringify({ digest, reason });
    const response = await this.#send("recalled", { method: "POST", body });
    if (response.status === 409) {
      await response.body?.cancel();
      throw new Error(`${this.#mirror} has recalled as many digests as it can: undo one`);
    }
    await this.#bytesOf(response);
  }

  /** @returns false for a digest that isn't recalled. */
  async undoRecall(digest: string): Promise<boolean> {
    const response = await this.#send(`recalled/${digest}`, { method: "DELETE" });
    const isRecalled = response.status !== 404;
    if (isRecalled) await this.#bytesOf(response);
    else await response.body?.cancel();
    return isRecalled;
  }

  gone(): Promise<GoneImage[]> {
    return this.#readAll(Gone, "gone");
  }

  async released(): Promise<ReleasedTag[]> {
    return (await this.read(Released, "released")).entries;
  }

  /**
   * @param image with its tag.
   * @returns the digest of the public and of the private tag of this name; none for a tag that isn't known.
   * @throws Error where COOLDOWN doesn't apply.
   */
  async release(image: string): Promise<{ digest: DigestText }[]> {
    const response = await this.#send("released", { method: "POST", body: JSON.stringify({ image }) });
    if (response.status === 404 || response.status === 409) await response.body?.cancel();
    if (response.status === 404) return [];
    if (response.status === 409)
      throw new Error(`COOLDOWN doesn't apply to ${image}: its newest digest is served anyway`);
    return parseJson(JustReleased, await this.#bytesOf(response))?.entries ?? [];
  }

  /** @returns false where nothing was released. */
  async undoRelease(image: string): Promise<boolean> {
    const response = await this.#send(`released/${image}`, { method: "DELETE" });
    const wasReleased = response.status !== 404;
    if (wasReleased) await this.#bytesOf(response);
    else await response.body?.cancel();
    return wasReleased;
  }

  async #readAll<Schema extends v.GenericSchema>(
    schema: Schema,
    path: string,
  ): Promise<v.InferOutput<Schema>[]> {
    const page = v.object({ entries: v.array(schema), cursor: v.nullable(v.string()) });
    const all: v.InferOutput<Schema>[] = [];
    let cursor: string | null = null;
    do {
      const query: string = cursor === null ? "" : `?cursor=${encodeURIComponent(cursor)}`;
      const read: { entries: v.InferOutput<Schema>[]; cursor: string | null } = await this.read(
        page,
        `${path}${query}`,
      );
      all.push(...read.entries);
      cursor = read.cursor;
    } while (cursor !== null);
    return all;
  }

  /**
   * A resource of the owner's, as JSON.
   * @param missing what a 404 means.
   * @throws Error that says what to do.
   */
  async read<const Schema extends v.GenericSchema>(
    schema: Schema,
    path: string,
    init: RequestInit = {},
    missing?: string,
  ): Promise<v.InferOutput<Schema>> {
    return this.#parse(schema, path, await this.#send(path, init), missing);
  }

  async #parse<const Schema extends v.GenericSchema>(
    schema: Schema,
    path: string,
    response: Response,
    missing?: string,
  ): Promise<v.InferOutput<Schema>> {
    const parsed = parseJson(schema, await this.#bytesOf(response, missing));
    if (parsed === null)
      throw new Error(`${this.#mirror} answers /_/${path} with something else: is it a Portolan?`);
    return parsed;
  }

  /** The same for what has no response but whether it was done. */
  async change(path: string, init: RequestInit, missing?: string): Promise<void> {
    await this.#bytesOf(await this.#send(path, init), missing);
  }

  #send(path: string, init: RequestInit = {}): Promise<Response> {
    return this.#fetch(`${this.#mirror}/_/${path}`, {
      ...init,
      redirect: "manual",
      headers: { Authorization: `Bearer ${this.#key}`, "Content-Type": "application/json" },
    });
  }

  /** @throws Error with the reason that the mirror gives. */
  async #answerOf<const Schema extends v.GenericSchema>(
    schema: Schema,
    response: Response,
  ): Promise<v.InferOutput<Schema>> {
    const bytes = response.status === 401 ? await this.#bytesOf(response) : await this.#anyBytesOf(response);
    const reason = response.ok ? null : parseJson(Refusal, bytes)?.errors[0].message;
    if (reason) throw new Error(cleaned(reason));
    const parsed = parseJson(schema, bytes);
    if (parsed === null) throw new Error(`${this.#mirror} answers ${response.status}: is it a Portolan?`);
    return parsed;
  }

  #anyBytesOf(response: Response): Promise<Uint8Array> {
    return readBounded(response, MAXIMUM, `the response of ${this.#mirror}`);
  }

  /** @throws Error that says what to do. */
  async #bytesOf(response: Response, missing?: string): Promise<Uint8Array> {
    const bytes = await this.#anyBytesOf(response);
    if (response.ok) return bytes;
    if (response.status === 401) throw new Error(`${this.#mirror} doesn't accept the admin key`);
    if (response.status === 403) throw new Error(`${this.#mirror} has no ADMIN_KEY: set one as its secret`);
    if (response.status === 404 && missing !== undefined) throw new Error(missing);
    const refusal = parseJson(Refusal, bytes)?.errors[0];
    if (refusal && REASONED.has(response.status)) throw new Error(refusal.message);
    throw new Error(`${this.#mirror} answered ${response.status} to /_/: is it a Portolan of this version?`);
  }
}
