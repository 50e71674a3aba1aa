/**
 * Uploads of hosted content: files that grow by what clients append. workerd writes each body into a folder of its own in
 * `incoming`. The first becomes the upload's file by a second name; what follows is appended here. All of it is hashed as it
 * comes, so that nothing is left to do at the end but to compare and rename.
 */
import { createHash, type Hash, randomUUID } from "node:crypto";
import { mkdir, open, rm, stat, statfs, truncate } from "node:fs/promises";
import { dirname, join } from "node:path";
import { boundedMap } from "../../src/registry/bounded-map.ts";
import { type AppendBound, type BegunAppend, BeyondBound, uploadKey } from "../../src/store/store.ts";
import type { Checksum, FileStore } from "./file-store.ts";
import { discardGrowing, GrowingFile, readGrowing, untilClosed } from "./growing-file.ts";

/** The algorithm of most digests. Content with a digest of another one is read again at its end. */
const ALGORITHM = "sha256";
/** Uploads whose running hash is kept; those of others are read again at their end. */
const MOST_HASHES = 1_000;
/** If a body broke off with fewer bytes of free space than this, the disk is taken to be full. */
const LEAST_SPACE = 1024 * 1024;
/** With this many bytes of free space after the body, as far as its length is known, a push is unlikely to fill the disk. */
const AMPLE_SPACE = 8 * 1024 ** 3;
const PIECE = 1024 * 1024;
/** Bytes that are discarded of a body beyond its bound, so that its client sees why: one that is still sending doesn't see a response. */
const MOST_DISCARDED = 1024 ** 3;
/** Milliseconds: long, as no client waits for what is read before the end. */
const GATHERING = 20;

interface Append {
  file: GrowingFile;
  upload: string;
  offset: number;
  /** Bytes that were appended. */
  bytes: number;
  bound: AppendBound | null;
  /** True once the body should be cut off, false once it has ended. */
  endless: PromiseWithResolvers<boolean>;
  /** Ends once all is appended. */
  done: Promise<void>;
}

/** The hash of an upload's first bytes. */
interface Hashed {
  hash: Hash;
  bytes: number;
}

export class Uploads {
  readonly #incoming: string;
  readonly #store: FileStore;
  readonly #appends = new Map<string, Append>();
  /** The last append of each upload that has one under way. */
  readonly #current = new Map<string, Append>();
  readonly #hashes = boundedMap<string, Hashed>(MOST_HASHES);

  /** @param incoming a folder on the same file system as the store's, into which workerd puts bodies. */
  constructor(incoming: string, store: FileStore) {
    this.#incoming = incoming;
    this.#store = store;
  }

