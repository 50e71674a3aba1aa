/** Failures, losses and races of the store, the leases and the tag records: no client hangs. */
import { beforeEach, expect, vi } from "vitest";
import { keepLimit } from "../../src/ledger/eviction.ts";
import { behaviours, type Image, patternBytes } from "../support/fake-registry.ts";
import { heldFor } from "../support/held.ts";
import {
  blobKey,
  CLIENTS,
  COLD,
  cacheStatus,
  calls,
  expectRefused,
  expectWhole,
  LAYER,
  later,
  manifestKey,
  open,
  pullAll,
  TAG,
  tagRecord,
  useFaults,
  WARM,
} from "./support.ts";

const BYTES = { kind: "storage", method: "GET" } as const;

const scene = useFaults("store");
const { mirror, demo, fault } = scene;

beforeEach(() => {
  mirror.docker.settings.auth = "none";
});

fault("100 concurrent cold GETs = 1 fill", "of a blob", async () => {
  const answers = await Promise.all(Array.from({ length: 100 }, () => mirror.request(demo.blob)));
  for (const response of answers)
    expect([response.status, response.broken, response.bytes.byteLength]).toEqual([
      200,
      false,
      LAYER.byteLength,
    ]);
  await expectWhole(answers.at(-1) ?? answers[0] ?? (await mirror.request(demo.blob)));
  expect(answers.filter((response) => cacheStatus(response) === COLD)).toHaveLength(1);
  expect(mirror.operations().storePuts).toBe(1);
  expect(await mirror.stored()).toEqual([blobKey(demo.digest)]);
});

fault("100 concurrent cold GETs = 1 fill", "of a tag", async () => {
  const answers = await Promise.all(Array.from({ length: 100 }, () => mirror.request(TAG)));
  for (const response of answers)
    expect([response.status, response.bytes]).toEqual([200, new Uint8Array(demo.image.target.bytes)]);
  expect(calls(mirror.docker)).toEqual(["GET manifest 200"]);
  expect(mirror.operations()).toMatchObject({ storePuts: 1, kvWrites: 1 });
});

fault("all waiters see the error", "of a tag: from one upstream request", async () => {
  mirror.docker.fail({ kind: "manifest" }, heldFor(30));
  mirror.docker.fail({ kind: "manifest" }, { status: 500 });
  const answers = await Promise.all(Array.from({ length: 30 }, () => mirror.request(TAG)));
  for (const response of answers) expectRefused(response, 503, "UNAVAILABLE");
  expect(calls(mirror.docker)).toEqual(["GET manifest 500"]);
});

fault(
  "all waiters see the error",
  "of a blob that can't be resumed: each connection breaks off",
  async () => {
    mirror.docker.settings.ranges = false;
    mirror.docker.fail(BYTES, behaviours.cutAfter(100_000));
    const answers = await Promise.all(Array.from({ length: 10 }, () => mirror.request(demo.blob)));
    for (const { status, broken } of answers) expect([status, broken]).toEqual([200, true]);
    expect(await mirror.stored()).toEqual([]);
  },
);

fault("all waiters see the error", "of a blob that breaks off and is resumed: none", async () => {
  mirror.docker.fail(BYTES, behaviours.cutAfter(100_000));
  const answers = await Promise.all(Array.from({ length: 10 }, () => mirror.request(demo.blob)));
  for (const response of answers) await expectWhole(response);
  expect(await mirror.stored()).toEqual([blobKey(demo.digest)]);
});

fault("put fails: still served", "a blob, which the alarm stores later", async () => {
  const put = mirror.outage("STORE", "put");
  await expectWhole(await mirror.request(demo.blob));
  expect(await mirror.stored()).toEqual([]);
  put.mockRestore();
  await mirror.runAlarm(demo.digest);
  await expect.poll(() => mirror.stored()).toEqual([blobKey(demo.digest)]);
});

