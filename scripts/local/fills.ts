/**
 * Fills: files that workerd writes and that are read while they grow. Each has a folder of its own in `incoming`, into which
 * workerd puts the body. This process links workerd's temporary file to a name that can be read, hashes it as it grows, and
 * publishes it in the store once it is complete and correct.
 */
import { createHash, type Hash, randomUUID } from "node:crypto";
import { mkdir, rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import type { Checksum, FileStore } from "./file-store.ts";
import { BODY, GrowingFile, readGrowing } from "./growing-file.ts";
import type { Progress } from "./worker/progress.ts";

/** What followers read, in the fill's folder. */
const GROWING = "growing";
/** Bytes for which a follower waits, so that a fast fill isn't read in small steps; or until as many milliseconds passed. */
const STEP = 4 * 1024 * 1024;
const STEP_TIME = 25;
/** Milliseconds: short, as clients wait for what is read. */
const GATHERING = 12;

/** A fill whose body was written. */
export interface Ended {
  key: string;
  /** Bytes. */
  size: number;
  /** `mismatch` is for content with another checksum or length. */
  verdict: "stored" | "mismatch";
}

interface Fill {
  file: GrowingFile;
  key: string;
  size: number;
  checksum: Checksum;
  bytes: number;
  isVerified: boolean;
  hashed: Promise<string | null>;
  /** Called at each change of the above. */
  listeners: Set<() => void>;
}

export class Fills {
  readonly #root: string;
  readonly #store: FileStore;
  readonly #fills = new Map<string, Fill>();

  private constructor(root: string, store: FileStore) {
    this.#root = root;
    this.#store = store;
  }

  /**
   * Creates the folder, and removes what fills of the previous mirror left.
   * @param root a folder on the same file system as the store's.
   */
  static async open(root: string, store: FileStore): Promise<Fills> {
    await rm(root, { recursive: true, force: true });
    await mkdir(root, { recursive: true, mode: 0o700 });
    return new Fills(root, store);
  }

  /** Bytes that running fills are still to write. */
  get reserved(): number {
    return [...this.#fills.values()].reduce((sum, fill) => sum + fill.size - fill.bytes, 0);
  }

  /**
   * Expects workerd to PUT a body to `<id>/body`.
   * @param size bytes.
   * @returns the fill's id.
   * @throws an error with the code ENOSPC if the disk has no room for it beside the fills that are running.
   */
  async begin(key: string, size: number, checksum: Checksum): Promise<string> {
    const hash = createHash(checksum.algorithm);
    const { bavail, bsize } = await statfs(this.#root);
    if (bavail * bsize - this.reserved < size)
      throw Object.assign(new Error("no space left for a fill"), { code: "ENOSPC" });
    const id = randomUUID();
    const folder = join(this.#root, id);
    await mkdir(folder, { mode: 0o700 });
    const fill: Fill = {
      key,
      size,
      checksum,
      file: new GrowingFile(folder),
      bytes: 0,
      isVerified: false,
      hashed: Promise.resolve(null),
      listeners: new Set(),
    };
    fill.hashed = hashGrowing(fill, hash);
    fill.hashed.catch(() => {});
    this.#fills.set(id, fill);
    return id;
  }

  /**
   * Waits until a good deal more than `after` bytes can be read, or less of it after a short while.
   * @returns null for a fill that has ended.
   */
  async progress(id: string, after: number): Promise<Progress | null> {
    const fill = this.#fills.get(id);
    if (!fill) return null;
    await new Promise<void>((resolve) => {
      let timer: NodeJS.Timeout | null = null;
      const done = () => {
        if (timer) clearTimeout(timer);
        fill.listeners.delete(look);
        resolve();
      };
      const look = () => {
        if (fill.isVerified || fill.file.isAborted || fill.bytes - after >= STEP) done();
        else if (fill.bytes > after && fill.bytes < fill.size) timer ??= setTimeout(done, STEP_TIME);
      };
      fill.listeners.add(look);
      look();
    });
    return fill.file.isAborted ? null : { bytes: fill.bytes, isVerified: fill.isVerified };
  }

  /**
   * The body is written: checks it, and publishes it. What readers open stays until `remove`: workerd announces a file before it
   * opens it, and breaks the response off if it is gone by then.
   * @returns null for a fill that isn't known.
   * @throws if it can't be published.
   */
  async end(id: string): Promise<Ended | null> {
    const fill = this.#fills.get(id);
    if (!fill || fill.file.isWritten) return null;
    fill.file.end();
    const { key, size, checksum } = fill;
    const hex = await fill.hashed;
    if (fill.bytes !== size || hex !== checksum.hex) return { key, size, verdict: "mismatch" };
    fill.isVerified = true;
    notify(fill);
    await this.#store.publish(join(fill.file.folder, BODY), key);
    return { key, size, verdict: "stored" };
  }

  /** Removes a fill, and ends it unless it has published its content. */
  async remove(id: string): Promise<void> {
    const fill = this.#fills.get(id);
    if (!fill) return;
    this.#fills.delete(id);
    fill.file.end();
    if (!fill.isVerified) fill.file.abort();
    notify(fill);
    await fill.hashed.catch(() => {});
    await rm(fill.file.folder, { recursive: true, force: true });
  }
}

/** @returns the checksum in hexadecimal; null if the fill was aborted. */
async function hashGrowing(fill: Fill, hash: Hash): Promise<string | null> {
  const link = join(fill.file.folder, GROWING);
  const reading = { link, most: fill.size + 1, gathering: GATHERING };
  const isWhole = await readGrowing(fill.file, reading, (piece) => {
    hash.update(piece);
    fill.bytes += piece.byteLength;
    notify(fill);
  });
  return isWhole ? hash.digest("hex") : null;
}

function notify(fill: Fill): void {
  for (const listener of [...fill.listeners]) listener();
}
