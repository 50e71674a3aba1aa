/** How an isolate reads the keys that are made while the mirror is deployed. */
import { beforeEach, expect, test, vi } from "vitest";
import { generateKey, hashKey } from "../../src/access/keys.ts";
import { StoredKeys } from "../../src/access/stored-keys.ts";

/** KV as a location sees it: what was read stays cached for as long as the reader allows, and other locations write behind it. */
class CachingKv {
  now = 0;
  reads = 0;
  fails = false;
  #value: string | null = null;
  #cached: { value: string | null; until: number } | null = null;

  writeElsewhere(value: unknown): void {
    this.#value = JSON.stringify(value);
  }

  async get(_key: string, { cacheTtl }: { cacheTtl: number }): Promise<string | null> {
    this.reads++;
    if (this.fails) throw new Error("KV is out of order");
    if (!this.#cached || this.#cached.until <= this.now) {
      this.#cached = { value: this.#value, until: this.now + cacheTtl * 1000 };
    }
    return this.#cached.value;
  }
}

let kv: CachingKv;
let keys: StoredKeys;
beforeEach(() => {
  vi.spyOn(console, "warn").mockImplementation(() => {});
  kv = new CachingKv();
  keys = new StoredKeys(kv, () => kv.now);
});

const names = async () => (await keys.list()).map(({ name }) => name);
const written = async (name: string) => ({ name, hash: await hashKey(generateKey()) });

test("what another location changes counts within a minute, at whatever moment it does", async () => {
  const alice = await written("alice");
  for (const moment of [1, 10_000, 24_999, 29_999, 54_000]) {
    kv = new CachingKv();
    keys = new StoredKeys(kv, () => kv.now);
    kv.writeElsewhere([alice]);
    for (kv.now = 0; kv.now < moment; kv.now += 500) expect(await names()).toEqual(["alice"]);
    kv.writeElsewhere([]);
    const revoked = kv.now;
    while ((await names()).length > 0) kv.now += 500;
    expect(kv.now - revoked).toBeLessThanOrEqual(60_000);
  }
});

test("KV is read once in 25 seconds, however many requests there are, and not at all by those that come meanwhile", async () => {
  await names();
  for (let request = 0; request < 100; request++) await names();
  expect(kv.reads).toBe(1);
  kv.now = 25_000;
  await Promise.all(Array.from({ length: 100 }, names));
  expect(kv.reads).toBe(2);
});

test("a change through this isolate counts at once, although KV still serves the former list", async () => {
  kv.writeElsewhere([await written("alice")]);
  expect(await names()).toEqual(["alice"]);
  keys.replace([]);
  expect(await names()).toEqual([]);
});

test("a reading that began before a change doesn't undo it", async () => {
  kv.writeElsewhere([await written("alice")]);
  const reading = names();
  keys.replace([]);
  await reading;
  expect(await names()).toEqual([]);
});

test("while KV fails, the last list counts for ten minutes, and then none does", async () => {
  kv.writeElsewhere([await written("alice")]);
  expect(await names()).toEqual(["alice"]);
  kv.fails = true;
  kv.now = 9 * 60_000;
  expect(await names()).toEqual(["alice"]);
  kv.now = 10 * 60_000;
  await expect(names()).rejects.toMatchObject({ status: 503 });
  kv.fails = false;
  kv.now += 5_000;
  expect(await names()).toEqual(["alice"]);
});

test.each([
  ["no list", {}],
  ["a key without a hash", [{ name: "alice" }]],
  ["a pattern that isn't one", [{ name: "a", hash: "0".repeat(64), allow: [1] }]],
])("a damaged list opens nothing: %s", async (_, damaged) => {
  kv.writeElsewhere(damaged);
  await expect(names()).rejects.toMatchObject({ status: 503 });
});
