/** Files that workerd's disk service writes, read while they grow. */
import { readSync } from "node:fs";
import { type FileHandle, link, open, readdir, stat, truncate } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

export class GrowingFile {
  /** A folder for this file only, into which workerd puts it. */
  readonly folder: string;
  #isWritten = false;
  #isAborted = false;
  #wake = new AbortController();

  constructor(folder: string) {
    this.folder = folder;
  }

  /** Whether workerd has written all, or given up. */
  get isWritten(): boolean {
    return this.#isWritten;
  }

  get isAborted(): boolean {
    return this.#isAborted;
  }

  /** Workerd has written all, or given up: what is there is read to its end. */
  end(): void {
    this.#isWritten = true;
    this.#wake.abort();
  }

  /** Ends the reading, wherever it is. */
  abort(): void {
    this.#isAborted = true;
    this.#wake.abort();
  }

  /** Waits for more to be written, or less long if there will be no more. */
  async pause(milliseconds: number): Promise<void> {
    if (this.#isAborted) return;
    await sleep(milliseconds, undefined, { signal: this.#wake.signal }).catch(() => {});
  }
}

export interface Reading {
  /** A further name that the file gets, and keeps if workerd gives up; null for none. */
  link: string | null;
  /** Bytes to read at a time, if they are fewer than a MiB. */
  most: number;
  /** Milliseconds to wait for more after a read that reached the end: many small reads cost more than hashing does. */
  gathering: number;
}

/** The name by which workerd puts it; until it is complete it is `.body.<pid>.<n>.tmp`. */
export const BODY = "body";
const TEMPORARY = /^\.body\..+\.tmp$/;
const PIECE = 1024 * 1024;
/** Milliseconds between two looks at a file that doesn't grow: the first and the longest. */
const SHORTEST_PAUSE = 2;
const LONGEST_PAUSE = 20;
/** Milliseconds that workerd may take to close a file that it has given up. */
const CLOSING = 10_000;

/**
 * Reads a file until workerd has written it.
 * @param take is given the bytes in their order; they are overwritten once it has ended.
 * @returns false if it was aborted, or there was no file.
 */
export async function readGrowing(
  growing: GrowingFile,
  { link, most, gathering }: Reading,
  take: (piece: Buffer) => Promise<void> | void,
): Promise<boolean> {
  const file = await openGrowing(growing, link);
  if (!file) return false;
  try {
    const piece = Buffer.allocUnsafe(Math.min(PIECE, most));
    let pause = SHORTEST_PAUSE;
    let position = 0;
    while (!growing.isAborted) {
      // Read before the file is: what was written by then is seen by a read that follows.
      const { isWritten } = growing;
      // What was just written is in memory: another thread would cost more than this read.
      const bytesRead = readSync(file.fd, piece, 0, piece.byteLength, position);
      if (bytesRead > 0) {
        await take(piece.subarray(0, bytesRead));
        position += bytesRead;
        pause = SHORTEST_PAUSE;
        if (bytesRead < piece.byteLength) await growing.pause(gathering);
      } else if (isWritten) {
        return true;
      } else {
        await growing.pause(pause);
        pause = Math.min(pause * 2, LONGEST_PAUSE);
      }
    }
    return false;
  } finally {
    await file.close();
  }
}

/**
 * Empties a file again and again until workerd has written it: workerd writes each byte at its own offset, and the file has none of
 * those before.
 * @param onMany called at least once if more bytes come than this.
 */
export async function discardGrowing(growing: GrowingFile, most: number, onMany: () => void): Promise<void> {
  let first: number | null = null;
  while (!growing.isWritten && !growing.isAborted) {
    const size = await emptied(growing);
    if (size > 0) first ??= size;
    if (size - (first ?? 0) > most) onMany();
    await growing.pause(LONGEST_PAUSE);
  }
}

/** @returns the bytes that workerd has written so far; 0 if it has written none since the last time. */
async function emptied({ folder }: GrowingFile): Promise<number> {
  const name = (await readdir(folder)).find((each) => TEMPORARY.test(each));
  if (name === undefined) return 0;
  try {
    const { size } = await stat(join(folder, name));
    if (size > 0) await truncate(join(folder, name));
    return size;
  } catch (error) {
    // It was renamed since the folder was read.
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return 0;
    throw error;
  }
}

/**
 * Waits until workerd has closed the file, complete or given up: it writes nothing more then.
 * @throws Error if it doesn't.
 */
export async function untilClosed({ folder }: GrowingFile): Promise<void> {
  for (const deadline = Date.now() + CLOSING; Date.now() < deadline; await sleep(SHORTEST_PAUSE)) {
    if (!(await readdir(folder)).some((name) => TEMPORARY.test(name))) return;
  }
  throw new Error("the runtime still writes a body that has ended");
}

/** Opens workerd's file as soon as there is one, and links it. */
async function openGrowing(growing: GrowingFile, name: string | null): Promise<FileHandle | null> {
  const { folder } = growing;
  let pause = 1;
  while (!growing.isAborted) {
    const { isWritten } = growing;
    const found = (await readdir(folder)).find((each) => each === BODY || TEMPORARY.test(each));
    if (found !== undefined) {
      try {
        if (name === null) return await open(join(folder, found));
        await link(join(folder, found), name);
        return await open(name);
      } catch (error) {
        // It was renamed since the folder was read.
        if (found === BODY || !(error instanceof Error && "code" in error && error.code === "ENOENT"))
          throw error;
        continue;
      }
    }
    if (isWritten) return null;
    await growing.pause(pause);
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  }
  return null;
}
