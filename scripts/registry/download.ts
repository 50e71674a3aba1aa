/** A blob's bytes as they come: fetched on from where a response broke off, and proved when they end. */
import { createHash } from "node:crypto";
import { type Digest, digestParts } from "../../src/oci/digest.ts";
import { parseContentRange } from "../../src/oci/range.ts";
import type { RegistryClient } from "./client.ts";
import { causeOf, RegistryFailure } from "./failure.ts";
import type { RemoteRepository } from "./remote.ts";

export interface Blob {
  digest: Digest;
  /** In bytes. */
  size: number;
}

/** Milliseconds before each try after one that brought nothing. */
const PAUSES = [500, 1_000, 2_000, 4_000, 8_000];

/**
 * The bytes of a blob. The last of them come only once all have proved to be right, so that nothing wrong is ever had whole.
 * @throws RegistryFailure if it can't be had, or with DIGEST_INVALID if it is something else.
 */
export async function* blobBytes(
  client: RegistryClient,
  remote: RemoteRepository,
  { digest, size }: Blob,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const { algorithm } = digestParts(digest);
  const hash = createHash(algorithm);
  const wrong = (why: string) =>
    new RegistryFailure(
      0,
      "DIGEST_INVALID",
      `${remote.endpoint.host} sent something wrong for ${digest}: ${why}`,
    );
  let offset = 0;
  let last: Uint8Array | null = null;
  for (let vain = 0; ; ) {
    const before = offset;
    try {
      for await (const piece of bytesFrom(client, remote, digest, offset, signal)) {
        if (offset + piece.byteLength > size) throw wrong(`it has more than ${size} bytes`);
        hash.update(piece);
        offset += piece.byteLength;
        if (last !== null) yield last;
        last = piece;
      }
      if (offset === size) break;
      throw new Error(`it ended after ${offset} of ${size} bytes`);
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof RegistryFailure && !error.isTransient) throw error;
      vain = offset > before ? 1 : vain + 1;
      const pause = PAUSES[vain - 1];
      if (pause === undefined) {
        const message = `${remote.endpoint.host} broke off ${digest} again and again: ${causeOf(error)}`;
        throw new RegistryFailure(0, "UNAVAILABLE", message);
      }
      await client.exchange.wait(pause, signal);
    }
  }
  const actual = hash.digest("hex");
  if (actual !== digestParts(digest).hex) throw wrong(`its bytes are ${algorithm}:${actual}`);
  if (last !== null) yield last;
}

/** The bytes from an offset on, also where a registry gives none but the whole. */
async function* bytesFrom(
  client: RegistryClient,
  remote: RemoteRepository,
  digest: Digest,
  offset: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const response = await client.blob(remote, digest, {
    ...(offset > 0 && { range: `bytes=${offset}-` }),
    ...(signal && { signal }),
  });
  const first = response.status === 206 ? parseContentRange(response.headers.get("Content-Range"))?.first : 0;
  if (first === undefined || first > offset) {
    await response.body?.cancel();
    throw new Error("it sent another range than the requested one");
  }
  let skip = offset - first;
  for await (const piece of response.body ?? []) {
    const rest = piece.subarray(skip);
    skip -= piece.byteLength - rest.byteLength;
    if (rest.byteLength > 0) yield rest;
  }
}

/**
 * Gathers bytes into pieces of the same size, the last one shorter, and reads one piece ahead of the consumer. A piece is good until
 * the next one is requested: two buffers take turns, so that no more than two pieces are ever in memory.
 * @param size in bytes.
 */
export async function* inPieces(
  bytes: AsyncIterable<Uint8Array>,
  size: number,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const pieces = gathered(bytes, size);
  let next = pieces.next();
  try {
    for (;;) {
      const { done, value } = await next;
      if (done) return;
      next = pieces.next();
      // Reported when the chunk is read, which may be later than it fails.
      next.catch(() => {});
      yield value;
    }
  } finally {
    await next.catch(() => {});
    await pieces.return(undefined);
  }
}

async function* gathered(
  bytes: AsyncIterable<Uint8Array>,
  size: number,
): AsyncGenerator<Uint8Array<ArrayBuffer>, undefined> {
  let piece = new Uint8Array(size);
  let other: Uint8Array<ArrayBuffer> | null = null;
  let length = 0;
  for await (let chunk of bytes) {
    while (length + chunk.byteLength >= size) {
      piece.set(chunk.subarray(0, size - length), length);
      chunk = chunk.subarray(size - length);
      yield piece;
      [piece, other] = [other ?? new Uint8Array(size), piece];
      length = 0;
    }
    piece.set(chunk, length);
    length += chunk.byteLength;
  }
  if (length > 0) yield piece.subarray(0, length);
  return undefined;
}
