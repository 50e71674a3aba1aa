/** The store on R2, which checks every object's digest itself, so that no wrong one can be published. */
import { type Digest, digestParts } from "../oci/digest.ts";
import { type ByteRange, resolveRange } from "../oci/range.ts";
import { getObject, growingUploads, isDisk, openFill } from "./disk.ts";
import {
  DigestMismatch,
  type GrowingUploads,
  MAXIMUM_PUT,
  type Piece,
  type PutOptions,
  RangeNotSatisfiable,
  type Store,
  type StoredEntry,
  type StoredHead,
  type StoredObject,
} from "./store.ts";

/** R2's number for content that isn't what its checksum says, at the end of the message. */
const CHECKSUM_ERROR = /\(10037\)$/;

export class R2Store implements Store {
  readonly #bucket: R2Bucket;
  readonly openFill?: NonNullable<Store["openFill"]>;
  readonly uploads?: GrowingUploads;

  readonly maximumPut: number;

  /** @param maximumPut bytes of the largest object that one put takes, if it isn't R2's own limit. */
  constructor(bucket: R2Bucket, maximumPut = MAXIMUM_PUT) {
    this.#bucket = bucket;
    this.maximumPut = isDisk(bucket) ? Number.POSITIVE_INFINITY : maximumPut;
    if (!isDisk(bucket)) return;
    this.openFill = (key, options) => openFill(bucket, key, options);
    this.uploads = growingUploads(bucket);
  }

  async head(key: string): Promise<StoredHead | null> {
    const object = await this.#bucket.head(key);
    return object && { size: object.size, contentType: object.httpMetadata?.contentType ?? null };
  }

  async get(key: string, range?: ByteRange): Promise<StoredObject | null> {
    if (isDisk(this.#bucket)) return getObject(this.#bucket, key, range);
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

  async putPieces(key: string, pieces: readonly Piece[]): Promise<void> {
    const upload = await this.#bucket.createMultipartUpload(key);
    try {
      const uploaded: R2UploadedPart[] = [];
      for (const { length, write } of pieces) {
        const { readable, writable } = new FixedLengthStream(length);
        const [, part] = await Promise.all([
          write(writable),
          upload.uploadPart(uploaded.length + 1, readable),
        ]);
        uploaded.push(part);
      }
      await upload.complete(uploaded);
    } catch (error) {
      await upload.abort().catch(() => {});
      throw error;
    }
  }

  /** R2 has no copy of its own: the body goes from it to it natively, and is checked again. */
  async copy(from: string, to: string, digest: Digest): Promise<boolean> {
    if (isDisk(this.#bucket)) return this.#bucket.copy(from, to);
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
