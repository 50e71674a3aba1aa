/** What the owner sees of the store, image by image, and takes out of it. */
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { keepLimit } from "../../src/ledger/eviction.ts";
import { Ledger } from "../../src/objects/ledger.ts";
import type { Digest } from "../../src/oci/digest.ts";
import { createServices, type Env } from "../../src/services.ts";
import { contentKey } from "../../src/store/store.ts";
import { type Image, patternBytes } from "../support/fake-registry.ts";
import { useMirror } from "../support/mirror.ts";

const ADMIN_KEY = "an-admin-key-of-more-than-32-characters";
const OWNER = { Authorization: `Bearer ${ADMIN_KEY}` };
const PIN = ["docker.io/library/pinned"];
const mirror = useMirror({ ADMIN_KEY, PIN, CACHE_LIMIT: "1 MB" });
const HOUR = 3_600_000;
const BASE = patternBytes(50_000, 1);

let one: Image;
let two: Image;

beforeEach(async () => {
  one = await mirror.docker.addImage("library/one", "1", { layers: [BASE, patternBytes(20_000, 2)] });
  two = await mirror.docker.addImage("library/two", "2", { layers: [BASE, patternBytes(30_000, 3)] });
  await pull("library/one", "1", one);
  await pull("library/two", "2", two);
});

async function pull(repository: string, tag: string, { configs, layers }: Image): Promise<void> {
  const paths = [`manifests/${tag}`, ...[...configs, ...layers].map(({ digest }) => `blobs/${digest}`)];
  for (const path of paths) {
    const { status } = await mirror.request(`/v2/${repository}/${path}`);
    expect([path, status]).toEqual([path, 200]);
  }
}

const owner = (path: string, init: RequestInit = {}) =>
  mirror.request(`/_/${path}`, { ...init, headers: { ...OWNER, ...init.headers } });
const post = (path: string, body: object) => {
  const text = JSON.stringify(body);
  return owner(path, { method: "POST", body: text, headers: { "Content-Length": String(text.length) } });
};
const images = async () => {
  const account = (await owner("images")).json() as { images: Record<string, unknown>[] };
  return new Map(
    account.images.map((image) => [
      (image.names as { name: string }[]).map(({ name }) => name).join(),
      image,
    ]),
  );
};
const ledger = () => (env as unknown as Env).LEDGER.getByName("ledger");
const today = () => new Date().toISOString().slice(0, 10);

describe("the images", () => {
  test("are listed with what they take, alone and with others, and when they leave", async () => {
    const uses = [{ digest: one.target.digest as Digest, source: "docker.io/library/one" }];
    await ledger().add({ uses }, Date.now());
    const listed = await images();
    expect([...listed.keys()].sort()).toEqual(["docker.io/library/one:1", "docker.io/library/two:2"]);
    const small = one.target.size + (one.configs[0]?.size ?? 0);
    expect(listed.get("docker.io/library/one:1")).toEqual({
      names: [{ name: "docker.io/library/one:1", confirmed: expect.stringMatching(/^20..-/) }],
      digest: one.target.digest,
      visibility: "public",
      size: 70_000 + small,
      alone: 20_000 + small,
      isWhole: true,
      isPinned: false,
      firstUse: today(),
      lastUse: today(),
      hours: 1,
      leaves: 2,
      // What it shared with the one before it is freed with it.
      frees: 70_000 + small,
    });
    expect(listed.get("docker.io/library/two:2")).toMatchObject({ hours: 0, leaves: 1 });
  });

  test("come with how full the store is, how it grows and when it is full", async () => {
    const account = (await owner("images")).json();
    const bytes =
      100_000 +
      [one, two].reduce((sum, { target, configs }) => sum + target.size + (configs[0]?.size ?? 0), 0);
    expect(account).toMatchObject({
      limit: 1_000_000,
      bytes,
      pinned: 0,
      evicted: 0,
      unreferenced: { objects: 0, bytes: 0 },
      growth: bytes,
      full: expect.stringMatching(/^20\d\d-\d\d-\d\d$/),
    });
    expect(account.stored).toContainEqual({
      kind: "manifests",
      visibility: "public",
      objects: 2,
      bytes: expect.any(Number),
    });
  });

  test("that are pinned never leave", async () => {
    const pinned = await mirror.docker.addImage("library/pinned", "1", { layers: [patternBytes(10, 4)] });
    await pull("library/pinned", "1", pinned);
    expect((await images()).get("docker.io/library/pinned:1")).toMatchObject({
      isPinned: true,
      leaves: null,
    });
    expect((await owner("images")).json().pinned).toBeGreaterThan(10);
  });

  test("are shown one by one: with whom each shares, its objects, and what needs them", async () => {
    const { entries } = (await owner("images/docker.io/library/one:1")).json() as {
      entries: Record<string, unknown>[];
    };
    expect(entries).toHaveLength(1);
    expect(entries[0]?.sharedWith).toEqual([{ image: "docker.io/library/two:2", bytes: 50_000 }]);
    const layer = contentKey("blobs", one.layers[0]?.digest as Digest, "public");
    expect(entries[0]?.objects).toContainEqual({
      ...{ key: layer, size: 50_000, images: 2, firstUse: today(), lastUse: today(), source: null },
    });
    expect((await owner("images/docker.io/library/none:1")).status).toBe(404);
  });

  test("are shown although the ledger fails", async () => {
    for (const method of ["index", "learn", "tagPage", "counted"] as const)
      vi.spyOn(Ledger.prototype, method).mockRejectedValue(new Error("over quota"));
    expect([...(await images()).keys()]).toHaveLength(2);
  });

  test("are shown and removed by the owner only", async () => {
    const before = await mirror.stored();
    for (const [method, path] of [
      ["GET", "images"],
      ["GET", "images/docker.io/library/one:1"],
      ["DELETE", "images/docker.io/library/one:1"],
      ["POST", "rm"],
      ["GET", "prune"],
      ["POST", "prune"],
    ] as const) {
      const { status } = await mirror.request(`/_/${path}`, { method });
      expect([method, path, status]).toEqual([method, path, 401]);
    }
    expect(await mirror.stored()).toEqual(before);
  });
});

