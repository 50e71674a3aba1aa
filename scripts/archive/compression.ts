/** Compressed files, known by their first bytes. */
import { pipeline } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";

export type Compression = "none" | "gzip" | "zstd";

/** Bytes that tell a compression. */
export const MAGIC_LENGTH = 6;

const MAGIC: readonly [name: string, magic: readonly number[]][] = [
  ["gzip", [0x1f, 0x8b]],
  ["zstd", [0x28, 0xb5, 0x2f, 0xfd]],
  ["xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ["bzip2", [0x42, 0x5a, 0x68]],
];

/** @throws Error for a compression that isn't read here. */
export function compressionOf(start: Uint8Array): Compression {
  const [name = "none"] =
    MAGIC.find(([, magic]) => magic.every((byte, index) => start[index] === byte)) ?? [];
  if (name === "none" || name === "gzip" || name === "zstd") return name;
  throw new Error(`it is compressed with ${name}, which isn't supported: decompress it first`);
}

/** Bytes decompressed as they come. Throws where they aren't whole. */
export function decompressed(
  bytes: AsyncIterable<Uint8Array>,
  compression: Exclude<Compression, "none">,
): AsyncIterable<Uint8Array> {
  const decoder = compression === "gzip" ? createGunzip() : createZstdDecompress();
  // What fails on the way is thrown where the decoder is read.
  return pipeline(bytes, decoder, () => {});
}
