/** Reads files out of a tar in any order: it is looked through once, and nothing is unpacked. */
import { createReadStream } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { posix } from "node:path";
import { pipeline } from "node:stream";
import { extract, type Header } from "tar-stream";
import type { Environment } from "../../src/registry/proxies.ts";
import { hasCode } from "../files.ts";
import { causeOf } from "../registry/failure.ts";
import { compressionOf, decompressed, MAGIC_LENGTH } from "./compression.ts";
import type { ContentFolder } from "./content-folder.ts";
import { bytesOf, spool } from "./spool.ts";

/** Where a file's bytes are, or the file that it is a link to. */
type Entry = { offset: number; size: number } | { link: string };

/** Entries of the largest tar that is read: each takes memory. */
const MAXIMUM_ENTRIES = 20_000;
/** Characters of a name. */
const MAXIMUM_NAME = 4_096;
/** Links from one to the next. */
const MAXIMUM_LINKS = 8;

/**
 * Opens a tar, which may be compressed with gzip or zstd: then it is decompressed to a temporary file first.
 * @throws Error that names the file, and the entry where one is wrong.
 */
export async function openTar(path: string, env: Environment): Promise<ContentFolder> {
  const opened = await open(path, "r").catch((error) => {
    throw hasCode(error, "ENOENT") ? new Error(`there is no file ${path}`) : error;
  });
  let file = opened;
  try {
    const status = await opened.stat();
    if (status.isDirectory()) throw new Error("it is a folder; a folder is named by oci:");
    // A pipe is read once only.
    if (!status.isFile()) file = await replaced(opened, createReadStream(path), env);
    const start = Buffer.alloc(MAGIC_LENGTH);
    const { bytesRead } = await file.read(start, 0, MAGIC_LENGTH, 0);
    const compression = compressionOf(start.subarray(0, bytesRead));
    if (compression !== "none") {
      file = await replaced(file, decompressed(bytesOf(file), compression), env);
    }
  } catch (error) {
    await file.close();
    throw new Error(`${path}: ${causeOf(error)}`);
  }
  return tarIn(file, path);
}

/**
 * A tar in an open file, which is closed with it.
 * @param name as it is called in messages.
 * @throws Error if it is broken, or an entry's name leads out of it.
 */
export async function tarIn(file: FileHandle, name: string): Promise<ContentFolder> {
  const entries = await indexOf(file).catch(async (error) => {
    await file.close();
    throw new Error(`${name}: ${causeOf(error)}`);
  });
  return {
    name,
    size: async (path) => resolved(entries, path)?.size ?? null,
    read: (path, length) => {
      const found = resolved(entries, path);
      if (!found) throw new Error(`${name}: ${path} is missing`);
      return bytesOf(file, found.offset, Math.min(found.size, length ?? found.size));
    },
    close: () => file.close(),
  };
}

async function indexOf(file: FileHandle): Promise<Map<string, Entry>> {
  const entries = new Map<string, Entry>();
  const tar = extract();
  let failure: Error | null = null;
  pipeline(bytesOf(file), tar, (error) => {
    failure = error ?? null;
  });
  let last = "";
  try {
    for await (const entry of tar) {
      const { name, type, linkname, size = 0, byteOffset } = entry.header as Header & { byteOffset: number };
      if (name.length > MAXIMUM_NAME || (linkname?.length ?? 0) > MAXIMUM_NAME) {
        throw new Error(`a name has more than ${MAXIMUM_NAME} characters`);
      }
      last = name;
      const path = pathInside(name, "");
      if (type === "file" || type === "contiguous-file") entries.set(path, { offset: byteOffset, size });
      if (type === "symlink") entries.set(path, { link: pathInside(linkname ?? "", posix.dirname(path)) });
      if (type === "link") entries.set(path, { link: pathInside(linkname ?? "", "") });
      if (entries.size > MAXIMUM_ENTRIES) throw new Error(`it has more than ${MAXIMUM_ENTRIES} entries`);
      entry.resume();
    }
  } catch (error) {
    if (error instanceof OutsideError) throw error;
    const where = last === "" ? "it isn't a tar" : `it is broken at or after ${last}`;
    throw new Error(`${where}: ${causeOf(failure ?? error)}`);
  } finally {
    tar.destroy();
  }
  if (entries.size === 0) throw new Error("it isn't a tar, or an empty one");
  return entries;
}

/** An entry whose name leads out of the tar. */
class OutsideError extends Error {}

/** A path in the tar, without `.` and `..`. @throws OutsideError for one that leads out of it. */
function pathInside(path: string, folder: string): string {
  const normal = posix.normalize(posix.join(folder, path)).replace(/\/+$/, "");
  if (posix.isAbsolute(path) || normal === ".." || normal.startsWith("../")) {
    throw new OutsideError(`its entry ${path} leads out of the archive`);
  }
  return normal;
}

function resolved(
  entries: ReadonlyMap<string, Entry>,
  path: string,
): { offset: number; size: number } | null {
  let found = entries.get(posix.normalize(path));
  for (let links = 0; found && "link" in found && links < MAXIMUM_LINKS; links++)
    found = entries.get(found.link);
  return found && !("link" in found) ? found : null;
}

/** A temporary file with the bytes, in place of the file that they come from. */
async function replaced(
  from: FileHandle,
  bytes: AsyncIterable<Uint8Array>,
  env: Environment,
): Promise<FileHandle> {
  const file = await spool(bytes, env);
  await from.close();
  return file;
}
