/** What the cache may take of the disk: a part of it stays free for everything else, so that the disk is never full of images. */
import { statfs } from "node:fs/promises";

/** Bytes that stay free, or a twentieth of a disk that is small. */
const FLOOR = 1_000_000_000;
const SHARE = 20;

export class FreeSpace {
  readonly #folder: string;
  readonly #floor: number | null;

  /** @param floor MIN_FREE, in bytes; null for the default. */
  constructor(folder: string, floor: number | null) {
    this.#folder = folder;
    this.#floor = floor;
  }

  /** Bytes that may still be stored; less than nothing where less than the floor is free. */
  async left(): Promise<number> {
    const { bavail, blocks, bsize } = await statfs(this.#folder);
    return bavail * bsize - (this.#floor ?? Math.min(FLOOR, (blocks * bsize) / SHARE));
  }

  /** @throws an error with the code ENOSPC if so many bytes may not be stored. */
  async require(bytes: number): Promise<void> {
    if ((await this.left()) >= bytes) return;
    throw Object.assign(new Error("no space left above MIN_FREE"), { code: "ENOSPC" });
  }
}