  /**
   * Expects workerd to PUT a body to `<id>/body`, and appends it as it comes. An append of the same upload that is under way ends.
   * @param upload a UUID.
   * @param offset bytes that the upload has; what lies beyond them is discarded.
   * @param length bytes of the body; null if they aren't known.
   * @param bound null for none.
   * @throws an error with the code ENOSPC if the disk has no room for it.
   */
  async begin(
    upload: string,
    offset: number,
    length: number | null,
    bound: AppendBound | null = null,
  ): Promise<BegunAppend> {
    const space = await this.#space();
    if (space < (length ?? LEAST_SPACE)) throw noSpace();
    const id = randomUUID();
    const folder = join(this.#incoming, id);
    const append: Append = {
      file: new GrowingFile(folder),
      upload,
      offset,
      bytes: 0,
      bound: bound && { ...bound },
      endless: Promise.withResolvers(),
      done: Promise.resolve(),
    };
    const previous = this.#current.get(upload);
    this.#current.set(upload, append);
    this.#appends.set(id, append);
    const made = mkdir(folder, { mode: 0o700 });
    append.done = made.then(() => this.#take(append, previous));
    append.done.catch(() => {});
    await made;
    return { id, mayFillDisk: space - (length ?? 0) < AMPLE_SPACE };
  }

  /** Waits until a body should be cut off because too much of it was discarded. @returns false once it has ended. */
  async isEndless(id: string): Promise<boolean> {
    return this.#appends.get(id)?.endless.promise ?? false;
  }

  /**
   * The body has ended.
   * @param isComplete whether workerd has written all of it.
   * @returns the bytes that were appended; null if another append has ended this one.
   * @throws an error with the code ENOSPC if the disk was full, or BeyondBound; the upload is discarded then.
   */
  async end(id: string, isComplete: boolean): Promise<number | null> {
    const append = this.#appends.get(id);
    if (!append) return null;
    try {
      await untilClosed(append.file);
      append.file.end();
      await append.done;
      if (append.file.isAborted) return null;
      if (!isComplete && (await this.#space()) < LEAST_SPACE) throw noSpace();
      // These bytes are recorded from now on; the other appends' bounds were set without them.
      for (const { bound } of this.#groupOf(append)) if (bound) bound.bytes -= append.bytes;
      return append.bytes;
    } catch (error) {
      append.file.abort();
      if (this.#current.get(append.upload) === append) await this.#discard(append.upload);
      throw error;
    } finally {
      this.#appends.delete(id);
      append.endless.resolve(false);
      if (this.#current.get(append.upload) === append) this.#current.delete(append.upload);
      await rm(append.file.folder, { recursive: true, force: true });
    }
  }

  /**
   * Publishes an upload in the store, atomically, and forgets it.
   * @param size bytes that it has.
   * @returns false if it has another size or checksum.
   */
  async publish(upload: string, size: number, key: string, { algorithm, hex }: Checksum): Promise<boolean> {
    await this.#abort(this.#current.get(upload));
    const path = this.#pathOf(upload);
    const found = await stat(path).catch(() => null);
    if (!found || found.size < size) return false;
    if (found.size > size) await truncate(path, size);
    const hashed = this.#hashes.get(upload);
    const isHashed = algorithm === ALGORITHM && hashed?.bytes === size;
    // A copy, so that a wrong digest doesn't end the hash.
    const actual = isHashed ? hashed.hash.copy().digest("hex") : await hashOf(path, algorithm);
    if (actual !== hex) return false;
    await this.#store.publish(path, key);
    await this.forget(upload);
    return true;
  }

  /** Lets go of an upload whose file is deleted or published. */
  async forget(upload: string): Promise<void> {
    this.#hashes.delete(upload);
    await this.#abort(this.#current.get(upload));
    await rm(dirname(this.#pathOf(upload)), { recursive: true, force: true });
  }

  async #take(append: Append, previous: Append | undefined): Promise<void> {
    await this.#abort(previous);
    if (append.file.isAborted) return;
    try {
      await this.#read(append);
    } catch (error) {
      if (!(error instanceof BeyondBound)) throw error;
      await this.#discard(append.upload);
      await discardGrowing(append.file, MOST_DISCARDED, () => append.endless.resolve(true));
      throw error;
    }
  }

  async #read(append: Append): Promise<void> {
    const { upload, offset } = append;
    const path = this.#pathOf(upload);
    const hashed = this.#hashFrom(upload, offset);
    const add = (piece: Buffer): void => {
      append.bytes += piece.byteLength;
      if (this.#isBeyond(append)) throw new BeyondBound();
      if (!hashed) return;
      hashed.hash.update(piece);
      hashed.bytes += piece.byteLength;
    };
    const reading = { link: null, most: PIECE, gathering: GATHERING };
    if (offset === 0) {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      // A new file: workerd may still be writing to the one before.
      await rm(path, { force: true });
      await readGrowing(append.file, { ...reading, link: path }, add);
      return;
    }
    const file = await open(path, "a");
    try {
      if ((await file.stat()).size < offset) throw new Error("the upload has lost some of its content");
      await file.truncate(offset);
      await readGrowing(append.file, reading, async (piece) => {
        await file.appendFile(piece);
        add(piece);
      });
    } finally {
      await file.close();
    }
  }

  #isBeyond(append: Append): boolean {
    const { bound } = append;
    if (bound === null) return false;
    return this.#groupOf(append).reduce((sum, { bytes }) => sum + bytes, 0) > bound.bytes;
  }

  /** The appends under way that share a bound with this one, which is one of them. */
  #groupOf({ bound }: Append): Append[] {
    if (bound === null) return [];
    return [...this.#appends.values()].filter((each) => each.bound?.group === bound.group);
  }

  /** The hash to go on with; null if that of the bytes so far isn't known. */
  #hashFrom(upload: string, offset: number): Hashed | null {
    const known = this.#hashes.get(upload);
    if (known?.bytes === offset) return known;
    this.#hashes.delete(upload);
    if (offset > 0) return null;
    const hashed = { hash: createHash(ALGORITHM), bytes: 0 };
    this.#hashes.set(upload, hashed);
    return hashed;
  }

  async #abort(append: Append | undefined): Promise<void> {
    if (!append) return;
    append.file.abort();
    await append.done.catch(() => {});
  }

  async #discard(upload: string): Promise<void> {
    this.#hashes.delete(upload);
    await rm(this.#pathOf(upload), { force: true });
  }

  async #space(): Promise<number> {
    const { bavail, bsize } = await statfs(this.#incoming);
    return bavail * bsize;
  }

  #pathOf(upload: string): string {
    return this.#store.pathOf(uploadKey(upload));
  }
}

async function hashOf(path: string, algorithm: string): Promise<string> {
  const hash = createHash(algorithm);
  const file = await open(path);
  try {
    const piece = Buffer.allocUnsafe(PIECE);
    for (;;) {
      const { bytesRead } = await file.read(piece, 0, PIECE, null);
      if (bytesRead === 0) return hash.digest("hex");
      hash.update(piece.subarray(0, bytesRead));
    }
  } finally {
    await file.close();
  }
}

function noSpace(): Error {
  return Object.assign(new Error("no space left for an upload"), { code: "ENOSPC" });
}
