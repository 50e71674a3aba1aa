/** Writes an image layout into a folder: a new one, or one that has images already. */
import { createWriteStream } from "node:fs";
import { mkdir, readdir, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { INDEX } from "../../src/oci/layout.ts";
import { hasCode } from "../files.ts";
import type { Blob } from "../registry/download.ts";
import { blobIn, type ContentFolder, documentIn, openFolder } from "./content-folder.ts";
import type { ContentWriter } from "./content-writer.ts";
import { type Incoming, incomingFor } from "./incoming.ts";

/** @throws Error for a folder that has something else in it than a layout. */
export async function folderWriter(path: string): Promise<ContentWriter> {
  const names = await readdir(path).catch((error) => {
    if (hasCode(error, "ENOENT")) return null;
    throw hasCode(error, "ENOTDIR")
      ? new Error(`${path} is no folder; an archive is named by oci-archive:`)
      : error;
  });
  if (names && names.length > 0 && !names.includes(INDEX)) {
    throw new Error(`${path} is neither empty nor an OCI layout`);
  }
  await mkdir(names ? path : dirname(path), { recursive: true });
  return new FolderWriter(path, names !== null);
}

class FolderWriter implements ContentWriter {
  readonly name: string;
  readonly #incoming: Incoming;
  readonly #isThere: boolean;
  readonly #folder: ContentFolder;
  /** In the order in which they are published: the index last. */
  readonly #written: string[] = [];

  constructor(path: string, isThere: boolean) {
    this.name = path;
    this.#folder = openFolder(path);
    this.#isThere = isThere;
    this.#incoming = incomingFor(path, isThere ? join(path, ".incoming") : path);
  }

  async has(path: string, blob: Blob): Promise<boolean> {
    if (this.#written.includes(path)) return true;
    if (!this.#isThere || (await this.#folder.size(path)) !== blob.size) return false;
    try {
      for await (const _ of blobIn(this.#folder, path, blob));
      return true;
    } catch {
      // What is broken is written again.
      return false;
    }
  }

  async write(path: string, _size: number, open: () => AsyncIterable<Uint8Array>): Promise<void> {
    const file = join(this.#incoming.path, path);
    await mkdir(dirname(file), { recursive: true });
    await pipeline(Readable.from(open(), { objectMode: false }), createWriteStream(file, { flush: true }));
    this.#written.push(path);
  }

  existing(path: string): Promise<Uint8Array | null> {
    return documentIn(this.#folder, path);
  }

  async commit(): Promise<void> {
    if (!this.#isThere) return this.#incoming.publish();
    for (const path of this.#written) {
      await mkdir(dirname(join(this.name, path)), { recursive: true });
      await rename(join(this.#incoming.path, path), join(this.name, path));
    }
    this.#incoming.discard();
  }

  async discard(): Promise<void> {
    this.#incoming.discard();
  }
}
