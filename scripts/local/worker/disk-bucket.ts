/**
 * The local implementation of the R2 bucket: plain files, each named by its key. It has the part of R2's interface that the
 * store uses, with R2's guarantee: an object is published complete and with a matching checksum, or not at all.
 */
import { WorkerEntrypoint } from "cloudflare:workers";
import { type ByteRange, resolveRange } from "../../../src/oci/range.ts";
import type { BucketChecksum, BucketFillOptions } from "../../../src/store/disk.ts";
import { type BegunAppend, HEALTH_KEY, type StoredEntry } from "../../../src/store/store.ts";
import { beginFill, type DiskFill, fillOf, findFill, follow, writeFill } from "./disk-fills.ts";
import type { StoreEnv } from "./store-env.ts";

/** What the paths of appends begin with. */
const APPENDS = "appends/";

type Stored = Pick<R2Object, "key" | "size" | "uploaded">;

export class DiskBucket extends WorkerEntrypoint<StoreEnv> {
  /** @throws for the key of the health check if the store can't be written to. */
  async head(key: string): Promise<Stored | null> {
    if (key === HEALTH_KEY) await this.#write("health", { method: "GET" });
    // Looked up first: a fill that ends meanwhile is missing neither here nor there.
    const fill = findFill(key);
    const response = await this.env.STORE_FILES.fetch(`http://store/${key}`, { method: "HEAD" });
    if (response.ok) return stored(key, response);
    return fill ? { key, size: fill.size, uploaded: new Date() } : null;
  }

  /** @throws for a range outside the object, as R2 does. */
  async get(
    key: string,
    options: { range?: R2Range } = {},
  ): Promise<(Stored & { body: ReadableStream | null }) | null> {
    const fill = findFill(key);
    const headers = options.range ? { Range: rangeHeader(options.range) } : {};
    const response = await this.env.STORE_FILES.fetch(`http://store/${key}`, { headers });
    if (response.status === 404) return fill ? this.#following(fill, options.range) : null;
    if (!response.ok) throw new Error(`the disk answered ${response.status} for ${key}`);
    return { ...stored(key, response), body: response.body };
  }

  /** @throws with R2's error code if the checksum differs. */
  async put(
    key: string,
    body: ReadableStream<Uint8Array> | Uint8Array,
    { sha256, sha512 }: { sha256?: string; sha512?: string },
  ): Promise<void> {
    const checksum = sha512 === undefined ? sha256 && `sha256:${sha256}` : `sha512:${sha512}`;
    const headers: Record<string, string> = checksum === undefined ? {} : { "X-Checksum": checksum };
    await this.#write(`store/${key}`, { method: "PUT", headers, body });
  }

  /** Begins a fill; see `Store.openFill`. @returns its id; null if the disk has no room for it. */
  beginFill(key: string, options: BucketFillOptions): Promise<string | null> {
    return beginFill(this.env, key, options);
  }

  /**
   * The bytes of a fill or an append, by its id as the path: a request's body costs far less than a stream that is an
   * argument. PUT of a fill is answered 204 once it is stored, 409 if the checksum differs, or 500; GET with the whole as it
   * is written.
   */
  override async fetch(request: Request): Promise<Response> {
    const id = new URL(request.url).pathname.slice(1);
    if (id.startsWith(APPENDS)) return this.#writeAppend(id.slice(APPENDS.length), request.body);
    const fill = fillOf(id);
    if (!fill) return new Response(null, { status: 404 });
    if (request.method === "GET") return new Response(this.#following(fill).body);
    return writeFill(this.env, fill, request.body);
  }

  /** Begins to append to an upload; see `GrowingUploads`. @returns null if the disk has no room for it. */
  async beginAppend(upload: string, offset: number, length: number | null): Promise<BegunAppend | null> {
    const size = length === null ? "" : `&length=${length}`;
    const response = await this.#post(`uploads/${upload}?offset=${offset}${size}`);
    return response.status === 507 ? null : response.json();
  }

  async endAppend(id: string, isComplete: boolean): Promise<number | "ended" | "full"> {
    const response = await this.#post(`appends/${id}/end${isComplete ? "" : "?broken"}`);
    const text = await response.text();
    if (response.status === 507) return "full";
    return response.status === 409 ? "ended" : Number(text);
  }

  async publishUpload(
    upload: string,
    size: number,
    key: string,
    { algorithm, hex }: BucketChecksum,
  ): Promise<boolean> {
    const headers = { "X-Checksum": `${algorithm}:${hex}` };
    const response = await this.#post(`uploads/${upload}/publish?size=${size}&key=${key}`, headers);
    return response.status !== 409;
  }

  async #writeAppend(id: string, body: ReadableStream | null): Promise<Response> {
    const response = await this.env.INCOMING.fetch(`http://incoming/${id}/body`, { method: "PUT", body });
    await response.body?.cancel();
    return new Response(null, { status: response.ok ? 204 : 500 });
  }

