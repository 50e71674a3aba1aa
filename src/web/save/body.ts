/** A part of an archive as a stream. The runtime moves the blobs' bytes by itself; no JavaScript touches them. */
import type { Digest } from "../../oci/digest.ts";
import { contentRange, type Slice } from "../../oci/range.ts";
import { isBytes, type Part, sizeOf } from "./archive.ts";

/** Requests a blob, or the part of it that a Range asks for. @throws RegistryError for an error's response. */
export type OpenBlob = (digest: Digest, range: string | null) => Promise<Response>;

export interface Body {
  readable: ReadableStream<Uint8Array>;
  /** Resolves once all was sent, rejects if the client left or a blob failed. */
  sent: Promise<void>;
}

/**
 * @param slice what is sent of all parts together.
 * @throws RegistryError if the first blob can't be had: nothing was sent then, and the client learns why.
 */
export async function bodyOf(parts: readonly Part[], slice: Slice, open: OpenBlob): Promise<Body> {
  const pieces = piecesOf(parts, slice);
  const first = pieces.findIndex(({ part }) => !isBytes(part));
  const opened = first === -1 ? null : await openPiece(pieces[first] as Piece, open);
  const { readable, writable } = new FixedLengthStream(slice.length);
  const send = async () => {
    for (const [at, piece] of pieces.entries()) {
      if (isBytes(piece.part)) {
        const writer = writable.getWriter();
        await writer.write(piece.part.subarray(piece.offset, piece.offset + piece.length));
        writer.releaseLock();
      } else {
        const body = at === first ? opened : await openPiece(piece, open);
        await body?.pipeTo(writable, { preventClose: true });
      }
    }
    await writable.close();
  };
  const sent = send().catch(async (error) => {
    await opened?.cancel().catch(() => {});
    await writable.abort(error).catch(() => {});
    throw error;
  });
  return { readable, sent };
}

interface Piece extends Slice {
  part: Part;
}

/** The parts that a slice touches, each with what it touches of it. */
function piecesOf(parts: readonly Part[], { offset, length }: Slice): Piece[] {
  const pieces: Piece[] = [];
  let start = 0;
  for (const part of parts) {
    const from = Math.max(offset - start, 0);
    const to = Math.min(offset + length - start, sizeOf(part));
    if (from < to) pieces.push({ part, offset: from, length: to - from });
    start += sizeOf(part);
  }
  return pieces;
}

/**
 * @throws Error for a response that isn't exactly what was requested: the bytes after it would be in the wrong place. Nor can a blob
 * that was evicted meanwhile be used: the runtime doesn't pipe what comes from upstream into another stream.
 */
async function openPiece({ part, offset, length }: Piece, open: OpenBlob) {
  if (isBytes(part)) return null;
  const { digest, size } = part;
  const isWhole = length === size;
  const response = await open(digest, isWhole ? null : `bytes=${offset}-${offset + length - 1}`);
  const { status, headers, body } = response;
  const isRight = isWhole
    ? status === 200
    : status === 206 && headers.get("Content-Range") === contentRange(offset, length, size);
  // Hosted content has no other source than the store.
  const source = headers.get("Cache-Status");
  const isStored = source === null || /; hit\b/.test(source);
  if (body && isRight && isStored && headers.get("Content-Length") === String(length)) return body;
  await body?.cancel();
  throw new Error(
    isStored ? `${digest} isn't ${size} bytes long, as its manifest says` : `${digest} is no longer stored`,
  );
}
