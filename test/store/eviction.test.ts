import { reset } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import worker from "../../src/index.ts";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { createServices, type Env, isolate } from "../../src/services.ts";
import { evict } from "../../src/store/eviction.ts";
import { R2Store } from "../../src/store/r2.ts";
import { contentKey, digestIn } from "../../src/store/store.ts";
import { patternBytes } from "../support/fake-registry.ts";

const bindings = env as unknown as Env;
const store = new R2Store(bindings.STORE);
const NO_USE = new Map<Digest, number>();

afterEach(async () => {
  isolate.services = null;
  await reset();
});

async function put(kind: (digest: Digest) => string, seed: number): Promise<string> {
  const bytes = patternBytes(1000, seed);
  const digest = await digestOf(bytes);
  await store.put(kind(digest), bytes, { digest });
  // The store tells the time in milliseconds; two objects shall not share one.
  await new Promise((resolve) => setTimeout(resolve, 3));
  return kind(digest);
}

async function storedKeys(): Promise<string[]> {
  return (await bindings.STORE.list()).objects.map(({ key }) => key).sort();
}

const blobOf = (digest: Digest) => contentKey("blobs", digest, "public");
const manifestOf = (digest: Digest) => contentKey("manifests", digest, "public");

describe("a store over its limit", () => {
  let first: string;
  let rest: string[];

  beforeEach(async () => {
    const manifest = await put(manifestOf, 0);
    first = await put(blobOf, 1);
    rest = [manifest, await put(blobOf, 2), await put(blobOf, 3)];
  });

  test("loses what was stored first, until a tenth of the limit is free", async () => {
    expect(await evict(store, 3500, NO_USE)).toEqual({ stored: 3000, freed: 1000 });
    expect(await storedKeys()).toEqual([...rest].sort());
  });

  test("loses what wasn't used for longest, not what was stored first", async () => {
    const used = digestIn(first);
    if (!used) throw new Error("it is a blob's key");
    expect(await evict(store, 3500, new Map([[used, Date.now() + 1000]]))).toEqual({
      stored: 3000,
      freed: 1000,
    });
    expect(await storedKeys()).toEqual([rest[0], first, rest[2]].sort());
  });

  test("loses its manifests last, and they too when nothing else is left", async () => {
    expect(await evict(store, 1200, NO_USE)).toEqual({ stored: 1000, freed: 3000 });
    expect(await storedKeys()).toEqual([rest[0]]);
    expect(await evict(store, 0, NO_USE)).toEqual({ stored: 0, freed: 1000 });
  });

  test("loses a large manifest as it loses blobs, so that a few of them can't take all the room", async () => {
    const bytes = patternBytes(300_000, 9);
    const digest = await digestOf(bytes);
    await store.put(contentKey("manifests", digest, "public"), bytes, { digest });
    expect(await evict(store, 4500, NO_USE)).toEqual({ stored: 1000, freed: 303_000 });
    expect(await storedKeys()).toEqual([rest[0]]);
  });

  test("counts what is private, and loses it in its turn", async () => {
    const manifest = await put((digest) => contentKey("manifests", digest, "private"), 4);
    const blob = await put((digest) => contentKey("blobs", digest, "private"), 5);
    expect(await evict(store, 5500, NO_USE)).toEqual({ stored: 4000, freed: 2000 });
    expect(await storedKeys()).toEqual([rest[0], rest[2], manifest, blob].sort());
    expect(await evict(store, 2500, NO_USE)).toEqual({ stored: 2000, freed: 2000 });
    expect(await storedKeys()).toEqual([rest[0], manifest].sort());
  });

  test("that is under it loses nothing", async () => {
    expect(await evict(store, 4000, NO_USE)).toEqual({ stored: 4000, freed: 0 });
    expect(await storedKeys()).toEqual([first, ...rest].sort());
  });

  test("is brought back under it by the cron, which logs what it freed", async () => {
    const log = vi.spyOn(console, "log").mockReturnValue();
    isolate.services = createServices({ ...bindings, ...{ CACHE_LIMIT: "3.5 kB" } });
    await worker.scheduled({ scheduledTime: 0, cron: "", noRetry() {} }, bindings);
    expect(await storedKeys()).toEqual([...rest].sort());
    expect(log.mock.calls).toEqual([["evicted 1000 bytes; 3000 of 3500 are stored"]]);
    log.mockRestore();
  });
});