  /** @throws unless it is done, or answered 409 or 507. */
  async #post(path: string, headers: Record<string, string> = {}): Promise<Response> {
    const response = await this.env.WRITER.fetch(`http://writer/${path}`, { method: "POST", headers });
    if (!response.ok && ![409, 507].includes(response.status)) throw new Error(await response.text());
    return response;
  }

  #following(fill: DiskFill, range?: R2Range): Stored & { body: ReadableStream<Uint8Array> } {
    const slice = range ? resolveRange(byteRange(range), fill.size) : { offset: 0, length: fill.size };
    if (!slice) throw new Error(`the range lies outside ${fill.key}`);
    const { readable, writable } = new FixedLengthStream(slice.length);
    const following = follow(this.env, fill, slice, writable);
    this.ctx.waitUntil(following.catch((error) => writable.abort(error).catch(() => {})));
    return { key: fill.key, size: fill.size, uploaded: new Date(), body: readable };
  }

  /** Gives an object a second name; see `Store.copy`. */
  async copy(from: string, to: string): Promise<boolean> {
    const response = await this.env.WRITER.fetch(`http://writer/store/${to}?from=${from}`, {
      method: "POST",
    });
    const reason = await response.text();
    if (response.status === 404) return false;
    if (!response.ok) throw new Error(reason);
    return true;
  }

  async delete(keys: string[]): Promise<void> {
    for (const key of keys) await this.#write(`store/${key}`, { method: "DELETE" });
  }

  async list({ prefix }: { prefix: string }): Promise<{ objects: Stored[]; truncated: false }> {
    const response = await this.#write(`store?prefix=${encodeURIComponent(prefix)}`, { method: "GET" });
    const entries: StoredEntry[] = await response.json();
    const objects = entries.map(({ key, size, stored }) => ({ key, size, uploaded: new Date(stored) }));
    return { objects, truncated: false };
  }

  async #write(path: string, init: RequestInit): Promise<Response> {
    const response = await this.env.WRITER.fetch(`http://writer/${path}`, init);
    if (response.status === 409) throw new Error(`the checksum of ${path} is another (10037)`);
    if (!response.ok) throw new Error(await response.text());
    return response;
  }
}

function stored(key: string, response: Response): Stored {
  const whole = /\/(\d+)$/.exec(response.headers.get("Content-Range") ?? "")?.[1];
  return {
    key,
    size: Number(whole ?? response.headers.get("Content-Length")),
    uploaded: new Date(response.headers.get("Last-Modified") ?? 0),
  };
}

function byteRange(range: R2Range): ByteRange {
  if ("suffix" in range) return { suffix: range.suffix };
  const { offset = 0, length } = range;
  return { first: offset, last: length === undefined ? null : offset + length - 1 };
}

function rangeHeader(range: R2Range): string {
  if ("suffix" in range) return `bytes=-${range.suffix}`;
  const { offset = 0, length } = range;
  return `bytes=${offset}-${length === undefined ? "" : offset + length - 1}`;
}