describe("removing", () => {
  const stored = async ({ target, configs, layers }: Image) => {
    const keys = await mirror.stored();
    return [
      contentKey("manifests", target.digest as Digest, "public"),
      ...[...configs, ...layers].map(({ digest }) => contentKey("blobs", digest as Digest, "public")),
    ].map((key) => keys.includes(key));
  };

  test("an image leaves what another one needs, and the next pull brings it back", async () => {
    const { alone } = (await images()).get("docker.io/library/one:1") as { alone: number };
    const removed = await owner("images/docker.io/library/one:1", { method: "DELETE" });
    expect(removed.json()).toEqual({ images: ["docker.io/library/one:1"], objects: 3, bytes: alone });
    expect(await stored(one)).toEqual([false, false, true, false]);
    expect(await stored(two)).toEqual([true, true, true, true]);
    // The leases of the first fills have ended by then.
    mirror.clock.ahead += HOUR;
    await pull("library/one", "1", one);
    expect(await stored(one)).toEqual([true, true, true, true]);
  });

  test("two images frees what they share too, which a dry run counts and leaves", async () => {
    const names = ["docker.io/library/one:1", "docker.io/library/two:2"];
    const counted = (await post("rm", { images: names, dryRun: true })).json();
    expect(await stored(one)).toEqual([true, true, true, true]);
    expect((await post("rm", { images: names })).json()).toEqual(counted);
    expect(counted).toMatchObject({ objects: 7 });
    expect(await mirror.stored()).toEqual([]);
  });

  test("one of two tags leaves the image to the other, and removes it with that", async () => {
    await mirror.docker.addImage("library/one", "latest", { layers: [BASE, patternBytes(20_000, 2)] });
    await pull("library/one", "latest", one);
    const first = await owner("images/docker.io/library/one:1", { method: "DELETE" });
    expect(first.json()).toMatchObject({ objects: 0, bytes: 0 });
    expect([...(await images()).keys()].sort()).toEqual([
      "docker.io/library/one:latest",
      "docker.io/library/two:2",
    ]);
    await owner("images/docker.io/library/one:latest", { method: "DELETE" });
    expect(await stored(one)).toEqual([false, false, true, false]);
  });

  test("removes none if one of them isn't stored, or the request is no list of images", async () => {
    const before = await mirror.stored();
    const some = ["docker.io/library/one:1", "docker.io/library/none:1"];
    expect((await post("rm", { images: some })).status).toBe(404);
    for (const body of [{}, { images: [] }, { images: [1] }, { images: some, all: true }])
      expect((await post("rm", body)).status).toBe(400);
    expect(await mirror.stored()).toEqual(before);
  });

  test("what no image needs takes what is an hour old", async () => {
    const { digest } = await mirror.docker.addBlob(patternBytes(40_000, 5), { repository: "library/one" });
    await mirror.request(`/v2/library/one/blobs/${digest}`);
    expect((await owner("prune")).json()).toEqual({ objects: 0, bytes: 0 });
    mirror.clock.ahead += 2 * HOUR;
    expect((await owner("prune")).json()).toEqual({ objects: 1, bytes: 40_000 });
    await owner("prune", { method: "POST" });
    expect(await mirror.stored()).not.toContain(contentKey("blobs", digest as Digest, "public"));
    expect((await owner("images")).json().unreferenced).toEqual({ objects: 0, bytes: 0 });
  });
});

test("the metrics have what is stored and what was evicted, as it was counted last", async () => {
  const metrics = async () => new TextDecoder().decode((await owner("metrics")).bytes);
  expect(await metrics()).toContain("portolan_evicted_bytes_total 0\n");
  await keepLimit(mirror.services, 1_000_000);
  expect(await metrics()).toMatch(/portolan_store_bytes\{kind="blobs",visibility="public"\} 100\d{3}\n/);
  await keepLimit(mirror.services, 0);
  expect(await metrics()).toMatch(/portolan_evicted_bytes_total 10\d{4}\n/);
  expect(await metrics()).not.toContain("portolan_store_bytes{");
});

test("everything is read although the Worker may read the store only a few times", async () => {
  const services = createServices({ ...(mirror.bindings as unknown as Env), VERSION: { id: "v1" } });
  for (let index = 0; index < 45; index++) {
    const tag = `v${index}`;
    const image = await mirror.docker.addImage("library/many", tag, { layers: [patternBytes(10, index)] });
    await mirror.request(`/v2/library/many/manifests/${tag}`);
    expect(image.target.size).toBeGreaterThan(0);
  }
  const gets = vi.spyOn(Ledger.prototype, "learn");
  expect(await keepLimit(services, 1)).toMatchObject({ stored: 0 });
  expect(gets.mock.calls.map(([names]) => names.length)).toEqual([40, 7]);
});
