/** The store on R2, which checks every object's digest itself, so that no wrong one can be published. */
import { type Digest, digestParts } from "../oci/digest.ts";
import { type ByteRange, resolveRange } from "../oci/range.ts";
import {
  DigestMismatch,
  type FillOptions,
  type PutOptions,
  RangeNotSatisfiable,
  type Store,
  type StoredEntry,
  type StoredHead,
  type StoredObject,
  type StoreFill,
} from "./store.ts";

/** R2's number for content that isn't what its checksum says, at the end of the message. */
const CHECKSUM_ERROR = /\(10037\)$/;

/** What a bucket can do beyond R2, where it is a service that keeps files (`scripts/local/worker`). */
interface FillingBucket extends R2Bucket {
  /** @returns an id; null if it has no room. */
  beginFill(key: string, options: BucketFillOptions): Promise<string | null>;
  /** @returns false where there is no such object. */
  copy(from: string, to: string): Promise<boolean>;
  /** PUT of `/<id>` is answered 204 once the body is stored, 409 if it has another digest; GET with the body as it comes. */
  fetch: Fetcher["fetch"];
}

/** As `FillOptions`, with the digest in two parts. */
export interface BucketFillOptions {
  algorithm: string;
  hex: string;
  size: number;
  isShared: boolean;
}

export class R2Store implements Store {
  readonly #bucket: R2Bucket;
  readonly openFill?: NonNullable<Store["openFill"]>;

  constructor(bucket: R2Bucket) {
    this.#bucket = bucket;
    if (canFill(bucket)) this.openFill = (key, options) => openFill(bucket, key, options);
  }

  async head(key: string): Promise<StoredHead | null> {
    const object = await this.#bucket.head(key);
    return object && { size: object.size, contentType: object.httpMetadata?.contentType ?? null };
  }

  async get(key: string, range?: ByteRange): Promise<StoredObject | null> {
    const object = await this.#read(key, range);
    if (!object) return null;
    const slice = range ? resolveRange(range, object.size) : null;
    return {
      size: object.size,
      contentType: object.httpMetadata?.contentType ?? null,
      body: object.body,
      range: slice,
    };
  }

  async #read(key: string, range?: ByteRange): Promise<R2ObjectBody | null> {
    if (!range) return this.#bucket.get(key);
    try {
      return await this.#bucket.get(key, { range: r2Range(range) });
    } catch (error) {
      // R2 refuses a range beyond the end without saying where the end is.
      const object = await this.#bucket.head(key);
      if (object && !resolveRange(range, object.size)) throw new RangeNotSatisfiable(object.size);
      throw error;
    }
  }

  async put(key: string, body: ReadableStream<Uint8Array> | Uint8Array, options: PutOptions): Promise<void> {
    const { digest, contentType } = options;
    const httpMetadata = contentType === undefined ? {} : { contentType };
    if (digest === undefined) {
      await this.#bucket.put(key, body, { httpMetadata });
      return;
    }
    const { algorithm, hex } = digestParts(digest);
    await rethrowing(digest, this.#bucket.put(key, body, { [algorithm]: hex, httpMetadata }));
  }

  /** R2 has no copy of its own: the body goes from it to it natively, and is checked again. */
  async copy(from: string, to: string, digest: Digest): Promise<boolean> {
    if (canFill(this.#bucket)) return this.#bucket.copy(from, to);
    const object = await this.get(from);
    if (!object) return false;
    await this.put(to, object.body, { digest });
    return true;
  }

  async delete(keys: string[]): Promise<void> {
    await this.#bucket.delete(keys);
  }

  async list(prefix: string, cursor?: string): Promise<{ entries: StoredEntry[]; cursor: string | null }> {
    const page = await this.#bucket.list(cursor === undefined ? { prefix } : { prefix, cursor });
    const entries = page.objects.map(({ key, size, uploaded }) => ({
      key,
      size,
      stored: uploaded.getTime(),
    }));
    return { entries, cursor: page.truncated ? page.cursor : null };
  }
}

function canFill(bucket: R2Bucket): bucket is FillingBucket {
  return typeof Reflect.get(bucket, "beginFill") === "function";
}

async function openFill(
  bucket: FillingBucket,
  key: string,
  { digest, size, isShared }: FillOptions,
): Promise<StoreFill | null> {
  const id = await bucket.beginFill(key, { ...digestParts(digest), size, isShared });
  if (id === null) return null;
  const url = `http://store/${id}`;
  return {
    write: async (body) => {
      const response = await bucket.fetch(url, { method: "PUT", body });
      const reason = await response.text();
      if (response.status === 409) throw new DigestMismatch(digest);
      if (!response.ok) throw new Error(reason);
    },
    read: async () => {
      const { body } = await bucket.fetch(url);
      if (!body) throw new Error("the fill has ended before it could be read");
      return body;
    },
  };
}

/** Passes R2's word for content with another checksum on as the store's. */
async function rethrowing(digest: Digest, stored: Promise<unknown>): Promise<void> {
  try {
    await stored;
  } catch (error) {
    throw CHECKSUM_ERROR.test(String(error)) ? new DigestMismatch(digest) : error;
  }
}

function r2Range(range: ByteRange): R2Range {
  if ("suffix" in range) return { suffix: range.suffix };
  return range.last === null
    ? { offset: range.first }
    : { offset: range.first, length: range.last - range.first + 1 };
}
