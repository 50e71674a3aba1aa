/**
 * The local implementation of the R2 bucket: plain files, each named by its key. It has the part of R2's interface that the
 * store uses, with R2's guarantee: an object is published complete and with a matching checksum, or not at all.
 */
import { WorkerEntrypoint } from "cloudflare:workers";
import { contentRange, parseRanges, resolveRange, unsatisfiedRange } from "../../../src/oci/range.ts";
import type { BucketChecksum, BucketFillOptions } from "../../../src/store/disk.ts";
import {
  type AppendBound,
  type BegunAppend,
  HEALTH_KEY,
  type StoredEntry,
} from "../../../src/store/store.ts";
import { beginFill, type DiskFill, fillOf, findFill, follow, writeFill } from "./disk-fills.ts";
import type { StoreEnv } from "./store-env.ts";

/** What the paths of objects and of appends begin with. */
const OBJECTS = "objects/";
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
   * Whatever has many bytes: the bodies of a request and a response cost far less than streams that are arguments or results.
   * GET of an object is answered as a file is; what is being filled is sent as it is written. A fill and an append have their
   * id as the path: PUT of a fill is answered 204 once it is stored, 409 if the checksum differs, or 500; GET with the whole.
   */
  override async fetch(request: Request): Promise<Response> {
    const id = new URL(request.url).pathname.slice(1);
    if (id.startsWith(OBJECTS)) return this.#read(id.slice(OBJECTS.length), request.headers.get("Range"));
    if (id.startsWith(APPENDS)) return this.#writeAppend(id.slice(APPENDS.length), request.body);
    const fill = fillOf(id);
    if (!fill) return new Response(null, { status: 404 });
    if (request.method === "GET") return this.#following(fill, null);
    return writeFill(this.env, fill, request.body);
  }

  async #read(key: string, range: string | null): Promise<Response> {
    // Looked up first, as above.
    const fill = findFill(key);
    const response = await this.env.STORE_FILES.fetch(
      `http://store/${key}`,
      range === null ? {} : { headers: { Range: range } },
    );
    return response.status === 404 && fill ? this.#following(fill, range) : response;
  }

  /** Begins to append to an upload; see `GrowingUploads`. @returns null if the disk has no room for it. */
  async beginAppend(
    upload: string,
    offset: number,
    length: number | null,
    bound: AppendBound | null,
  ): Promise<BegunAppend | null> {
    const query = new URLSearchParams({ offset: String(offset) });
    if (length !== null) query.set("length", String(length));
    if (bound) {
      query.set("group", bound.group);
      query.set("bound", String(bound.bytes));
    }
    const response = await this.#post(`uploads/${upload}?${query}`);
    return response.status === 507 ? null : response.json();
  }

  async isEndless(id: string): Promise<boolean> {
    const response = await this.#post(`appends/${id}/wait`);
    return (await response.text()) === "endless";
  }

  async endAppend(id: string, isComplete: boolean): Promise<number | "ended" | "full" | "beyond"> {
    const response = await this.#post(`appends/${id}/end${isComplete ? "" : "?broken"}`);
    const text = await response.text();
    if (response.status === 507) return "full";
    if (response.status === 413) return "beyond";
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

  /** @throws unless it is done, or answered 409, 413 or 507. */
  async #post(path: string, headers: Record<string, string> = {}): Promise<Response> {
    const response = await this.env.WRITER.fetch(`http://writer/${path}`, { method: "POST", headers });
    if (!response.ok && ![409, 413, 507].includes(response.status)) throw new Error(await response.text());
    return response;
  }

  #following(fill: DiskFill, header: string | null): Response {
    const { size } = fill;
    const [range] = parseRanges(header);
    const slice = range ? resolveRange(range, size) : { offset: 0, length: size };
    if (!slice) {
      return new Response(null, { status: 416, headers: { "Content-Range": unsatisfiedRange(size) } });
    }
    const { offset, length } = slice;
    const { readable, writable } = new FixedLengthStream(length);
    const following = follow(this.env, fill, slice, writable);
    this.ctx.waitUntil(following.catch((error) => writable.abort(error).catch(() => {})));
    const headers = {
      "Content-Length": String(length),
      ...(range && { "Content-Range": contentRange(offset, length, size) }),
    };
    return new Response(readable, { status: range ? 206 : 200, headers });
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

function stored(key: string, { headers }: Response): Stored {
  return {
    key,
    size: Number(headers.get("Content-Length")),
    uploaded: new Date(headers.get("Last-Modified") ?? 0),
  };
}
