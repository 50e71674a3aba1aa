/** The store under its limit: what leaves, what stays, and what a ledger that fails changes about it. */
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import worker from "../../src/index.ts";
import { keepLimit } from "../../src/ledger/eviction.ts";
import { Ledger } from "../../src/objects/ledger.ts";
import type { Digest } from "../../src/oci/digest.ts";
import { createServices, type Env, isolate } from "../../src/services.ts";
import { contentKey, hostedKey, linkKey } from "../../src/store/store.ts";
import { type FakeRegistry, type Image, patternBytes } from "../support/fake-registry.ts";
import { useMirror } from "../support/mirror.ts";

const PINNED = { PIN: ["docker.io/library/pinned:1", "docker.io/team/*"] };
const mirror = useMirror(PINNED);
const HOUR = 3_600_000;

const blobKey = (digest: string) => contentKey("blobs", digest as Digest, "public");
const manifestKey = (digest: string) => contentKey("manifests", digest as Digest, "public");
const ledger = () => (env as unknown as Env).LEDGER.getByName("ledger");
const evict = (limit: number) => keepLimit(mirror.services, limit);

/** An image of a layer of its own and a base. */
async function addImage(name: string, layers: Uint8Array[], registry: FakeRegistry = mirror.docker) {
  const [repository = "", tag = "latest"] = name.split(":");
  return registry.addImage(repository, tag, { layers });
}

async function pull(name: string, { configs, layers }: Image): Promise<void> {
  const [repository, tag = "latest"] = name.split(":");
  const paths = [`manifests/${tag}`, ...[...configs, ...layers].map(({ digest }) => `blobs/${digest}`)];
  for (const path of paths) {
    const { status } = await mirror.request(`/v2/${repository}/${path}`);
    expect([path, status]).toEqual([path, 200]);
  }
}

/** Records that an image was used in an hour, beginning with the one that is now. */
const use = ({ target }: Image, name: string, hours = 0) =>
  ledger().add(
    { uses: [{ digest: target.digest as Digest, source: `docker.io/${name}` }] },
    Date.now() + hours * HOUR,
  );

const keysOf = ({ target, configs, layers }: Image) => [
  manifestKey(target.digest),
  ...[...configs, ...layers].map(({ digest }) => blobKey(digest)),
];
const stored = async (image: Image) => {
  const keys = await mirror.stored();
  return keysOf(image).filter((key) => keys.includes(key)).length / keysOf(image).length;
};
/** Lets what is stored be older than what is being pulled. */
const later = () => {
  mirror.clock.ahead += 2 * HOUR;
};

const BASE = patternBytes(50_000, 1);

