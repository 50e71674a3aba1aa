/** Tag records: three tiers, how long each is believed, and what happens when one of them fails. */
import { reset } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type TagName, type TagRecord, TagRecords } from "../../src/store/tag-records.ts";

const kv = (env as unknown as { TAGS: KVNamespace }).TAGS;
const name: TagName = {
  upstream: "docker.io",
  repository: "library/demo",
  tag: "latest",
  visibility: "public",
};
const KEY = "tags/docker.io/library/demo/latest";
const DAY = 24 * 3600 * 1000;
const TTL = 300;

/** Ahead of the real clock by this much, in milliseconds. */
let ahead: number;
const now = () => Date.now() + ahead;
const edge = () => caches.open("portolan");
let records: TagRecords;

beforeEach(() => {
  ahead = 0;
  vi.spyOn(console, "warn").mockImplementation(() => {});
  records = another();
});

afterEach(async () => {
  vi.restoreAllMocks();
  await reset();
});

/** The records as another isolate has them: with an empty memory. */
function another(): TagRecords {
  return new TagRecords({ kv, edge, now });
}

function recordAt(confirmed: number, hex = "a"): TagRecord {
  return { digest: `sha256:${hex.repeat(64)}`, mediaType: "application/x", size: 7, confirmed };
}

describe("fresh", () => {
  test("is from memory here, from the edge in another isolate, and from memory there ever after", async () => {
    const record = recordAt(now());
    await records.remember(name, record, TTL);
    expect(await records.fresh(name, TTL)).toEqual({ record, from: "memory" });
    const other = another();
    expect(await other.fresh(name, TTL)).toEqual({ record, from: "edge" });
    expect(await other.fresh(name, TTL)).toEqual({ record, from: "memory" });
  });

  test("is nothing once the record is as old as the time it is fresh for, in either tier", async () => {
    await records.remember(name, recordAt(now()), TTL);
    ahead += TTL * 1000 - 500;
    expect(await records.fresh(name, TTL)).not.toBe(null);
    ahead += 501;
    expect(await records.fresh(name, TTL)).toBe(null);
    expect(await another().fresh(name, TTL)).toBe(null);
  });

  test("is never with a time of 0", async () => {
    await records.remember(name, recordAt(now()), 0);
    expect(await records.fresh(name, 0)).toBe(null);
    expect(await another().fresh(name, TTL)).toBe(null);
  });

  test("asks the edge when what memory has is too old, as another isolate may have requested upstream", async () => {
    await records.remember(name, recordAt(now()), TTL);
    ahead += TTL * 1000 + 1;
    const later = recordAt(now(), "b");
    await another().remember(name, later, TTL);
    expect(await records.fresh(name, TTL)).toEqual({ record: later, from: "edge" });
  });

  test("is each tag's, repository's, upstream's and visibility's own", async () => {
    await records.remember(name, recordAt(now()), TTL);
    for (const change of [
      { tag: "other" },
      { repository: "library/other" },
      { upstream: "ghcr.io" },
      { visibility: "private" as const },
    ]) {
      expect(await records.fresh({ ...name, ...change }, TTL)).toBe(null);
      expect(await another().fresh({ ...name, ...change }, TTL)).toBe(null);
    }
  });

  test.each(["{", "{}", '{"digest":"x"}'])("passes over a damaged entry at the edge: %s", async (text) => {
    const headers = { "Cache-Control": "max-age=60" };
    await (await edge()).put(`https://tags.portolan.invalid/${KEY}`, new Response(text, { headers }));
    expect(await records.fresh(name, TTL)).toBe(null);
  });

  test("is from memory where there is no edge cache, or it can't be opened", async () => {
    const failing = () => Promise.reject(new Error("no cache here"));
    for (const none of [() => Promise.resolve(null), failing]) {
      const alone = new TagRecords({ kv, edge: none, now });
      expect(await alone.fresh(name, TTL)).toBe(null);
      await alone.remember(name, recordAt(now()), TTL);
      expect(await alone.fresh(name, TTL)).toMatchObject({ from: "memory" });
      await alone.forget(name);
      expect(await alone.fresh(name, TTL)).toBe(null);
    }
  });

  test("is nothing, and no error, where the edge cache is out of order", async () => {
    const cache = Object.getPrototypeOf(caches.default);
    for (const operation of ["match", "put", "delete"]) {
      vi.spyOn(cache, operation).mockRejectedValue(new Error("out of order"));
    }
    expect(await records.fresh(name, TTL)).toBe(null);
    await records.remember(name, recordAt(now()), TTL);
    expect(await records.fresh(name, TTL)).toMatchObject({ from: "memory" });
    await records.end(name, recordAt(now()));
    expect(await records.fresh(name, TTL)).toBe(null);
  });
});

