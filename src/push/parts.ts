/** The parts of an upload in a store that can't append: written as they come, and joined natively into one verified object. */
import type { Digest } from "../oci/digest.ts";
import { hostedKey, type Store, uploadPrefix } from "../store/store.ts";
import type { Part } from "./records.ts";

const MIB = 1024 * 1024;
/** Bytes of a slice in which a body without a length is read; a body that ends within the first is stored as it is. */
export const SLICE = MIB;
/** Bytes of the parts into which a longer body without a length is divided. The last one is padded. */
const PART_SIZES = [4 * MIB, 8 * MIB, 16 * MIB];
const LARGEST_PART = 32 * MIB;
const PADDING = new Uint8Array(SLICE);

/** Stores a body of a known length natively as one part. */
export async function storePart(
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
export async function storeParts(
  store: Store,
  upload: string,
  body: ReadableStream<Uint8Array>,
  onPart: (part: Part) => Promise<void>,
): Promise<void> {
  const reader = body.getReader({ mode: "byob" });
  try {
    let first = await readSlice(reader, SLICE);
    if (first.isLast) {
      if (first.bytes.byteLength === 0) return;
      const key = partKey(upload);
      await store.put(key, first.bytes, {});
      return await onPart({ key, size: first.bytes.byteLength });
    }
    for (let count = 0; first.bytes.byteLength > 0; count++) {
      const partSize = PART_SIZES[count] ?? LARGEST_PART;
      const { part, next } = await storeSlices(store, upload, reader, first, partSize);
      await onPart(part);
      first = next;
    }
  } finally {
    // The caller discards the rest of a body that is refused.
    reader.releaseLock();
  }
}

export async function joinParts(store: Store, parts: readonly Part[], digest: Digest): Promise<void> {
  const length = parts.reduce((sum, { size }) => sum + size, 0);
  const { readable, writable } = new FixedLengthStream(length);
  const sections = parts.map(({ key, size }) => ({ key, offset: 0, length: size }));
  await Promise.all([
    pour(store, sections, writable),
    store.put(hostedKey("blobs", digest), readable, { digest }),
  ]);
}

/** Bytes of a part. */
export interface Section {
  key: string;
  offset: number;
  length: number;
}

/** Pours sections one after the other into a stream, natively, and closes it. */
export async function pour(
  store: Store,
  sections: readonly Section[],
  writable: WritableStream<Uint8Array>,
): Promise<void> {
  try {
    for (const section of sections) {
      const body = await readSection(store, section);
      await body.pipeTo(writable, { preventClose: true });
    }
    await writable.close();
  } catch (error) {
    await writable.abort(error).catch(() => {});
    throw error;
  }
}

/** @throws Error if the part is gone. */
export async function readSection(
  store: Store,
  { key, offset, length }: Section,
): Promise<ReadableStream<Uint8Array>> {
  const object = await store.get(key, { first: offset, last: offset + length - 1 });
  if (!object) throw new Error("a part of the upload is gone");
  return object.body;
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
export async function readSlice(reader: ReadableStreamBYOBReader, length: number): Promise<Slice> {
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

/** Reads a body that nothing is done with: a client that is refused while it still sends may never see the response. */
export async function discard(body: ReadableStream<Uint8Array>, most: number): Promise<void> {
  if (body.locked) return;
  const reader = body.getReader({ mode: "byob" });
  for (let read = 0; read < most; ) {
    const { bytes, isLast } = await readSlice(reader, SLICE);
    if (isLast) return;
    read += bytes.byteLength;
  }
}
