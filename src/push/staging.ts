/**
 * The content of an upload in the store. Where the store can append, it grows in place, and is published at the end. Elsewhere
 * it is written as parts, and joined natively into one verified object at the end.
 */
import type { Digest } from "../oci/digest.ts";
import { type AppendBound, hostedKey, type Store } from "../store/store.ts";
import { joinLargeBlob } from "./large-blob.ts";
import { joinParts, storePart, storeParts } from "./parts.ts";
import type { Part } from "./records.ts";

/** The body of a request that appends to an upload. */
export interface PushedBody {
  stream: ReadableStream<Uint8Array>;
  /** Bytes; null if the request doesn't say. */
  length: number | null;
  /** Honoured where the store can append; elsewhere `onPart` throws once it is passed. Null for none. */
  bound: AppendBound | null;
}

/** Says that another request continues the upload. */
export class UploadTaken extends Error {
  override readonly name = "UploadTaken";
}

/**
 * Stores a body that is a whole blob natively, under its digest.
 * @throws DigestMismatch, or another error if the body is cut short.
 */
export async function storeWhole(
  store: Store,
  digest: Digest,
  stream: ReadableStream<Uint8Array>,
  length: number,
): Promise<void> {
  const { readable, writable } = new FixedLengthStream(length);
  await Promise.all([stream.pipeTo(writable), store.put(hostedKey("blobs", digest), readable, { digest })]);
}

/**
 * Appends a body to an upload.
 * @param offset bytes that the upload has.
 * @param onPart called for what is stored, so that it isn't lost if the body breaks off.
 * @throws UploadTaken, StoreFull, BeyondBound, or another error if the body is cut short.
 */
export async function appendBody(
  store: Store,
  upload: string,
  offset: number,
  { stream, length, bound }: PushedBody,
  onPart: (part: Part) => Promise<void>,
): Promise<void> {
  if (!store.uploads) {
    if (length === null || length > store.maximumPut) return storeParts(store, upload, stream, onPart);
    return onPart(await storePart(store, upload, stream, length));
  }
  const appended = await store.uploads.append(upload, offset, stream, length, bound);
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
  else if (length > store.maximumPut) await joinLargeBlob(store, parts, digest);
  else await joinParts(store, parts, digest);
  return length;
}
