/** The store as files, each named by its key: hashed while they are written, and published only when complete and correct. */
import { createHash, type Hash, randomUUID } from "node:crypto";
import { link, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Store, StoredEntry } from "../../src/store/store.ts";

/** Where files are stored while they are written; any found there at the start are left over. */
const INCOMING = "incoming";
/** Bytes that are hashed and written at a time: they arrive in far smaller chunks, each of which would cost a write. */
const PIECE = 1024 * 1024;

export interface Checksum {
  algorithm: string;
  hex: string;
}

/** @param header `sha256:<hex>`. */
export function checksumOf(header: string | string[]): Checksum {
  const [algorithm = "", hex = ""] = String(header).split(":");
  return { algorithm, hex };
}

export class FileStore implements Pick<Store, "list" | "delete"> {
  readonly #root: string;

  private constructor(root: string) {
    this.#root = root;
  }

  /** Creates the folder, and removes partial writes left by the previous mirror. */
  static async open(root: string): Promise<FileStore> {
    await rm(join(root, INCOMING), { recursive: true, force: true });
    await mkdir(join(root, INCOMING), { recursive: true, mode: 0o700 });
    return new FileStore(root);
  }

  /**
   * Publishes a file atomically.
   * @param checksum null to accept any content.
   * @returns its bytes; null if the content has another checksum.
   */
  async put(key: string, body: AsyncIterable<Buffer>, checksum: Checksum | null): Promise<number | null> {
    const incoming = join(this.#root, INCOMING, randomUUID());
    try {
      const hash = checksum && createHash(checksum.algorithm);
      const bytes = await write(incoming, body, hash);
      if (hash?.digest("hex") !== checksum?.hex) return null;
      const path = join(this.#root, key);
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      await rename(incoming, path);
      return bytes;
    } finally {
      await rm(incoming, { force: true });
    }
  }

  /** Publishes a file of this file system that is complete and correct: by then it is on the disk, and so is its name. */
  async publish(file: string, key: string): Promise<void> {
    await sync(file);
    const path = join(this.#root, key);
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await rename(file, path);
    await sync(dirname(path));
  }

  /**
   * Gives a file a second name, which stays when the first is deleted. Files are replaced and never changed, so that both
   * names have the same content for ever.
   * @returns false if there is no such file.
   */
  async link(from: string, to: string): Promise<boolean> {
    const path = join(this.#root, to);
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    try {
      await link(join(this.#root, from), path);
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : null;
      if (code === "ENOENT") return false;
      // It has that name already.
      if (code !== "EEXIST") throw error;
    }
    await sync(dirname(path));
    return true;
  }

  /** The file of a key. */
  pathOf(key: string): string {
    return join(this.#root, key);
  }

  async delete(keys: readonly string[]): Promise<void> {
    for (const key of keys) await rm(join(this.#root, key), { force: true });
  }

  /** Lists everything on one page. @param prefix the path of a folder. */
  async list(prefix: string): Promise<{ entries: StoredEntry[]; cursor: null }> {
    const folder = join(this.#root, prefix);
    const found = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
    const keys = found
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name).slice(this.#root.length + 1))
      .sort();
    const entries: StoredEntry[] = [];
    for (const key of keys) {
      // Files deleted since the folder was read are left out.
      const file = await stat(join(this.#root, key)).catch(() => null);
      if (file) entries.push({ key, size: file.size, stored: file.mtimeMs });
    }
    return { entries, cursor: null };
  }

  /** @throws Error if nothing can be written. */
  async check(): Promise<void> {
    const path = join(this.#root, INCOMING, randomUUID());
    try {
      const file = await open(path, "wx", 0o600);
      await file.close();
    } finally {
      await rm(path, { force: true });
    }
  }
}

async function sync(path: string): Promise<void> {
  const file = await open(path);
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Writes a body through to the disk. @returns its length. */
async function write(path: string, body: AsyncIterable<Buffer>, hash: Hash | null): Promise<number> {
  const file = await open(path, "wx", 0o600);
  let written = 0;
  try {
    let gathered: Buffer[] = [];
    let length = 0;
    const flush = async () => {
      const piece = Buffer.concat(gathered);
      gathered = [];
      length = 0;
      hash?.update(piece);
      await file.appendFile(piece);
      written += piece.byteLength;
    };
    for await (const chunk of body) {
      gathered.push(chunk);
      length += chunk.byteLength;
      if (length >= PIECE) await flush();
    }
    await flush();
    await file.sync();
  } finally {
    await file.close();
  }
  return written;
}
