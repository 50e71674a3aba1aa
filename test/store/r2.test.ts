/** The store on R2: nothing wrong or partial is ever published, and ranges are what was requested. */
import { reset } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { R2Store } from "../../src/store/r2.ts";
import { contentKey, RangeNotSatisfiable } from "../../src/store/store.ts";
import { patternBytes } from "../support/fake-registry.ts";

const bucket = (env as unknown as { STORE: R2Bucket }).STORE;
const bytes = patternBytes(200_000, 1);
let store: R2Store;
let digest: Digest;
let key: string;

beforeEach(async () => {
  store = new R2Store(bucket);
  digest = await digestOf(bytes);
  key = contentKey("blobs", digest, "public");
});

afterEach(async () => {
  vi.restoreAllMocks();
  await reset();
});

/** A stream that declares `length` and sends `sent`, then ends or breaks; resolves as its writing does. */
function streamOf(sent: Uint8Array, length: number, end: "close" | "abort" = "close") {
  const { readable, writable } = new FixedLengthStream(length);
  const writer = writable.getWriter();
  const write = async () => {
    await writer.write(sent);
    await (end === "close" ? writer.close() : writer.abort(new Error("cut")));
  };
  return { readable, written: write().catch((error: unknown) => error) };
}

async function read(stored: { body: ReadableStream } | null): Promise<Uint8Array> {
  return new Uint8Array(await new Response(stored?.body ?? null).arrayBuffer());
}

async function keys(): Promise<string[]> {
  return (await bucket.list()).objects.map((object) => object.key);
}

describe("where things lie", () => {
  test("blobs and manifests apart, by algorithm and digest, and nothing else of a name in the key", async () => {
    const hex = digest.slice("sha256:".length);
    expect(contentKey("blobs", digest, "public")).toBe(`blobs/sha256/${hex.slice(0, 2)}/${hex}`);
    expect(contentKey("manifests", digest, "public")).toBe(`manifests/sha256/${hex.slice(0, 2)}/${hex}`);
    expect(contentKey("blobs", await digestOf(bytes, "sha512"), "public")).toMatch(
      /^blobs\/sha512\/[0-9a-f]{2}\/[0-9a-f]{128}$/,
    );
  });
});

describe("put", () => {
  test.each(["sha256", "sha512"] as const)(
    "publishes what hashes to its %s, with its type",
    async (algorithm) => {
      const named = await digestOf(bytes, algorithm);
      const { readable, written } = streamOf(bytes, bytes.byteLength);
      await store.put(contentKey("blobs", named, "public"), readable, {
        digest: named,
        contentType: "application/x",
      });
      await written;
      expect(await store.head(contentKey("blobs", named, "public"))).toEqual({
        size: 200_000,
        contentType: "application/x",
      });
      const stored = await store.get(contentKey("blobs", named, "public"));
      expect(stored).toMatchObject({ size: 200_000, contentType: "application/x", range: null });
      expect(await digestOf(await read(stored))).toBe(digest);
    },
  );

  test.each(["sha256", "sha512"] as const)("refuses what doesn't hash to its %s", async (algorithm) => {
    const named = await digestOf(patternBytes(200_000, 2), algorithm);
    await expect(store.put(contentKey("blobs", named, "public"), bytes, { digest: named })).rejects.toThrow();
    const { readable } = streamOf(bytes, bytes.byteLength);
    await expect(
      store.put(contentKey("blobs", named, "public"), readable, { digest: named }),
    ).rejects.toThrow();
    expect(await keys()).toEqual([]);
  });

  test.each(["close", "abort"] as const)("refuses a stream that is cut short: %s", async (end) => {
    const { readable } = streamOf(bytes.slice(0, 150_000), bytes.byteLength, end);
    await expect(store.put(key, readable, { digest })).rejects.toThrow();
    expect(await keys()).toEqual([]);
  });

  test("refuses a cut stream even if its part has the right digest", async () => {
    const part = bytes.slice(0, 65_536);
    const named = await digestOf(part);
    const { readable } = streamOf(part, bytes.byteLength);
    await expect(
      store.put(contentKey("blobs", named, "public"), readable, { digest: named }),
    ).rejects.toThrow();
    expect(await keys()).toEqual([]);
  });

  test("that is refused leaves what lay there before", async () => {
    await store.put(key, bytes, { digest });
    const wrong = store.put(key, patternBytes(10, 2), { digest });
    await expect(wrong).rejects.toThrow();
    expect(await digestOf(await read(await store.get(key)))).toBe(digest);
  });

  test("again of the same is no error", async () => {
    await store.put(key, bytes, { digest });
    await store.put(key, bytes, { digest });
    expect(await keys()).toEqual([key]);
  });

  test("that is refused at once lets go of the stream, so that its writer doesn't wait for ever", async () => {
    const { readable, written } = streamOf(bytes, bytes.byteLength);
    await expect(store.put("too long a key".repeat(200), readable, { digest })).rejects.toThrow();
    // Else this test doesn't end.
    await Promise.allSettled([written]);
  });
});

