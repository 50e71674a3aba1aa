/** The owner has an image fetched ahead: by the fills that pulls wait for, and within what a pull may have. */
import { beforeEach, describe, expect, test, vi } from "vitest";
import { Recalls } from "../../src/ledger/recalls.ts";
import type { WarmResponse } from "../../src/ledger/warm-request.ts";
import { basic, KEY, KEYED } from "../access/keyed.ts";
import { type Image, patternBytes } from "../support/fake-registry.ts";
import { useMirror } from "../support/mirror.ts";

const ADMIN_KEY = "an-admin-key-of-more-than-32-characters";
const LOGIN = { username: "owner", password: "hunter2" };
const PATIENCE = { timeout: 30_000, interval: 20 };

const mirror = useMirror({
  ...KEYED,
  ADMIN_KEY,
  DENY: ["docker.io/denied/*"],
  PRIVATE: ["docker.io/owner/*"],
  UPSTREAM_CREDENTIALS: { "docker.io": [LOGIN] },
});

let image: Image;
beforeEach(async () => {
  mirror.docker.settings.credentials = [LOGIN];
  image = await mirror.docker.addImage("library/demo", "latest", {
    platforms: ["linux/amd64", "linux/arm64/v8"],
    layers: [patternBytes(1000, 1), patternBytes(2000, 2)],
  });
});

async function send(body: object, headers: HeadersInit = { Authorization: `Bearer ${ADMIN_KEY}` }) {
  const text = JSON.stringify(body);
  return mirror.request("/_/warm", {
    method: "POST",
    body: text,
    headers: { ...headers, "Content-Length": String(text.length) },
  });
}

/** Calls again until it is done. */
async function warmed(body: { image: string; platforms?: string[] }): Promise<WarmResponse> {
  let last: WarmResponse | undefined;
  await vi.waitFor(async () => {
    const response = await send({ ...body, cursor: last?.cursor ?? 0 });
    expect(response.status).toBe(200);
    last = response.json() as unknown as WarmResponse;
    expect(last.isDone).toBe(true);
  }, PATIENCE);
  return last as WarmResponse;
}

const uploads = () =>
  mirror.docker.requests.filter(({ kind, method }) => kind === "storage" && method === "GET");

test("all platforms of an image are stored, each blob once, and a pull needs nothing of upstream", async () => {
  const done = await warmed({ image: "demo" });
  const blobs = [...image.configs, ...image.layers];
  expect(done).toMatchObject({
    repository: "docker.io/library/demo",
    digest: image.target.digest,
    platforms: ["linux/amd64", "linux/arm64/v8"],
    manifests: 3,
    blobs: { total: blobs.length, stored: blobs.length, filling: 0, failed: 0 },
  });
  expect(done.bytes.stored).toBe(blobs.reduce((sum, { size }) => sum + size, 0));
  expect(uploads()).toHaveLength(blobs.length);
  mirror.docker.reset();
  for (const { digest } of blobs) {
    const path = `/v2/library/demo/blobs/${digest}`;
    expect((await mirror.request(path, { headers: basic(KEY) })).status).toBe(200);
  }
  for (const { digest } of image.manifests) {
    const path = `/v2/library/demo/manifests/${digest}`;
    expect((await mirror.request(path, { headers: basic(KEY) })).status).toBe(200);
  }
  expect(mirror.docker.requests).toEqual([]);
});

test("one platform of it is stored if one is named, by any of its names", async () => {
  const done = await warmed({ image: "docker.io/library/demo:latest", platforms: ["linux/aarch64"] });
  expect([done.platforms, done.manifests]).toEqual([["linux/arm64/v8"], 2]);
  expect(uploads().length).toBeLessThan(image.configs.length + image.layers.length);
  expect((await send({ image: "demo", platforms: ["windows/amd64"] })).status).toBe(404);
});