describe("eviction", () => {
  let first: Image;
  let second: Image;

  beforeEach(async () => {
    first = await addImage("library/first", [BASE, patternBytes(30_000, 2)]);
    second = await addImage("library/second", [BASE, patternBytes(30_001, 3)]);
    await pull("library/first", first);
    await pull("library/second", second);
    await use(first, "library/first");
    await use(second, "library/second");
    later();
  });

  test("of an image that was used keeps it, although it was stored first", async () => {
    await use(first, "library/first", 1);
    await use(first, "library/first", 2);
    const { freed } = await evict(111_000);
    expect(freed).toBeGreaterThan(30_000);
    expect([await stored(first), await stored(second)]).toEqual([1, 0.25]);
  });

  test("of an image that the owner has pinned meanwhile doesn't happen, until it is unpinned; without the list, nothing is evicted", async () => {
    const pattern = "docker.io/library/second:*";
    await mirror.services.pins.pin({ pattern });
    expect(await mirror.services.pins.list()).toContainEqual({ pattern, from: "mirror" });
    await evict(0);
    expect([await stored(first), await stored(second)]).toEqual([0.25, 1]);
    mirror.outage("TAGS", "get");
    await expect(evict(0)).rejects.toThrow();
    expect(await stored(second)).toBe(1);
    vi.mocked(mirror.bindings.TAGS.get).mockRestore();
    await mirror.services.pins.unpin(pattern);
    await evict(0);
    expect(await stored(second)).toBe(0);
  });

  test("of nothing happens under the limit", async () => {
    const before = await mirror.stored();
    expect(await evict(1_000_000)).toMatchObject({ freed: 0 });
    expect(await mirror.stored()).toEqual(before);
  });

  test("takes an image whole: its manifest isn't left without its layers", async () => {
    const third = await addImage("library/third", [patternBytes(40_000, 4), patternBytes(41_000, 5)]);
    await pull("library/third", third);
    await use(third, "library/third", 1);
    later();
    await evict(150_000);
    for (const image of [first, second, third]) {
      const [manifest = "", ...others] = keysOf(image);
      const keys = await mirror.stored();
      const isKept = keys.includes(manifest);
      // The base stays for the image that is kept.
      const left = others.filter(
        (key) => keys.includes(key) && key !== blobKey(first.layers[0]?.digest ?? ""),
      );
      expect(left).toHaveLength(isKept ? others.length - Number(image !== third) : 0);
    }
    expect(await stored(third)).toBe(1);
  });

  test("leaves a shared blob to the image that needs it, which is never answered 200 with an empty body", async () => {
    await use(second, "library/second", 1);
    await evict(111_000);
    expect([await stored(first), await stored(second)]).toEqual([0.25, 1]);
    mirror.docker.fail({ kind: "blob" }, { status: 500 });
    const shared = await mirror.request(`/v2/library/second/blobs/${second.layers[0]?.digest}`);
    expect([shared.status, shared.bytes]).toEqual([200, BASE]);
    mirror.docker.clearFaults();
    await pull("library/first", first);
    expect(await stored(first)).toBe(1);
  });

  test("frees everything where nothing is pinned, private content and its links too", async () => {
    const hidden = patternBytes(20_000, 7);
    const digest = `sha256:${"a".repeat(64)}` as Digest;
    const link = linkKey("docker.io", "owner/secret", digest);
    await mirror.bindings.STORE.put(contentKey("blobs", digest, "private"), hidden);
    await mirror.bindings.STORE.put(link, "");
    expect(await evict(0)).toMatchObject({ stored: 0 });
    expect(await mirror.stored()).toEqual([link]);
    await evict(0);
    expect(await mirror.stored()).toEqual([]);
  });

  test("leaves what is pinned, by its tag or its repository, whatever the limit", async () => {
    const pinned = await addImage("library/pinned:1", [BASE, patternBytes(60_000, 8)]);
    const other = await addImage("library/pinned:2", [patternBytes(60_000, 9)]);
    const team = await addImage("team/app", [patternBytes(60_000, 10)]);
    await pull("library/pinned:1", pinned);
    await pull("library/pinned:2", other);
    await pull("team/app", team);
    later();
    await evict(1);
    expect(await Promise.all([pinned, other, team, first].map(stored))).toEqual([1, 0, 1, 0.25]);
  });

  test("of a pinned repository takes what a tag no longer names after everything else", async () => {
    const old = await addImage("team/app", [patternBytes(60_000, 11)]);
    await pull("team/app", old);
    await use(old, "team/app");
    const current = await addImage("team/app", [patternBytes(60_000, 12)]);
    later();
    await pull("team/app", current);
    await use(first, "library/first", 30);
    await evict(140_000);
    expect(await Promise.all([current, old, second].map(stored))).toEqual([1, 1, 0]);
    await evict(1);
    expect(await Promise.all([current, old, first].map(stored))).toEqual([1, 0, 0]);
  });

  test("leaves hosted content", async () => {
    const key = hostedKey("blobs", `sha256:${"b".repeat(64)}`);
    await mirror.bindings.STORE.put(key, patternBytes(10, 1));
    await evict(0);
    expect(await mirror.stored()).toEqual([key]);
  });

  test("frees what no image needs before any image", async () => {
    const loose = await mirror.docker.addBlob(patternBytes(40_000, 14), { repository: "library/first" });
    await mirror.request(`/v2/library/first/blobs/${loose.digest}`);
    later();
    await evict(150_000);
    expect(await mirror.stored()).not.toContain(blobKey(loose.digest));
    expect(await Promise.all([first, second].map(stored))).toEqual([1, 1]);
  });

  test("leaves no manifest in memory that the store no longer has, so that the next pull stores it again", async () => {
    await evict(0);
    await pull("library/first", first);
    expect(await stored(first)).toBe(1);
  });
});

