/** Blobs that are larger than one put takes. */
import { type Digest, digestParts } from "../oci/digest.ts";
import { DigestMismatch, hostedKey, type Piece, type Store } from "../store/store.ts";
import { pour, readSection, readSlice, type Section, SLICE } from "./parts.ts";
import type { Part } from "./records.ts";

/** Bytes of the pieces in which such a blob is stored: so many that R2's 10,000 make its largest object. */
const PIECE = 512 * 1024 * 1024;
const ALGORITHMS: Record<string, string> = { sha256: "SHA-256", sha512: "SHA-512" };

/**
 * Joins parts into an object of several pieces. The store knows no digest of such an object's whole, so the parts are read and
 * hashed first; nothing replaces them between the two passes, as no key of a part is ever used twice.
 * @throws DigestMismatch
 */
export async function joinLargeBlob(store: Store, parts: readonly Part[], digest: Digest): Promise<void> {
  if ((await hashOf(store, parts, digest)) !== digestParts(digest).hex) throw new DigestMismatch(digest);
  const size = Math.min(PIECE, store.maximumPut);
  const pieces = divide(parts, size).map(
    (sections): Piece => ({
      length: sections.reduce((sum, { length }) => sum + length, 0),
      write: (writable) => pour(store, sections, writable),
    }),
  );
  await store.putPieces(hostedKey("blobs", digest), pieces);
}

/** The sections that make up each piece: all pieces have the same size but the last. */
function divide(parts: readonly Part[], pieceSize: number): Section[][] {
  const pieces: Section[][] = [];
  let free = 0;
  for (const { key, size } of parts) {
    for (let offset = 0; offset < size; ) {
      if (free === 0) {
        pieces.push([]);
        free = pieceSize;
      }
      const length = Math.min(free, size - offset);
      pieces.at(-1)?.push({ key, offset, length });
      offset += length;
      free -= length;
    }
  }
  return pieces;
}

/** By slices: a DigestStream that a body is piped into costs seven times as much. */
async function hashOf(store: Store, parts: readonly Part[], digest: Digest): Promise<string> {
  const hash = new crypto.DigestStream(ALGORITHMS[digestParts(digest).algorithm] ?? "");
  const writer = hash.getWriter();
  for (const { key, size } of parts) {
    const body = await readSection(store, { key, offset: 0, length: size });
    const reader = body.getReader({ mode: "byob" });
    for (;;) {
      const { bytes, isLast } = await readSlice(reader, SLICE);
      await writer.write(bytes);
      if (isLast) break;
    }
  }
  await writer.close();
  return [...new Uint8Array(await hash.digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
