/** Tag records of images that are evicted: they end with them, and no others do. */
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { keepLimit } from "../../src/ledger/eviction.ts";
import { FREE_PLAN } from "../../src/ledger/quotas.ts";
import { Ledger } from "../../src/objects/ledger.ts";
import type { Env } from "../../src/services.ts";
import { basic, KEY, KEYED } from "../access/keyed.ts";
import { type Image, patternBytes } from "../support/fake-registry.ts";
import { useMirror } from "../support/mirror.ts";

const HOUR = 3_600_000;
const TEAM = { username: "owner", password: "hunter2" };

const mirror = useMirror({
  ...KEYED,
  PIN: ["docker.io/library/pinned"],
  PRIVATE: ["docker.io/team/*"],
  UPSTREAM_CREDENTIALS: { "docker.io": [TEAM] },
});

const ledger = () => (env as unknown as Env).LEDGER.getByName("ledger");
const tags = async () =>
  (await mirror.bindings.TAGS.list()).keys.map(({ name }) =>
    name.replace(/^((private\/)?)tags\/docker\.io\//, "$1"),
  );

const request = (path: string, method = "GET") =>
  mirror.request(`/v2/${path}`, { method, headers: basic(KEY) });

/** Pulls an image with its only layer, or its manifest alone. */
async function pull(repository: string, seed: number, isWhole = true): Promise<Image> {
  const image = await mirror.docker.addImage(repository, "latest", { layers: [patternBytes(50_000, seed)] });
  if (repository.startsWith("team/")) mirror.docker.setVisibility(repository, "private");
  expect((await request(`${repository}/manifests/latest`)).status).toBe(200);
  for (const { digest } of isWhole ? image.layers : [])
    expect((await request(`${repository}/blobs/${digest}`)).status).toBe(200);
  return image;
}

beforeEach(async () => {
  mirror.docker.settings.credentials = [TEAM];
  await pull("library/first", 1);
  await pull("library/second", 2);
  mirror.clock.ahead += 2 * HOUR;
});

test("a tag ends with its image, and the next pull has both again", async () => {
  await keepLimit(mirror.services, 100_000);
  const [left = ""] = await tags();
  expect(await tags()).toEqual([expect.stringMatching(/^library\/(first|second)\/latest$/)]);
  await keepLimit(mirror.services, 1);
  expect([await tags(), await mirror.stored()]).toEqual([[], []]);
  mirror.clock.ahead += HOUR;
  const repository = left.replace("/latest", "");
  expect((await request(`${repository}/manifests/latest`)).status).toBe(200);
  expect([await tags(), await mirror.stored()]).toEqual([[left], [expect.stringMatching(/^manifests\//)]]);
});

test("a private tag ends with its image", async () => {
  await pull("team/app", 5);
  expect(await tags()).toContain("private/team/app/latest");
  mirror.clock.ahead += 2 * HOUR;
  await keepLimit(mirror.services, 1);
  expect(await tags()).toEqual([]);
});

test("tags of what is pinned stay", async () => {
  await pull("library/pinned", 3);
  await keepLimit(mirror.services, 1);
  expect(await tags()).toEqual(["library/pinned/latest"]);
});

test("all tags of an image end with it", async () => {
  for (const tag of ["1", "1.0"]) {
    await mirror.docker.addImage("library/first", tag, { layers: [patternBytes(50_000, 1)] });
    await request(`library/first/manifests/${tag}`);
  }
  mirror.clock.ahead += 2 * HOUR;
  expect(await tags()).toHaveLength(4);
  await keepLimit(mirror.services, 1);
  expect(await tags()).toEqual([]);
});

test("a tag that was only requested by HEAD keeps its record for a day, which saves KV two writes", async () => {
  await mirror.docker.addImage("library/looked", "latest", { layers: [patternBytes(10, 4)] });
  expect((await request("library/looked/manifests/latest", "HEAD")).status).toBe(200);
  const isLooked = async () => (await tags()).includes("library/looked/latest");
  await keepLimit(mirror.services, 100_000);
  expect(await isLooked()).toBe(true);
  mirror.clock.ahead += 25 * HOUR;
  await keepLimit(mirror.services, 1);
  expect(await isLooked()).toBe(false);
});

test("a tag that has moved since it was listed isn't ended", async () => {
  const { entries } = await ledger().tagPage("public", null);
  mirror.clock.ahead += HOUR;
  await pull("library/first", 9, false);
  await ledger().endTags(entries);
  expect(await tags()).toEqual(["library/first/latest"]);
});

describe("an eviction goes on, and its tags end with the next one after a day,", () => {
  test.each<[string, () => void]>([
    [
      "while the ledger fails",
      () => vi.spyOn(Ledger.prototype, "endTags").mockRejectedValue(new Error("down")),
    ],
    ["while KV takes no changes", () => mirror.outage("TAGS", "delete")],
  ])("%s", async (_, fail) => {
    fail();
    expect(await keepLimit(mirror.services, 1)).toMatchObject({ stored: 0 });
    expect(await tags()).toHaveLength(2);
    vi.restoreAllMocks();
    await evictLater();
  });

  test("while nine tenths of the free writes are used", async () => {
    mirror.services.hasQuotas = true;
    await ledger().add(
      { operations: [{ operation: "kvWrites", count: FREE_PLAN.kvWrites * 0.9 - 1 }] },
      Date.now(),
    );
    await keepLimit(mirror.services, 1);
    expect(await tags()).toHaveLength(1);
    mirror.services.hasQuotas = false;
    await evictLater();
  });

  async function evictLater(): Promise<void> {
    const tomorrow = Date.now() + 25 * HOUR;
    vi.spyOn(Date, "now").mockReturnValue(tomorrow);
    mirror.services.now = () => tomorrow;
    await mirror.bindings.STORE.put(`blobs/sha256/aa/${"a".repeat(64)}`, patternBytes(10, 1));
    await keepLimit(mirror.services, 1);
    expect(await tags()).toEqual([]);
  }
});