fault("put fails: still served", "a manifest, which the next request stores", async () => {
  const put = mirror.outage("STORE", "put");
  await expectWhole(await mirror.request(TAG), demo.image.target.bytes);
  put.mockRestore();
  mirror.newIsolate();
  await expectWhole(await mirror.request(demo.manifest), demo.image.target.bytes);
  expect(await mirror.stored()).toEqual([manifestKey(demo.image.target.digest)]);
});

fault("KV stale or down", "down: pulled as if for the first time", async () => {
  await pullAll(scene);
  later(scene);
  mirror.outage("TAGS", "get");
  mirror.outage("TAGS", "put");
  await expectWhole(await mirror.request(TAG), demo.image.target.bytes);
  expect(calls(mirror.docker)).toEqual(["GET manifest 200"]);
});

fault("KV stale or down", "down, and upstream too: the failure is reported", async () => {
  await pullAll(scene);
  later(scene);
  mirror.outage("TAGS", "get");
  mirror.docker.fail({}, { status: 500 });
  expectRefused(await mirror.request(TAG), 503, "UNAVAILABLE");
  await expectWhole(await mirror.request(demo.manifest), demo.image.target.bytes);
});

fault("KV stale or down", "down when a tag is deleted: still 404", async () => {
  await pullAll(scene);
  later(scene);
  mirror.docker.removeTag("library/demo", "latest");
  mirror.outage("TAGS", "delete");
  expectRefused(await mirror.request(TAG), 404, "MANIFEST_UNKNOWN");
});

fault(
  "KV stale or down",
  "stale: an old record is revalidated, and the tag is served as upstream has it",
  async () => {
    await pullAll(scene);
    const { key, value } = await tagRecord(mirror);
    const next = await mirror.docker.addImage("library/demo", "latest", { layers: [patternBytes(1000, 7)] });
    later(scene);
    await expectWhole(await mirror.request(TAG), next.target.bytes);
    // KV returns the old record again, as it may for a minute.
    await mirror.bindings.TAGS.put(key, JSON.stringify(value));
    later(scene);
    await expectWhole(await mirror.request(TAG), next.target.bytes);
    expect((await tagRecord(mirror)).value.digest).toBe(next.target.digest);
  },
);

fault("tag record without content", "fetched again by its digest", async () => {
  await mirror.request(TAG);
  await mirror.bindings.STORE.delete(manifestKey(demo.image.target.digest));
  mirror.newIsolate();
  calls(mirror.docker);
  await expectWhole(await mirror.request(TAG), demo.image.target.bytes);
  expect(mirror.docker.requests.length).toBeLessThanOrEqual(1);
  await expect.poll(() => mirror.stored()).toEqual([manifestKey(demo.image.target.digest)]);
});

fault(
  "tag record without content",
  "and upstream fails: the failure is reported, and nothing incomplete is served",
  async () => {
    await pullAll(scene);
    await mirror.bindings.STORE.delete(blobKey(demo.digest));
    later(scene);
    mirror.docker.fail({}, { status: 500 });
    expectRefused(await mirror.request(TAG, CLIENTS.dockerd), 503, "UNAVAILABLE");
  },
);

fault(
  "object gone between look-up and read",
  "a blob: from upstream, as if it had never been stored",
  async () => {
    await pullAll(scene);
    calls(mirror.docker);
    expect((await mirror.request(demo.blob, { method: "HEAD" })).status).toBe(200);
    await mirror.bindings.STORE.delete(blobKey(demo.digest));
    mirror.services.fillPatience = 0;
    const response = await mirror.request(demo.blob);
    await expectWhole(response);
    expect(cacheStatus(response)).toContain("fwd=uri-miss");
    expect(calls(mirror.docker)).toEqual(["GET blob 307", "GET storage 200"]);
    // The previous fill's lease lasts for 15 minutes: after that at the latest the blob is stored again.
    await mirror.runAlarm(demo.digest);
    expect(await mirror.stored()).toContain(blobKey(demo.digest));
  },
);

