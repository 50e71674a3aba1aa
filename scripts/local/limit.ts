/** Keeps the store under CACHE_LIMIT on one machine, where one process sees everything that is stored. */
import type { Eviction } from "../../src/ledger/evicted.ts";

/** What brings the store under a limit in bytes. */
export type Evict = (limit: number) => Promise<Eviction>;

export class CacheLimit {
  readonly #evictTo: Evict;
  readonly #limit: number;
  readonly #onEvicted: (eviction: Eviction) => void;
  /** Bytes in the store; objects stored while an eviction counts them are added to its result. */
  #stored = 0;
  #running: Promise<void> | null = null;

  /** @param limit bytes. */
  constructor(evict: Evict, limit: number, onEvicted: (eviction: Eviction) => void) {
    this.#evictTo = evict;
    this.#limit = limit;
    this.#onEvicted = onEvicted;
  }

  /** Counts what is stored, and evicts what exceeds the limit. */
  start(): Promise<void> {
    return this.#evict(this.#limit);
  }

  /** Records that an object of so many bytes was stored. */
  add(bytes: number): void {
    this.#stored += bytes;
    if (this.#stored > this.#limit) this.#evict(this.#limit).catch(() => {});
  }

  /** The disk is full, or nearly, even if the limit isn't reached: frees space for what comes next. */
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
    const eviction = await this.#evictTo(limit);
    const added = this.#stored - before;
    this.#stored = eviction.stored + added;
    if (eviction.freed > 0) this.#onEvicted(eviction);
    // What came too late for its list may be too much, and nothing else may come for hours.
    if (added > 0 && this.#stored > this.#limit) await this.#evictNow(this.#limit);
  }

  /** Bytes in the store, as they are known. */
  get stored(): number {
    return this.#stored;
  }
}
