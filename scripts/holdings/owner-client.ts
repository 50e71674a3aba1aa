/** Requests to a mirror by its owner: what it holds, and the removal of it. */
import type * as v from "valibot";
import type { Digest } from "../../src/oci/digest.ts";
import { parseJson } from "../../src/oci/json.ts";
import { readBounded } from "../../src/registry/bounded-read.ts";
import type {
  CachedObject,
  CollectedContent,
  DigestTrace,
  GoneImage,
  HostedEntry,
  MirrorStatus,
  PinnedImage,
  PrunedObjects,
  RecalledDigest,
  ReleasedTag,
  RemovedImages,
  StoreAccount,
  TagPast,
  WarmProgress,
} from "../owner-api/responses.ts";
import * as responses from "../owner-api/responses.ts";
import { cleaned } from "../terminal/clean.ts";

/** Bytes of a response. */
const MAXIMUM = 16 * 1024 * 1024;
/** Objects that a mirror removes in one request. */
const BATCH = 100;

interface Page<Entry> {
  entries: Entry[];
  cursor: string | null;
}

/** Statuses of requests that a Portolan of this version refuses for a reason; an unknown path, as older ones have them, has another. */
const REASONED: ReadonlySet<number> = new Set([400, 409, 503]);

/** What a refusal of a request means, by status. */
type Reasons = Readonly<Record<number, string>>;

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
    return this.read(responses.Status, "status");
  }

  /** @param name `registry/repository`, or with its tag. */
  async tagHistory(name: string): Promise<TagPast[]> {
    return (await this.read(responses.History, `tags/${name}`)).entries;
  }

  /** Hosted repositories, by name. */
  hosted(): Promise<HostedEntry[]> {
    return this.#readAll(responses.Hosted, "hosted");
  }

  objects(): Promise<CachedObject[]> {
    return this.#readAll(responses.Objects, "objects");
  }

  /** What is stored, image by image. */
  store(): Promise<StoreAccount> {
    return this.read(responses.Store, "images");
  }

  /** @returns null if one of them isn't stored: then none was removed. */
  async remove(images: readonly string[], dryRun: boolean): Promise<RemovedImages | null> {
    const response = await this.#send("rm", { method: "POST", body: JSON.stringify({ images, dryRun }) });
    return (await isMissing(response)) ? null : this.#parse(responses.Removed, "rm", response);
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
    return this.read(responses.Pruned, "prune", { method: isDryRun ? "GET" : "POST" });
  }

  /** Frees a batch of hosted content that nothing needs. @param isDryRun whether all of it is only counted. */
  collect(isDryRun: boolean): Promise<CollectedContent> {
    return this.read(responses.Collected, "gc", { method: isDryRun ? "GET" : "POST" });
  }

  /**
   * Has the mirror fetch what of an image isn't stored; to be called again until it is done.
   * @param cursor of the response before.
   * @throws Error with the mirror's reason if it can't or mustn't.
   */
  async warm(image: string, platforms: readonly string[], cursor: number): Promise<WarmProgress> {
    const body = JSON.stringify({ image, platforms, cursor });
    const response = await this.#send("warm", { method: "POST", body });
    return this.#answerOf(responses.Warmed, response);
  }

  /** The digest that a pull of an image would get from the mirror. @throws Error with the mirror's reason. */
  async resolve(image: string): Promise<Digest> {
    return (await this.#answerOf(responses.Resolved, await this.#send(`resolve/${image}`))).digest;
  }

  /** Who pulled a digest, and which tags led to it. */
  traceOf(digest: string): Promise<DigestTrace> {
    return this.read(responses.Trace, `pulls/${digest}`);
  }

  /** The latest first. */
  async recalled(): Promise<RecalledDigest[]> {
    return (await this.read(responses.Recalled, "recalled")).entries;
  }

  /** @throws Error if the mirror recalls as many as it can. */
  async recall(digest: string, reason: string): Promise<void> {
    const body = JSON.stringify({ digest, reason });
    const response = await this.#send("recalled", { method: "POST", body });
    await this.#bytesOf(response, {
      409: `${this.#mirror} has recalled as many digests as it can: undo one`,
    });
  }

  /** @returns false for a digest that isn't recalled. */
  undoRecall(digest: string): Promise<boolean> {
    return this.#delete(`recalled/${digest}`);
  }

  gone(): Promise<GoneImage[]> {
    return this.#readAll(responses.Gone, "gone");
  }

  async released(): Promise<ReleasedTag[]> {
    return (await this.read(responses.Released, "released")).entries;
  }

  /**
   * @param image with its tag.
   * @returns the digest of the public and of the private tag of this name; none for a tag that isn't known.
   * @throws Error where COOLDOWN doesn't apply.
   */
  async release(image: string): Promise<{ digest: Digest }[]> {
    const response = await this.#send("released", { method: "POST", body: JSON.stringify({ image }) });
    if (await isMissing(response)) return [];
    const bytes = await this.#bytesOf(response, {
      409: `COOLDOWN doesn't apply to ${image}: its newest digest is served anyway`,
    });
    return parseJson(responses.JustReleased, bytes)?.entries ?? [];
  }

  /** @returns false where nothing was released. */
  undoRelease(image: string): Promise<boolean> {
    return this.#delete(`released/${image}`);
  }

  async pins(): Promise<PinnedImage[]> {
    return (await this.read(responses.Pinned, "pins")).entries;
  }

  /** @param pattern as in PIN. */
  async pin(pattern: string): Promise<void> {
    await this.#bytesOf(await this.#send("pins", { method: "POST", body: JSON.stringify({ pattern }) }));
  }

  /** @returns false where it wasn't pinned. @throws Error for one of PIN's. */
  unpin(pattern: string): Promise<boolean> {
    return this.#delete(`pins/${pattern}`);
  }

  async #readAll<Entry>(page: v.GenericSchema<unknown, Page<Entry>>, path: string): Promise<Entry[]> {
    const all: Entry[] = [];
    let cursor: string | null = null;
    do {
      const query: string = cursor === null ? "" : `?cursor=${encodeURIComponent(cursor)}`;
      const read: Page<Entry> = await this.read(page, `${path}${query}`);
      all.push(...read.entries);
      cursor = read.cursor;
    } while (cursor !== null);
    return all;
  }

  /** A resource of the owner's, as JSON. @throws Error that says what to do. */
  async read<const Schema extends v.GenericSchema>(
    schema: Schema,
    path: string,
    init: RequestInit = {},
    reasons: Reasons = {},
  ): Promise<v.InferOutput<Schema>> {
    return this.#parse(schema, path, await this.#send(path, init), reasons);
  }

  async #parse<const Schema extends v.GenericSchema>(
    schema: Schema,
    path: string,
    response: Response,
    reasons: Reasons = {},
  ): Promise<v.InferOutput<Schema>> {
    const parsed = parseJson(schema, await this.#bytesOf(response, reasons));
    if (parsed === null)
      throw new Error(`${this.#mirror} answers /_/${path} with something else: is it a Portolan?`);
    return parsed;
  }

  /** The same for what has no response but whether it was done. */
  async change(path: string, init: RequestInit, reasons: Reasons = {}): Promise<void> {
    await this.#bytesOf(await this.#send(path, init), reasons);
  }

  /** @returns false for what isn't there. */
  async #delete(path: string): Promise<boolean> {
    const response = await this.#send(path, { method: "DELETE" });
    if (await isMissing(response)) return false;
    await this.#bytesOf(response);
    return true;
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
    const reason = response.ok ? null : parseJson(responses.Refusal, bytes)?.errors[0].message;
    if (reason) throw new Error(cleaned(reason));
    const parsed = parseJson(schema, bytes);
    if (parsed === null) throw new Error(`${this.#mirror} answers ${response.status}: is it a Portolan?`);
    return parsed;
  }

  #anyBytesOf(response: Response): Promise<Uint8Array> {
    return readBounded(response, MAXIMUM, `the response of ${this.#mirror}`);
  }

  /** @throws Error that says what to do. */
  async #bytesOf(response: Response, reasons: Reasons = {}): Promise<Uint8Array> {
    const bytes = await this.#anyBytesOf(response);
    if (response.ok) return bytes;
    if (response.status === 401) throw new Error(`${this.#mirror} doesn't accept the admin key`);
    if (response.status === 403) throw new Error(`${this.#mirror} has no ADMIN_KEY: set one as its secret`);
    const reason = reasons[response.status];
    if (reason !== undefined) throw new Error(reason);
    const refusal = parseJson(responses.Refusal, bytes)?.errors[0];
    if (refusal && REASONED.has(response.status)) throw new Error(refusal.message);
    throw new Error(`${this.#mirror} answered ${response.status} to /_/: is it a Portolan of this version?`);
  }
}

async function isMissing({ status, body }: Response): Promise<boolean> {
  if (status === 404) await body?.cancel();
  return status === 404;
}
