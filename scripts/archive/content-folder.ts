/** Files of an image on disk, whether they are in a folder or in a tar. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { digestParts } from "../../src/oci/digest.ts";
import { hasCode } from "../files.ts";
import type { Blob } from "../registry/download.ts";
import { causeOf } from "../registry/failure.ts";
import { READ } from "./spool.ts";

export interface ContentFolder {
  /** As it is called in messages: the path that the user gave. */
  readonly name: string;
  /** A file's size in bytes, or null where there is none. @param path relative, with slashes. */
  size(path: string): Promise<number | null>;
  /** A file's bytes. @param length how many of them at most; all of them where it is left out. */
  read(path: string, length?: number): AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}

/** Bytes of the largest document that is read: manifests, indexes and configs. */
const MAXIMUM_DOCUMENT = 8 * 1024 * 1024;

export function openFolder(path: string): ContentFolder {
  return {
    name: path,
    size: async (file) => {
      try {
        const found = await stat(join(path, file));
        return found.isFile() ? found.size : null;
      } catch (error) {
        if (hasCode(error, "ENOENT", "ENOTDIR")) return null;
        throw error;
      }
    },
    read: (file, length = Number.POSITIVE_INFINITY) =>
      createReadStream(join(path, file), { highWaterMark: READ, end: length - 1 }),
    close: async () => {},
  };
}

/** @returns a document's bytes, or null where there is no such file. @throws Error if it is too large for a document. */
export async function documentIn(
  folder: ContentFolder,
  path: string,
): Promise<Uint8Array<ArrayBuffer> | null> {
  const size = await folder.size(path);
  if (size === null) return null;
  if (size > MAXIMUM_DOCUMENT) throw entryError(folder, path, `has ${size} bytes, too many for a document`);
  const pieces: Uint8Array[] = [];
  for await (const piece of folder.read(path)) pieces.push(piece);
  return new Uint8Array(Buffer.concat(pieces));
}

/** @returns what a JSON document says. @throws Error where there is none, or it isn't JSON. */
export async function jsonIn(folder: ContentFolder, path: string): Promise<unknown> {
  const bytes = await documentIn(folder, path);
  if (bytes === null) throw entryError(folder, path, "is missing");
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw entryError(folder, path, "isn't JSON");
  }
}

/** `images.tar: index.json is missing`. */
export function entryError({ name }: ContentFolder, path: string, what: string): Error {
  return new Error(`${name}: ${path} ${what}`);
}

/**
 * The bytes of a blob in a file. The last of them come only once all are verified.
 * @throws Error that names the file where it is missing, or isn't the blob.
 */
export async function* blobIn(
  folder: ContentFolder,
  path: string,
  { digest, size }: Blob,
): AsyncGenerator<Uint8Array> {
  const found = await folder.size(path);
  if (found === null) throw entryError(folder, path, "is missing");
  if (found !== size) throw entryError(folder, path, `has ${found} bytes, though it should have ${size}`);
  const { algorithm } = digestParts(digest);
  const hash = createHash(algorithm);
  let last: Uint8Array | null = null;
  try {
    for await (const piece of folder.read(path)) {
      hash.update(piece);
      if (last !== null) yield last;
      last = piece;
    }
  } catch (error) {
    throw entryError(folder, path, `can't be read: ${causeOf(error)}`);
  }
  const actual = `${algorithm}:${hash.digest("hex")}`;
  if (actual !== digest) throw entryError(folder, path, `is ${actual}, though it should be ${digest}`);
  if (last !== null) yield last;
}
