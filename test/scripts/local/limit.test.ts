/** CACHE_LIMIT on one machine, against evictions that take their time. */
import { describe, expect, test } from "vitest";
import { CacheLimit } from "../../../scripts/local/limit.ts";

/** A store of which an eviction frees what exceeds the limit, `pinned` bytes at most staying. */
class FakeStore {
  stored = 0;
  evictions = 0;
  /** Ends the listing of each eviction. */
  listed: (() => void)[] = [];
  readonly limit = new CacheLimit(
    async (bytes) => {
      this.evictions++;
      const seen = this.stored;
      await new Promise<void>((resolve) => this.listed.push(resolve));
      const freed = Math.max(0, seen - Math.max(bytes, this.pinned));
      this.stored -= freed;
      return { stored: seen - freed, freed };
    },
    100,
    () => {},
  );

  readonly pinned: number;

  constructor(pinned = 0) {
    this.pinned = pinned;
  }

  add(bytes: number): void {
    this.stored += bytes;
    this.limit.add(bytes);
  }

  async endEviction(): Promise<void> {
    await expect.poll(() => this.listed.length).toBeGreaterThan(0);
    this.listed.shift()?.();
  }
}

describe("what is stored while an eviction runs", () => {
  test("is evicted after it, although nothing more is stored", async () => {
    const store = new FakeStore();
    store.add(150);
    store.add(80);
    await store.endEviction();
    await store.endEviction();
    await expect.poll(() => store.stored).toBe(100);
    expect(store.limit.stored).toBe(100);
    expect(store.evictions).toBe(2);
  });

  test("starts none where it is below the limit", async () => {
    const store = new FakeStore();
    store.add(150);
    await store.endEviction();
    await expect.poll(() => store.limit.stored).toBe(100);
    expect(store.evictions).toBe(1);
  });
});

test("what may not leave doesn't start one eviction after the other", async () => {
  const store = new FakeStore(180);
  store.add(180);
  await store.endEviction();
  await expect.poll(() => store.limit.stored).toBe(180);
  expect(store.evictions).toBe(1);
});