describe("age", () => {
  test("is the time since upstream last confirmed the record", () => {
    const record = recordAt(now());
    ahead += 5000;
    expect(records.age(record)).toBeGreaterThanOrEqual(5000);
    expect(records.age(record)).toBeLessThan(6000);
  });

  test("of a record from a clock that is a little ahead is nothing, and not less", () => {
    expect(records.age(recordAt(now() + 5000))).toBe(0);
  });

  test("of a record from a clock that is far ahead is no reason to believe it for so long", async () => {
    await records.remember(name, recordAt(now() + 365 * DAY), TTL);
    ahead += TTL * 1000 + 1;
    expect(await records.fresh(name, TTL)).toBe(null);
  });
});

describe("the durable record", () => {
  test("is read as it was written", async () => {
    const record = recordAt(now());
    await records.write(name, record, null);
    expect(await another().read(name)).toEqual(record);
    expect(await kv.get(KEY)).not.toBe(null);
  });

  test.each([
    { what: "an unchanged one, an hour later", later: 3_600_000, hex: "a", writes: 0 },
    { what: "an unchanged one, a day later", later: DAY, hex: "a", writes: 1 },
    { what: "an unchanged one from a clock far ahead", later: -365 * DAY, hex: "a", writes: 1 },
    { what: "a changed one", later: 1000, hex: "b", writes: 1 },
  ])("is written sparingly: $what, $writes", async ({ later, hex, writes }) => {
    const before = recordAt(now());
    await records.write(name, before, null);
    const put = vi.spyOn(Object.getPrototypeOf(kv), "put");
    await records.write(name, recordAt(before.confirmed + later, hex), before);
    expect(put).toHaveBeenCalledTimes(writes);
  });

  test("is no freshness: that is upstream's word, or memory's and the edge's", async () => {
    await records.write(name, recordAt(now()), null);
    expect(await records.fresh(name, TTL)).toBe(null);
  });

  test.each([
    "",
    "null",
    "7",
    '{"digest":"md5:x","mediaType":"a/b","size":1,"confirmed":1}',
    JSON.stringify({ ...recordAt(1), size: 1.5 }),
    JSON.stringify({ ...recordAt(1), size: "7" }),
    JSON.stringify({ ...recordAt(1), confirmed: "then" }),
    JSON.stringify({ ...recordAt(1), mediaType: 5 }),
  ])("is null if it is damaged: %s", async (text) => {
    await kv.put(KEY, text);
    expect(await records.read(name)).toBe(null);
  });

  test("is ended in every tier", async () => {
    const record = recordAt(now());
    await records.write(name, record, null);
    await records.remember(name, record, TTL);
    await records.end(name, recordAt(now()));
    expect(await records.read(name)).toBe(null);
    expect(await records.fresh(name, TTL)).toBe(null);
    expect(await another().fresh(name, TTL)).toBe(null);
  });

  test("can be out of reach without an error", async () => {
    for (const operation of ["get", "put", "delete"]) {
      vi.spyOn(Object.getPrototypeOf(kv), operation).mockRejectedValue(new Error("out of order"));
    }
    expect(await records.read(name)).toBe(null);
    await records.write(name, recordAt(now()), null);
    await records.end(name, recordAt(now()));
  });

  test("isn't taken for one of a longer name: no two names share a key", async () => {
    await records.write({ ...name, repository: "a/b", tag: "c" }, recordAt(now()), null);
    expect(await records.read({ ...name, repository: "a", tag: "b" })).toBe(null);
  });
});
