/** KEEP: what upstream has deleted is served on, and what it denies isn't. */
import { env } from "cloudflare:workers";
import { beforeEach, expect, test, vi } from "vitest";
import { TrafficRecorder } from "../../src/ledger/traffic.ts";
import type { Ledger } from "../../src/objects/ledger.ts";
import { type Image, patternBytes } from "../support/fake-registry.ts";
import { useMirror } from "../support/mirror.ts";

const ADMIN_KEY = "an-admin-key-of-more-than-32-characters";
const OWNER = { headers: { Authorization: `Bearer ${ADMIN_KEY}` } };
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const TAG = "/v2/library/demo/manifests/latest";
const PATIENCE = { timeout: 30_000 };

const mirror = useMirror({
  ADMIN_KEY,
  KEEP: ["docker.io/library/*"],
  COOLDOWN: { "docker.io/library/slow": "7d" },
});

beforeEach(() => {
  const { LEDGER } = env as unknown as { LEDGER: DurableObjectNamespace<Ledger> };
  mirror.services.traffic = new TrafficRecorder(
    () => LEDGER.getByName("ledger"),
    () => Date.now(),
    1,
  );
});

const publish = (seed: number, repository = "library/demo"): Promise<Image> =>
  mirror.docker.addImage(repository, "latest", { layers: [patternBytes(100, seed)] });

/** Pulls an image that upstream then deletes with all its tags. */
async function pullAndDelete(repository = "library/demo"): Promise<Image> {
  const image = await publish(1, repository);
  await mirror.request(`/v2/${repository}/manifests/latest`);
  mirror.docker.removeTag(repository, "latest");
  mirror.docker.removeManifest(repository, image.target.digest);
  mirror.clock.ahead += HOUR;
  return image;
}

/** @returns the digest that a pull gets, or the status of an error. */
async function pull(path = TAG, init: RequestInit = {}): Promise<string | number> {
  const { status, headers } = await mirror.request(path, init);
  return status === 200 ? (headers.get("Docker-Content-Digest") ?? "none") : status;
}

const gone = async () => (await mirror.request("/_/gone", OWNER)).json().entries;

test.each(["GET", "HEAD"])(
  "a deleted image is served on by %s, with a Warning, from memory and after STALE_MAX too",
  async (method) => {
    const { target } = await pullAndDelete();
    for (const wait of [0, 0, 20 * DAY, 20 * DAY]) {
      mirror.clock.ahead += wait;
      const { status, headers } = await mirror.request(TAG, { method });
      expect([status, headers.get("Docker-Content-Digest")]).toEqual([200, target.digest]);
      expect(headers.get("Cache-Status")).toContain("detail=stale");
      expect(headers.get("Warning")).toMatch(
        /^299 - "this tag of docker\.io\/library\/demo was deleted upstream/,
      );
    }
  },
);

test("it costs upstream no more than a look in each TAG_TTL, and KV one write a day", async () => {
  await pullAndDelete();
  await pull();
  mirror.docker.reset();
  mirror.operations();
  for (let time = 0; time < 5; time++) await pull();
  expect(mirror.docker.requests).toEqual([]);
  mirror.clock.ahead += HOUR;
  await pull();
  expect(mirror.operations().kvWrites).toBe(0);
});

test("the owner sees it listed, and whether it is still stored", async () => {
  const { target } = await pullAndDelete();
  expect(await gone()).toEqual([]);
  await pull();
  const entry = {
    ...{ upstream: "docker.io", repository: "library/demo", tag: "latest", digest: target.digest },
    since: expect.stringMatching(/Z$/),
  };
  await vi.waitFor(async () => expect(await gone()).toEqual([{ ...entry, isStored: true }]), PATIENCE);
  for (const key of await mirror.stored()) await mirror.bindings.STORE.delete(key);
  expect(await gone()).toEqual([{ ...entry, isStored: false }]);
  expect((await mirror.request("/_/gone")).status).toBe(401);
  expect((await mirror.request("/_/gone?cursor=x", OWNER)).status).toBe(400);
});

test.each(["GET", "HEAD"])("what is no longer stored is gone, by %s", async (method) => {
  await pullAndDelete();
  for (const key of await mirror.stored()) await mirror.bindings.STORE.delete(key);
  mirror.services.manifests.clear();
  expect(await pull(TAG, { method })).toBe(404);
});

test("a tag that comes back is followed again, and no longer listed", async () => {
  await pullAndDelete();
  await pull();
  const { target } = await publish(2);
  mirror.clock.ahead += HOUR;
  const { headers } = await mirror.request(TAG);
  expect([headers.get("Docker-Content-Digest"), headers.get("Warning")]).toEqual([target.digest, null]);
  await vi.waitFor(async () => expect(await gone()).toEqual([]), PATIENCE);
});

test.each([401, 403])("what upstream denies with %i is refused, also later", async (status) => {
  await pullAndDelete();
  await pull();
  mirror.clock.ahead += HOUR;
  mirror.docker.fail({ kind: "manifest" }, { status });
  expect([401, 403]).toContain(await pull());
  mirror.docker.clearFaults();
  mirror.clock.ahead += HOUR;
  expect(await pull()).toBe(404);
});

test("what no pattern names isn't kept", async () => {
  await pullAndDelete("owner/image");
  expect(await pull("/v2/owner/image/manifests/latest")).toBe(404);
});

test("a slow tag is kept with what it was served with", async () => {
  const path = "/v2/library/slow/manifests/latest";
  const { target } = await publish(1, "library/slow");
  await pull(path);
  mirror.clock.ahead += HOUR;
  await publish(2, "library/slow");
  await pull(path);
  mirror.docker.removeTag("library/slow", "latest");
  mirror.clock.ahead += HOUR;
  const { headers } = await mirror.request(path);
  expect([headers.get("Docker-Content-Digest"), headers.get("Warning")]).toEqual([
    target.digest,
    expect.stringContaining("deleted"),
  ]);
});
