/** Temporary files for content that is read more than once and comes as a stream. */
import { existsSync } from "node:fs";
import { type FileHandle, mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Environment } from "../../src/registry/proxies.ts";

/** Bytes of one read. */
export const READ = 256 * 1024;

/** Where large temporary files go: /tmp is memory on many systems. */
function spoolFolder(env: Environment): string {
  return env.TMPDIR || (existsSync("/var/tmp") ? "/var/tmp" : tmpdir());
}

/**
 * Writes a stream to a file without a name, which is gone once it is closed, even if the process is killed.
 * @throws whatever reading the stream throws.
 */
export async function spool(bytes: AsyncIterable<Uint8Array>, env: Environment): Promise<FileHandle> {
  const folder = await mkdtemp(join(spoolFolder(env), "portolan-"));
  try {
    const file = await open(join(folder, "spool"), "wx+", 0o600);
    try {
      for await (const piece of bytes) await writeWhole(file, piece);
      return file;
    } catch (error) {
      await file.close();
      throw error;
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Writes all of the bytes: a single write may take fewer. */
async function writeWhole(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let offset = 0; offset < bytes.byteLength; ) {
    offset += (await file.write(bytes, offset)).bytesWritten;
  }
}

/** A part of a file. Several can be read at once: each has its own position. */
export async function* bytesOf(
  file: FileHandle,
  offset = 0,
  length = Number.POSITIVE_INFINITY,
): AsyncGenerator<Uint8Array> {
  const end = offset + length;
  for (let position = offset; position < end; ) {
    const buffer = Buffer.allocUnsafe(Math.min(READ, end - position));
    const { bytesRead } = await file.read(buffer, 0, buffer.byteLength, position);
    if (bytesRead === 0) return;
    position += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}