describe("get", () => {
  beforeEach(() => store.put(key, bytes, { digest }));

  test("of what isn't there is null, with and without a range", async () => {
    for (const missing of [
      await store.head("x"),
      await store.get("x"),
      await store.get("x", { suffix: 5 }),
    ]) {
      expect(missing).toBe(null);
    }
    expect(await store.get("x", { first: 10, last: null })).toBe(null);
  });

  test.each([
    { range: { first: 0, last: 0 }, offset: 0, length: 1 },
    { range: { first: 100, last: 199 }, offset: 100, length: 100 },
    { range: { first: 199_990, last: null }, offset: 199_990, length: 10 },
    { range: { first: 199_990, last: 999_999 }, offset: 199_990, length: 10 },
    { range: { first: 0, last: null }, offset: 0, length: 200_000 },
    { range: { suffix: 10 }, offset: 199_990, length: 10 },
    { range: { suffix: 999_999 }, offset: 0, length: 200_000 },
  ])("of $range is these very bytes, and says so", async ({ range, offset, length }) => {
    const stored = await store.get(key, range);
    expect(stored?.range).toEqual({ offset, length });
    expect(stored?.size).toBe(200_000);
    expect(await digestOf(await read(stored))).toBe(await digestOf(bytes.slice(offset, offset + length)));
  });

  test.each([{ first: 200_000, last: null }, { first: 200_000, last: 200_001 }, { suffix: 0 }])(
    "of %o, which has no byte of it, says how large it is",
    async (range) => {
      // The simulated R2 fails at a range with an end, with an error of its own in the output.
      if ("last" in range && range.last !== null) {
        const refusal = new Error("get: The requested range is not satisfiable (10039)");
        vi.spyOn(Object.getPrototypeOf(bucket), "get").mockRejectedValue(refusal);
      }
      const error: unknown = await store.get(key, range).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(RangeNotSatisfiable);
      expect(error).toMatchObject({ size: 200_000 });
    },
  );

  test.each([{ first: 0, last: null }, { suffix: 5 }])("of %o of an empty object too", async (range) => {
    const empty = await digestOf(new Uint8Array(0));
    await store.put(contentKey("blobs", empty, "public"), new Uint8Array(0), { digest: empty });
    await expect(store.get(contentKey("blobs", empty, "public"), range)).rejects.toThrow(RangeNotSatisfiable);
  });

  test("that fails for another reason is not taken for a range beyond the end", async () => {
    vi.spyOn(Object.getPrototypeOf(bucket), "get").mockRejectedValue(new Error("out of order"));
    await expect(store.get(key, { first: 0, last: 9 })).rejects.toThrow("out of order");
  });
});

describe("delete and list", () => {
  test("delete ends an object, and is content if there is none", async () => {
    await store.put(key, bytes, { digest });
    await store.delete([key]);
    await store.delete([key]);
    expect(await store.head(key)).toBe(null);
  });

  test("list goes through all keys under a prefix in order, a page at a time", async () => {
    const names = Array.from({ length: 1203 }, (_, index) => `blobs/${String(index).padStart(5, "0")}`);
    for (let start = 0; start < names.length; start += 100) {
      await Promise.all(names.slice(start, start + 100).map((name) => bucket.put(name, "")));
    }
    await bucket.put("manifests/x", "");
    const listed: string[] = [];
    let cursor: string | null = null;
    let pages = 0;
    do {
      const page: Awaited<ReturnType<typeof store.list>> = await store.list("blobs/", cursor ?? undefined);
      listed.push(...page.entries.map(({ key }) => key));
      cursor = page.cursor;
      pages++;
    } while (cursor !== null && pages < 10);
    expect(listed).toEqual(names);
    expect(pages).toBeGreaterThan(1);
  });

  test("list of nothing is empty and has no further page", async () => {
    expect(await store.list("nothing/")).toEqual({ entries: [], cursor: null });
  });
});
