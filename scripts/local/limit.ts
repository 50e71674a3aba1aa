/** Keeps the store under CACHE_LIMIT on one machine, where one process sees everything that is stored. */
import { statfs } from "node:fs/promises";
import { type Eviction, evict } from "../../src/store/eviction.ts";
import type { FileStore } from "./file-store.ts";

export class CacheLimit {
  readonly #store: FileStore;
  readonly #limit: number;
  readonly #onEvicted: (eviction: Eviction) => void;
  /** Bytes in the store; what is stored while an eviction counts them is added to what it finds. */
  #stored = 0;
  #running: Promise<void> | null = null;

  /** @param limit bytes. */
  constructor(store: FileStore, limit: number, onEvicted: (eviction: Eviction) => void) {
    this.#store = store;
    this.#limit = limit;
    this.#onEvicted = onEvicted;
  }

  /** Counts what is stored, and evicts what is too much of it. */
  start(): Promise<void> {
    return this.#evict(this.#limit);
  }

  /** Something of so many bytes was stored. */
  add(bytes: number): void {
    this.#stored += bytes;
    if (this.#stored > this.#limit) this.#evict(this.#limit).catch(() => {});
  }

  /** The disk is full, whatever the limit says: room is made for what comes next. */
  makeRoom(): void {
    this.#evict(Math.min(this.#limit, this.#stored - 1)).catch(() => {});
  }

  /** One at a time: a second would list what the first is deleting. */
  #evict(limit: number): Promise<void> {
    this.#running ??= this.#evictNow(limit).finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  async #evictNow(limit: number): Promise<void> {
    const before = this.#stored;
    const eviction = await evict(this.#store, limit);
    this.#stored = eviction.held + (this.#stored - before);
    if (eviction.freed > 0) this.#onEvicted(eviction);
  }

  /** What the disk has for the store, in bytes: what is stored and what is free. */
  async available(folder: string): Promise<number> {
    const { bavail, bsize } = await statfs(folder);
    return this.#stored + bavail * bsize;
  }
}
