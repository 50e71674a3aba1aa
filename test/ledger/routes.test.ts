/** What the owner sees of stored content, and removes from it. */
import { beforeEach, describe, expect, test, vi } from "vitest";
import { Ledger } from "../../src/objects/ledger.ts";
import type { Digest } from "../../src/oci/digest.ts";
import { contentKey } from "../../src/store/store.ts";
import { basic, KEY, KEYED } from "../access/keyed.ts";
import { type Image, patternBytes } from "../support/fake-registry.ts";
import { useMirror } from "../support/mirror.ts";

const ADMIN_KEY = "an-admin-key-of-more-than-32-characters";
const OWNER = { Authorization: `Bearer ${ADMIN_KEY}` };
const HOSTED = { username: "owner", password: "hunter2" };

const mirror = useMirror({
  ...KEYED,
  ADMIN_KEY,
  PRIVATE: ["docker.io/owner/*"],
  UPSTREAM_CREDENTIALS: { "docker.io": [HOSTED] },
});

let image: Image;
beforeEach(async () => {
  mirror.docker.settings.credentials = [HOSTED];
  image = await mirror.docker.addImage("library/demo", "latest", { layers: [patternBytes(1000, 1)] });
});

const owner = (path: string, init: RequestInit = {}) =>
  mirror.request(`/_/${path}`, { ...init, headers: { ...OWNER, ...init.headers } });
const pull = (path: string) => mirror.request(`/v2/${path}`, { headers: basic(KEY) });

async function purge(body: object): Promise<number> {
  const text = JSON.stringify(body);
  const headers = { "Content-Length": String(text.length) };
  return (await owner("purge", { method: "POST", body: text, headers })).status;
}

async function pullAll(repository: string, { target, configs, layers }: Image): Promise<void> {
  for (const { digest } of [...configs, ...layers]) {
    expect((await pull(`${repository}/blobs/${digest}`)).status).toBe(200);
  }
  expect((await pull(`${repository}/manifests/latest`)).headers.get("Docker-Content-Digest")).toBe(
    target.digest,
  );
}

/** All pages of a list. */
async function all(path: string): Promise<Record<string, unknown>[]> {
  const entries: Record<string, unknown>[] = [];
  let cursor: string | null = null;
  do {
    const query = cursor === null ? "" : `?cursor=${encodeURIComponent(cursor)}`;
    const page = (await owner(`${path}${query}`)).json() as {
      entries: typeof entries;
      cursor: string | null;
    };
    entries.push(...page.entries);
    cursor = page.cursor;
  } while (cursor !== null);
  return entries;
}

describe("without the key", () => {
  test.each([
    ["no Authorization", {}],
    ["an access key", basic(KEY)],
    ["an access key as a token", { Authorization: `Bearer ${KEY}` }],
    ["the beginning of the key", { Authorization: `Bearer ${ADMIN_KEY.slice(0, -1)}` }],
    ["an empty token", { Authorization: "Bearer " }],
    ["the key as a password", basic(ADMIN_KEY)],
  ])("nothing is shown or changed: %s", async (_, headers) => {
    await pullAll("library/demo", image);
    for (const path of ["status", "tags", "objects", "gc", `manifests/${image.target.digest}`]) {
      expect([path, (await mirror.request(`/_/${path}`, { headers })).status]).toEqual([path, 401]);
    }
    const before = await mirror.stored();
    const response = await mirror.request("/_/purge", { method: "POST", headers, body: "{}" });
    expect([response.status, await mirror.stored()]).toEqual([401, before]);
    expect((await mirror.request("/_/gc", { method: "POST", headers })).status).toBe(401);
  });

  test("health stays open, and says no more than that", async () => {
    expect((await mirror.request("/_/health")).json()).toEqual({ status: "ok" });
  });

  test("a page of another site gets nothing, with the key neither", async () => {
    const response = await owner("tags", { headers: { "Sec-Fetch-Site": "cross-site" } });
    expect(response.status).toBe(403);
  });
});

test("status says what the mirror is, its limit and its endpoints, and holds no secret", async () => {
  await pullAll("library/demo", image);
  const response = await owner("status");
  expect(response.json()).toMatchObject({ access: "keys", keys: 4, limit: 9_500_000_000, relays: [] });
  expect(response.json().endpoints).toContainEqual({
    url: "https://registry-1.docker.io/",
    downFor: 0,
    limitedFor: 0,
  });
  expect(response.headers.get("Cache-Control")).toBe("no-store");
  const text = new TextDecoder().decode(response.bytes);
  for (const secret of [ADMIN_KEY, KEYED.SIGNING_SECRET, HOSTED.password]) expect(text).not.toContain(secret);
});