test("a fill that is running isn't started again", async () => {
  const layer = image.layers[0]?.digest ?? "";
  mirror.docker.fail({ kind: "storage", path: new RegExp(layer.slice(7)) }, { delay: 300 });
  const pull = mirror.request(`/v2/library/demo/blobs/${layer}`, { headers: basic(KEY) });
  await vi.waitFor(
    () => expect(mirror.docker.requests.some(({ path }) => path.includes(layer))).toBe(true),
    PATIENCE,
  );
  await warmed({ image: "demo" });
  expect((await pull).status).toBe(200);
  expect(uploads().filter(({ path }) => path.includes(layer.slice(7)))).toHaveLength(1);
});

test("no more fills run at a time than a few, and every call says how far it is", async () => {
  const layers = Array.from({ length: 12 }, (_, index) => patternBytes(500, 10 + index));
  await mirror.docker.addImage("library/many", "latest", { layers });
  mirror.docker.fail({ kind: "storage" }, { delay: 100 });
  const first = (await send({ image: "many" })).json() as unknown as WarmResponse;
  expect(first.blobs).toEqual({ total: 13, stored: 0, filling: 6, failed: 0 });
  expect(first.isDone).toBe(false);
  expect((await warmed({ image: "many" })).blobs.stored).toBe(13);
});

test("a blob that upstream doesn't have is reported, and isn't requested with every call", async () => {
  const layer = image.layers[0]?.digest ?? "";
  mirror.docker.fail({ kind: "blob", path: new RegExp(layer) }, { status: 404 });
  await vi.waitFor(async () => {
    const { blobs } = (await send({ image: "demo" })).json() as unknown as WarmResponse;
    expect(blobs).toMatchObject({ failed: 1, stored: blobs.total - 1 });
  }, PATIENCE);
  const before = mirror.docker.count({ kind: "blob", path: new RegExp(layer) });
  for (let call = 0; call < 3; call++) await send({ image: "demo" });
  expect(mirror.docker.count({ kind: "blob", path: new RegExp(layer) })).toBe(before);
});

describe("nothing is fetched", () => {
  test.each([
    ["without the admin key", { image: "demo" }, {}, 401],
    ["with an access key", { image: "demo" }, basic(KEY), 401],
    ["of a repository that DENY names", { image: "docker.io/denied/demo" }, undefined, 403],
    ["of an unknown registry", { image: "registry.invalid/demo" }, undefined, 404],
    ["of a hosted repository", { image: "hosted/demo" }, undefined, 400],
    ["for no image", { image: "" }, undefined, 400],
    ["for another host in the name", { image: "https://evil.test/demo" }, undefined, 404],
    ["for a platform that is none", { image: "demo", platforms: ["*"] }, undefined, 400],
    ["for a cursor that is none", { image: "demo", cursor: -1 }, undefined, 400],
  ])("%s", async (_, body, headers, status) => {
    await mirror.docker.addImage("denied/demo", "latest", { layers: [patternBytes(10, 1)] });
    expect((await send(body, headers)).status).toBe(status);
    expect(await mirror.stored()).toEqual([]);
  });

  test("of a recalled image, nor a recalled layer of another", async () => {
    const { services } = mirror;
    services.recalls = new Recalls(() => services.ledger as never, services.now);
    await services.recalls.recall(services, { digest: image.layers[0]?.digest });
    await vi.waitFor(async () => {
      const { blobs } = (await send({ image: "demo" })).json() as unknown as WarmResponse;
      expect(blobs).toMatchObject({ failed: 1, stored: blobs.total - 1 });
    }, PATIENCE);
    await services.recalls.recall(services, { digest: image.target.digest });
    expect((await send({ image: "demo" })).status).toBe(403);
  });
});

test("a private image is stored as private, and upstream's failure is its own", async () => {
  await mirror.docker.addImage("owner/secret", "latest", { layers: [patternBytes(100, 5)] });
  mirror.docker.setVisibility("owner/secret", "private");
  await warmed({ image: "docker.io/owner/secret" });
  const stored = (await mirror.stored()).filter((key) => !key.startsWith("links/"));
  expect(stored.every((key) => key.startsWith("private/"))).toBe(true);
  mirror.docker.fail({}, { status: 429, headers: { "Retry-After": "30" } });
  expect((await send({ image: "library/other" })).status).toBe(429);
});