fault("object gone between look-up and read", "a range of a blob, within one request", async () => {
  await pullAll(scene);
  const get = vi.spyOn(Object.getPrototypeOf(mirror.bindings.STORE), "get");
  get.mockImplementationOnce(async () => {
    await mirror.bindings.STORE.delete(blobKey(demo.digest));
    throw new Error("get: The requested range is not satisfiable (10039)");
  });
  mirror.services.fillPatience = 0;
  const { status, bytes } = await mirror.request(demo.blob, { headers: { Range: "bytes=10-19" } });
  expect([status, bytes]).toEqual([206, LAYER.slice(10, 20)]);
});

fault(
  "object gone between look-up and read",
  "a layer, after the image was found complete: no stale manifest without its layers is served",
  async () => {
    await pullAll(scene);
    later(scene);
    mirror.docker.fail({ kind: "manifest" }, { status: 500 });
    await mirror.bindings.STORE.delete(manifestKey(demo.image.target.digest));
    expectRefused(await mirror.request(TAG), 503, "UNAVAILABLE");
  },
);

fault("eviction during a read", async () => {
  const large = patternBytes(8_000_000, 3);
  const { digest } = await mirror.docker.addBlob(large, { repository: "library/demo" });
  const path = `/v2/library/demo/blobs/${digest}`;
  await mirror.request(path);
  const { response, settled } = await open(mirror, path);
  expect(response.headers.get("Cache-Status")).toBe(WARM);
  const chunks: Uint8Array[] = [];
  let broken = false;
  try {
    for await (const chunk of response.body ?? []) {
      if (chunks.length === 0) await keepLimit(mirror.services, 0);
      chunks.push(chunk);
    }
  } catch {
    broken = true;
  }
  await settled();
  // The lease of the first fill goes on, and isn't waited for.
  mirror.services.fillPatience = 0;
  const length = chunks.reduce((sum, { byteLength }) => sum + byteLength, 0);
  expect(broken || length === large.byteLength).toBe(true);
  expect(await mirror.stored()).toEqual([]);
  await expectWhole(await mirror.request(path), large);
  await mirror.runAlarm(digest);
});

fault(
  "shared blob survives eviction",
  "for the other image, which is whole while upstream fails",
  async () => {
    const shared = patternBytes(50_000, 7);
    const images = [];
    for (const [tag, seed] of [
      ["first", 8],
      ["other", 9],
    ] as const) {
      const image = await mirror.docker.addImage("library/demo", tag, {
        layers: [shared, patternBytes(30_000, seed)],
      });
      for (const { digest } of [...image.configs, ...image.layers])
        await mirror.request(`/v2/library/demo/blobs/${digest}`);
      await expectWhole(await mirror.request(`/v2/library/demo/manifests/${tag}`), image.target.bytes);
      images.push(image);
    }
    const [first, other] = images as [Image, Image];
    await keepLimit(mirror.services, 100_000);
    const layersOf = (image: Image) => image.layers.map(({ digest }) => blobKey(digest));
    const stored = await mirror.stored();
    expect(layersOf(first).map((key) => stored.includes(key))).toEqual([true, false]);
    expect(layersOf(other).map((key) => stored.includes(key))).toEqual([true, true]);
    later(scene);
    const handle = mirror.docker.fail({ kind: "manifest" }, { status: 500 });
    await expectWhole(
      await mirror.request("/v2/library/demo/manifests/other", CLIENTS.dockerd),
      other.target.bytes,
    );
    await expectWhole(await mirror.request(`/v2/library/demo/blobs/${other.layers[0]?.digest}`), shared);
    expectRefused(
      await mirror.request("/v2/library/demo/manifests/first", CLIENTS.dockerd),
      503,
      "UNAVAILABLE",
    );
    handle.remove();
    await expectWhole(await mirror.request("/v2/library/demo/manifests/first"), first.target.bytes);
  },
);
