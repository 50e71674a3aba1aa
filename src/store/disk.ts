/** What the store can do where its bucket is a service that keeps files (`scripts/local/worker`), and R2 can't. */
import { type Digest, digestParts } from "../oci/digest.ts";
import { type ByteRange, rangeHeader, resolveRange } from "../oci/range.ts";
import {
  type AppendBound,
  type BegunAppend,
  BeyondBound,
  DigestMismatch,
  type FillOptions,
  type GrowingUploads,
  RangeNotSatisfiable,
  type StoredObject,
  type StoreFill,
  StoreFull,
  uploadKey,
} from "./store.ts";

export interface DiskBucketApi extends R2Bucket {
  /** @returns an id; null if it has no room. */
  beginFill(key: string, options: BucketFillOptions): Promise<string | null>;
  /** @returns false where there is no such object. */
  copy(from: string, to: string): Promise<boolean>;
  /** @returns null if it has no room. */
  beginAppend(
    upload: string,
    offset: number,
    length: number | null,
    bound: AppendBound | null,
  ): Promise<BegunAppend | null>;
  /** Waits until a body has gone so far beyond its bound that it isn't read to its end. @returns false once it has ended. */
  isEndless(id: string): Promise<boolean>;
  /** Call it in every case. @returns the bytes that were appended, or why none can be. */
  endAppend(id: string, isComplete: boolean): Promise<number | "ended" | "full" | "beyond">;
  /** @returns false if the content has another checksum or size. */
  publishUpload(upload: string, size: number, key: string, checksum: BucketChecksum): Promise<boolean>;
  /**
   * GET of `/objects/<key>`, with a Range or not, is answered as HTTP has it.
   *
   * PUT of `/<id>` is answered 204 once the body of a fill is stored, 409 if it has another digest; GET with the body as it
   * comes. PUT of `/appends/<id>` is answered 204 once the body is written.
   */
  fetch: Fetcher["fetch"];
}

/** A digest in two parts. */
export interface BucketChecksum {
  algorithm: string;
  hex: string;
}

/** As `FillOptions`. */
export interface BucketFillOptions extends BucketChecksum {
  size: number;
  isShared: boolean;
}

export function isDisk(bucket: R2Bucket): bucket is DiskBucketApi {
  return typeof Reflect.get(bucket, "beginFill") === "function";
}

/**
 * Reads an object, natively: the body of a response is passed on as it is, whereas the runtime copies a stream that a method returns.
 * @throws RangeNotSatisfiable
 */
export async function getObject(
  bucket: DiskBucketApi,
  key: string,
  range?: ByteRange,
): Promise<StoredObject | null> {
  const headers = range ? { Range: rangeHeader(range) } : {};
  const response = await bucket.fetch(`http://store/objects/${key}`, { headers });
  const { body, status } = response;
  const whole = /\/(\d+)$/.exec(response.headers.get("Content-Range") ?? "")?.[1];
  const size = Number(whole ?? response.headers.get("Content-Length"));
  if (response.ok && body) {
    return { size, contentType: null, body, range: range ? resolveRange(range, size) : null };
  }
  await body?.cancel();
  if (status === 404) return null;
  if (status === 416) throw new RangeNotSatisfiable(size);
  throw new Error(`the disk answered ${status} for ${key}`);
}

export async function openFill(
  bucket: DiskBucketApi,
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

export function growingUploads(bucket: DiskBucketApi): GrowingUploads {
  return {
    append: async (upload, offset, body, length, bound) => {
      const begun = await bucket.beginAppend(upload, offset, length, bound);
      if (!begun) throw new StoreFull();
      const { id, mayFillDisk } = begun;
      // A length for which there is no room was refused.
      const isGuarded = mayFillDisk && length === null;
      const cut = new AbortController();
      if (bound) {
        const isEndless = bucket.isEndless(id);
        isEndless.then((is) => is && cut.abort(new BeyondBound())).catch(() => {});
      }
      const writing = isGuarded ? writeGuarded : write;
      const failure = await writing(bucket, id, body, cut.signal);
      const size = await bucket.endAppend(id, failure === null);
      if (size === "full") throw new StoreFull();
      if (size === "beyond") throw new BeyondBound();
      return size === "ended" ? null : { key: uploadKey(upload), size, failure };
    },
    publish: async (upload: string, size: number, key: string, digest: Digest) => {
      const isRight = await bucket.publishUpload(upload, size, key, digestParts(digest));
      if (!isRight) throw new DigestMismatch(digest);
    },
  };
}

/** @returns the error that the body broke off with; null if all of it was written. */
async function write(
  bucket: DiskBucketApi,
  id: string,
  body: ReadableStream<Uint8Array>,
  signal: AbortSignal,
): Promise<unknown> {
  try {
    const response = await bucket.fetch(`http://store/appends/${id}`, { method: "PUT", body, signal });
    const reason = await response.text();
    return response.ok ? null : new Error(reason);
  } catch (error) {
    return error;
  }
}

/** Bytes that are read at a time. */
const PIECE = 256 * 1024;

/**
 * As `write`, but the caller can read the rest of a body that can't be written. It must: a client that is still sending doesn't see a
 * response. After the runtime's own pipe, nothing could be read from the body any more.
 */
async function writeGuarded(
  bucket: DiskBucketApi,
  id: string,
  body: ReadableStream<Uint8Array>,
  signal: AbortSignal,
): Promise<unknown> {
  const { readable, writable } = new IdentityTransformStream();
  const written = write(bucket, id, readable, signal);
  const ended = written.then((failure) => {
    throw failure ?? new Error("the disk took less than the body");
  });
  ended.catch(() => {});
  const writer = writable.getWriter();
  const reader = body.getReader({ mode: "byob" });
  try {
    for (;;) {
      const { done, value } = await reader.read(new Uint8Array(PIECE));
      if (done) break;
      await Promise.race([writer.write(value), ended]);
    }
    await writer.close();
  } catch (error) {
    await writer.abort(error).catch(() => {});
    return (await written) ?? error;
  } finally {
    reader.releaseLock();
  }
  return written;
}
