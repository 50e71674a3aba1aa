/**
 * The content of an upload in the store. Where the store can append, it grows in place, and is published at the end. Elsewhere
 * it is written as parts, and joined natively into one verified object at the end.
 */
import type { Digest } from "../oci/digest.ts";
import { hostedKey, type Store, StoreFull, uploadPrefix } from "../store/store.ts";
import type { Part } from "./records.ts";

const MIB = 1024 * 1024;
/** Bytes of a slice in which a body without a length is read; a body that ends within the first is stored as it is. */
const SLICE = MIB;
/** Bytes of the parts into which a longer body without a length is divided. The last one is padded. */
const PART_SIZES = [4 * MIB, 8 * MIB, 16 * MIB];
const LARGEST_PART = 32 * MIB;
const PADDING = new Uint8Array(SLICE);

/** The body of a request that pushes content. */
export interface PushedBody {
  stream: ReadableStream<Uint8Array>;
  /** Bytes; null if the request doesn't say. */
  length: number | null;
}

/** Says that another request continues the upload. */
export class UploadTaken extends Error {
  override readonly name = "UploadTaken";
}

/**
 * Stores a body that is a whole blob natively, under its digest.
 * @throws DigestMismatch, StoreFull, or another error if the body is cut short.
 */
export async function storeWhole(
  store: Store,
  digest: Digest,
  stream: ReadableStream<Uint8Array>,
  length: number,
): Promise<void> {
  const key = hostedKey("blobs", digest);
  if (store.openFill && length > 0) {
    const fill = await store.openFill(key, { digest, size: length, isShared: false });
    if (!fill) throw new StoreFull();
    return fill.write(stream);
  }
  const { readable, writable } = new FixedLengthStream(length);
  await Promise.all([stream.pipeTo(writable), store.put(key, readable, { digest })]);
}

/**
 * Appends a body to an upload.
 * @param offset bytes that the upload has.
 * @param onPart called for what is stored, so that it isn't lost if the body breaks off.
 * @throws UploadTaken, StoreFull, or another error if the body is cut short.
 */
export async function appendBody(
  store: Store,
  upload: string,
  offset: number,
  { stream, length }: PushedBody,
  onPart: (part: Part) => Promise<void>,
): Promise<void> {
  if (!store.uploads) {
    if (length === null) return storeParts(store, upload, stream, onPart);
    return onPart(await storePart(store, upload, stream, length));
  }
  const appended = await store.uploads.append(upload, offset, stream, length);
  if (!appended) throw new UploadTaken();
  const { key, size, failure } = appended;
  if (size > 0) await onPart({ key, size });
  if (failure !== null) throw failure;
}

/**
 * Makes an upload one object of hosted content.
 * @param parts all that was appended, in its order.
 * @returns its bytes.
 * @throws DigestMismatch
 */
export async function publishUpload(
  store: Store,
  upload: string,
  parts: readonly Part[],
  digest: Digest,
): Promise<number> {
  const length = parts.reduce((sum, { size }) => sum + size, 0);
  const key = hostedKey("blobs", digest);
  if (length === 0) await store.put(key, new Uint8Array(0), { digest });
  else if (store.uploads) await store.uploads.publish(upload, length, key, digest);
  else await joinParts(store, parts, length, digest);
  return length;
}

/** Stores a body of a known length natively as one part. */
async function storePart(
  store: Store,
  upload: string,
  body: ReadableStream<Uint8Array>,
  length: number,
): Promise<Part> {
  const key = partKey(upload);
  const { readable, writable } = new FixedLengthStream(length);
  await Promise.all([body.pipeTo(writable), store.put(key, readable, {})]);
  return { key, size: length };
}

/**
 * Stores a body whose length isn't known, as one part after the other. A store needs lengths, so the last part is filled up
 * with zeros, and `size` says how much of it counts. Slices keep the memory small while many clients push at once.
 */
async function storeParts(
  store: Store,
  upload: string,
  body: ReadableStream<Uint8Array>,
  onPart: (part: Part) => Promise<void>,
): Promise<void> {
  const reader = body.getReader({ mode: "byob" });
  let first = await readSlice(reader, SLICE);
  if (first.isLast) {
    if (first.bytes.byteLength === 0) return;
    const key = partKey(upload);
    await store.put(key, first.bytes, {});
    return onPart({ key, size: first.bytes.byteLength });
  }
  for (let count = 0; first.bytes.byteLength > 0; count++) {
    const { part, next } = await storeSlices(store, upload, reader, first, PART_SIZES[count] ?? LARGEST_PART);
    await onPart(part);
    first = next;
  }
}

async function joinParts(
  store: Store,
  parts: readonly Part[],
  length: number,
  digest: Digest,
): Promise<void> {
  const { readable, writable } = new FixedLengthStream(length);
  await Promise.all([
    pour(store, parts, writable),
    store.put(hostedKey("blobs", digest), readable, { digest }),
  ]);
}

async function pour(store: Store, parts: readonly Part[], writable: WritableStream): Promise<void> {
  try {
    for (const { key, size } of parts) {
      const object = await store.get(key, { first: 0, last: size - 1 });
      if (!object) throw new Error("a part of the upload is gone");
      await object.body.pipeTo(writable, { preventClose: true });
    }
    await writable.close();
  } catch (error) {
    await writable.abort(error).catch(() => {});
    throw error;
  }
}

interface Slice {
  bytes: Uint8Array<ArrayBuffer>;
  isLast: boolean;
}

/** Writes slices into one part, from the given one on. @returns the slice that the next part begins with. */
async function storeSlices(
  store: Store,
  upload: string,
  reader: ReadableStreamBYOBReader,
  first: Slice,
  partSize: number,
): Promise<{ part: Part; next: Slice }> {
  const key = partKey(upload);
  const { readable, writable } = new FixedLengthStream(partSize);
  const stored = store.put(key, readable, {});
  stored.catch(() => {});
  const writer = writable.getWriter();
  let size = 0;
  let slice = first;
  let next: Slice = { bytes: new Uint8Array(0), isLast: true };
  try {
    for (;;) {
      const { byteLength } = slice.bytes;
      await writer.write(slice.bytes);
      size += byteLength;
      if (slice.isLast) break;
      slice = await readSlice(reader, SLICE);
      if (size + slice.bytes.byteLength > partSize) {
        next = slice;
        break;
      }
    }
    for (let left = partSize - size; left > 0; left -= SLICE) {
      await writer.write(PADDING.subarray(0, Math.min(left, SLICE)));
    }
    await writer.close();
  } catch (error) {
    await writer.abort(error).catch(() => {});
    throw error;
  }
  await stored;
  return { part: { key, size }, next };
}

/** Reads until the slice is full or the body ends. */
async function readSlice(reader: ReadableStreamBYOBReader, length: number): Promise<Slice> {
  let buffer = new ArrayBuffer(length);
  let filled = 0;
  while (filled < length) {
    const { done, value } = await reader.read(new Uint8Array(buffer, filled, length - filled));
    if (value) {
      buffer = value.buffer as ArrayBuffer;
      filled += value.byteLength;
    }
    if (done) return { bytes: new Uint8Array(buffer, 0, filled), isLast: true };
  }
  return { bytes: new Uint8Array(buffer), isLast: false };
}

function partKey(upload: string): string {
  return uploadPrefix(upload) + crypto.randomUUID();
}