describe("the ledger", () => {
  let image: Image;
  beforeEach(async () => {
    image = await addImage("library/demo", [BASE]);
    await pull("library/demo", image);
    later();
  });

  test("that was reset loses no content, and learns again what manifests refer to", async () => {
    await evict(1_000_000);
    await evict(0);
    await pull("library/demo", image);
    expect((await ledger().index()).references).toEqual([]);
    await evict(1);
    expect(await mirror.stored()).toEqual([]);
  });

  test.each(["index", "learn", "tagPage", "settle"] as const)(
    "that fails at %s doesn't keep the store over its limit, and fails no pull",
    async (method) => {
      vi.spyOn(Ledger.prototype, method).mockRejectedValue(new Error("over quota"));
      expect(await evict(1)).toMatchObject({ stored: 0 });
      expect(await mirror.stored()).toEqual([]);
      await pull("library/demo", image);
      expect(await stored(image)).toBe(1);
    },
  );

  test("that fails leaves images whole, what was stored first leaving first", async () => {
    for (const method of ["index", "learn"] as const)
      vi.spyOn(Ledger.prototype, method).mockRejectedValue(new Error("over quota"));
    const next = await addImage("library/next", [patternBytes(50_001, 2)]);
    await pull("library/next", next);
    await evict(60_000);
    expect([await stored(image), await stored(next)]).toEqual([0, 1]);
  });

  test("knows what is stored and what was evicted", async () => {
    await evict(1_000_000);
    const before = await ledger().counted();
    const bytes = before.stored.reduce((sum, each) => sum + each.bytes, 0);
    expect(before.stored.map(({ kind, visibility, objects }) => [kind, visibility, objects])).toEqual([
      ["blobs", "public", 2],
      ["manifests", "public", 1],
    ]);
    await evict(0);
    expect(await ledger().counted()).toMatchObject({ stored: [], evicted: bytes });
  });

  test("has its level rise with what is evicted, so that what is used after it is worth more", async () => {
    await use(image, "library/demo", 5);
    await evict(0);
    const { level } = await ledger().index();
    expect(level).toBeGreaterThan(0);
    await use(image, "library/demo", 6);
    expect((await ledger().index()).uses).toMatchObject([{ digest: image.target.digest, level, uses: 1 }]);
  });
});

describe("the cron", () => {
  afterEach(() => {
    isolate.services = null;
  });

  test("brings the store under CACHE_LIMIT, and logs what it freed, whatever becomes of its other tasks", async () => {
    await pull("library/demo", await addImage("library/demo", [BASE]));
    const log = vi.spyOn(console, "log").mockReturnValue();
    const warn = vi.spyOn(console, "warn").mockReturnValue();
    isolate.services = createServices({
      ...(mirror.bindings as unknown as Env),
      ...{ CACHE_LIMIT: "50 kB" },
    });
    vi.spyOn(isolate.services.recalls, "sweep").mockRejectedValue(new Error("the ledger fails"));
    await worker.scheduled({ scheduledTime: 0, cron: "", noRetry() {} }, mirror.bindings as unknown as Env);
    expect(await mirror.stored()).toEqual([]);
    expect(log.mock.lastCall?.[0]).toMatch(/^evicted 5\d{4} bytes; 0 of 50000 are stored$/);
    expect(warn).toHaveBeenCalledWith("recalled content can't be deleted: the ledger fails");
  });
});