test("status says which endpoint limits requests", async () => {
  mirror.docker.fail({ kind: "manifest" }, { status: 429, headers: { "Retry-After": "120" } });
  await pull("library/demo/manifests/latest");
  const { endpoints } = (await owner("status")).json() as { endpoints: { limitedFor: number }[] };
  expect(Math.max(...endpoints.map(({ limitedFor }) => limitedFor))).toBeGreaterThan(60);
});

test("tags and objects are listed, public and private ones, over several pages", async () => {
  await pullAll("library/demo", image);
  const secret = await mirror.docker.addImage("owner/secret", "latest", { layers: [patternBytes(2000, 2)] });
  mirror.docker.setVisibility("owner/secret", "private");
  await pullAll("owner/secret", secret);
  const tags = await all("tags");
  expect(
    tags.map(({ repository, tag, visibility, digest }) => [repository, tag, visibility, digest]),
  ).toEqual([
    ["library/demo", "latest", "public", image.target.digest],
    ["owner/secret", "latest", "private", secret.target.digest],
  ]);
  const objects = (await all("objects")).map(({ key }) => String(key));
  expect(objects.sort()).toEqual((await mirror.stored()).filter((key) => !key.startsWith("links/")).sort());
});

test("objects are listed with their last use, to the hour, and by what is stored while the ledger fails", async () => {
  await pullAll("library/demo", image);
  const digest = image.layers[0]?.digest as Digest;
  const at = Date.now();
  await mirror.services.ledger.add({ uses: [{ digest, source: "docker.io/library/demo" }] }, at);
  const listed = await all("objects");
  const layer = contentKey("blobs", digest, "public");
  expect(Object.fromEntries(listed.map(({ key, used }) => [key, used]))).toEqual(
    Object.fromEntries(
      (await mirror.stored()).map((key) => [key, key === layer ? at - (at % 3_600_000) : null]),
    ),
  );
  vi.spyOn(Ledger.prototype, "lastUses").mockRejectedValue(new Error("out of order"));
  const page = (await owner("objects")).json();
  expect(page).toMatchObject({ missing: ["ledger"] });
  expect(await all("objects")).toEqual(listed.map((object) => ({ ...object, used: null })));
});

test("more tags than fit on a page are all listed once", async () => {
  for (let index = 0; index < 45; index++) {
    await mirror.docker.addImage("library/demo", `v${index}`, { layers: [patternBytes(10, 1)] });
    await pull(`library/demo/manifests/v${index}`);
  }
  const names = (await all("tags")).map(({ tag }) => tag);
  expect([names.length, new Set(names).size]).toEqual([45, 45]);
});

test("a stored manifest can be read, and no other", async () => {
  await pullAll("library/demo", image);
  const response = await owner(`manifests/${image.target.digest}`);
  expect([response.status, response.json()]).toEqual([200, expect.objectContaining({ schemaVersion: 2 })]);
  expect((await owner(`manifests/${image.layers[0]?.digest}`)).status).toBe(404);
  expect((await owner("manifests/latest")).status).toBe(404);
});

test("what is removed is gone from the store, from memory and from the tags, and is fetched again", async () => {
  await pullAll("library/demo", image);
  const objects = (await all("objects")).map(({ key }) => key);
  const name = { upstream: "docker.io", repository: "library/demo", tag: "latest", visibility: "public" };
  expect(await purge({ tags: [name], objects })).toBe(204);
  expect([await mirror.stored(), await all("tags")]).toEqual([[], []]);
  mirror.docker.reset();
  // The leases of the first fills go on, and aren't waited for.
  mirror.services.fillPatience = 0;
  await pullAll("library/demo", image);
  expect(mirror.docker.count({ kind: "manifest", method: "GET" })).toBe(1);
  await mirror.runAlarm(image.target.digest);
});

test.each([
  ["hosted content", { objects: [`hosted/blobs/sha256/aa/${"a".repeat(64)}`] }],
  ["a part of an upload", { objects: ["uploads/x/1"] }],
  ["no key", { objects: ["../x"] }],
  ["too many", { objects: Array.from({ length: 101 }, () => `blobs/sha256/aa/${"a".repeat(64)}`) }],
  ["a tag without its name", { tags: [{ tag: "latest" }] }],
  ["something else", { everything: true }],
])("%s can't be removed so", async (_, body) => {
  await pullAll("library/demo", image);
  const before = await mirror.stored();
  expect(await purge(body)).toBe(400);
  expect(await mirror.stored()).toEqual(before);
});

test("a body that is too large, or of unknown length, isn't read", async () => {
  expect((await owner("purge", { method: "POST", body: "{}" })).status).toBe(413);
  expect(
    (await owner("purge", { method: "POST", body: "{}", headers: { "Content-Length": "9999999" } })).status,
  ).toBe(413);
});
