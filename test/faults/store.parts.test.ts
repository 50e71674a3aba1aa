/** Partial requests, partially stored content and wrong records: none of it is taken for the whole. */
import { beforeEach, expect, vi } from "vitest";
import { keepLimit } from "../../src/ledger/eviction.ts";
import { behaviours, patternBytes } from "../support/fake-registry.ts";
import {
  blobKey,
  COLD,
  cacheStatus,
  calls,
  expectRefused,
  expectStale,
  expectWhole,
  LAYER,
  later,
  open,
  pullAll,
  TAG,
  tagRecord,
  useFaults,
  WARM,
} from "./support.ts";

const HOUR = 3_600_000;
const BYTES = { kind: "storage", method: "GET" } as const;

const scene = useFaults("parts");
const { mirror, demo, fault } = scene;

beforeEach(() => {
  mirror.docker.settings.auth = "none";
});

fault("cold HEAD moves no bytes", async () => {
  for (let round = 0; round < 2; round++) {
    const { status, headers, bytes } = await mirror.request(demo.blob, { method: "HEAD" });
    expect([status, headers.get("Content-Length"), bytes.byteLength]).toEqual([200, "300000", 0]);
    expect(headers.get("Docker-Content-Digest")).toBe(demo.digest);
    expect(calls(mirror.docker)).toEqual(["HEAD blob 307", "HEAD storage 200"]);
  }
  expect((await mirror.request(TAG, { method: "HEAD" })).status).toBe(200);
  expect(calls(mirror.docker)).toEqual(["HEAD manifest 200"]);
  expect(mirror.docker.bytesSent).toBe(0);
  expect(mirror.operations()).toMatchObject({ leases: 0, storePuts: 0 });
  expect(await mirror.stored()).toEqual([]);
});

for (const [range, first, last] of [
  ["bytes=0-0", 0, 0],
  ["bytes=10-19", 10, 19],
  ["bytes=299990-", 299_990, 299_999],
  ["bytes=299990-400000", 299_990, 299_999],
  ["bytes=-10", 299_990, 299_999],
  ["bytes=-400000", 0, 299_999],
] as const) {
  fault("cold Range: 206; suffix, several, 416, If-Range", `${range}, cold and warm alike`, async () => {
    for (const from of ["upstream", "store"]) {
      const response = await mirror.request(demo.blob, { headers: { Range: range } });
      expect([response.status, response.bytes]).toEqual([206, LAYER.slice(first, last + 1)]);
      expect(response.headers.get("Content-Range")).toBe(`bytes ${first}-${last}/300000`);
      expect(response.headers.get("Content-Length")).toBe(String(last - first + 1));
      expect(cacheStatus(response)).toContain(`detail=${from}`);
      await mirror.request(demo.blob);
    }
    expect(mirror.docker.count({ kind: "storage", status: 200 })).toBe(1);
  });
}

for (const range of ["bytes=9-0", "bytes=", "items=0-9", "bytes=a-b"]) {
  fault(
    "cold Range: 206; suffix, several, 416, If-Range",
    `${range}: the whole blob, as RFC 9110 permits`,
    async () => {
      for (const status of [COLD, WARM]) {
        const response = await mirror.request(demo.blob, { headers: { Range: range } });
        await expectWhole(response);
        expect(cacheStatus(response)).toBe(status);
      }
    },
  );
}

fault(
  "cold Range: 206; suffix, several, 416, If-Range",
  "beyond the end: 416 with the blob's length",
  async () => {
    for (let round = 0; round < 2; round++) {
      const { status, headers, bytes } = await mirror.request(demo.blob, {
        headers: { Range: "bytes=300000-" },
      });
      expect([status, headers.get("Content-Range"), bytes.byteLength]).toEqual([416, "bytes */300000", 0]);
      expect(headers.get("Cache-Control")).toBe("no-store");
      if (round === 0) await mirror.request(demo.blob);
    }
  },
);

fault(
  "cold Range: 206; suffix, several, 416, If-Range",
  "If-Range of this content: the part; of other content: the whole",
  async () => {
    for (let round = 0; round < 2; round++) {
      const part = { Range: "bytes=10-19", "If-Range": `"${demo.digest}"` };
      expect((await mirror.request(demo.blob, { headers: part })).bytes).toEqual(LAYER.slice(10, 20));
      const other = { Range: "bytes=10-19", "If-Range": '"sha256:0"' };
      await expectWhole(await mirror.request(demo.blob, { headers: other }));
    }
  },
);

fault("partial never marked whole", async () => {
  mirror.docker.fail(
    { kind: "storage", method: "GET" },
    {
      transform: (response) => (response.status === 200 ? new Response(null, { status: 500 }) : response),
    },
  );
  for (const range of ["bytes=0-", "bytes=0-299999", "bytes=-300000", "bytes=0-9"]) {
    expect((await mirror.request(demo.blob, { headers: { Range: range } })).status).toBe(206);
    expect(await mirror.stored()).toEqual([]);
    expect((await mirror.request(demo.blob, { method: "HEAD" })).headers.get("Cache-Status")).not.toContain(
      "hit",
    );
  }
});

fault(
  "a limit hit mid-fill",
  "of the store: the client gets the whole blob, and the alarm stores it",
  async () => {
    const put = vi.spyOn(Object.getPrototypeOf(mirror.bindings.STORE), "put");
    put.mockImplementation(async (_key: unknown, body: unknown) => {
      if (!(body instanceof ReadableStream)) throw new Error("a stream was expected");
      const reader = body.getReader();
      await reader.read();
      await reader.cancel();
      throw new Error("put: Too many requests (10058)");
    });
    await expectWhole(await mirror.request(demo.blob));
    expect(await mirror.stored()).toEqual([]);
    put.mockRestore();
    await mirror.runAlarm(demo.digest);
    await expect.poll(() => mirror.stored()).toEqual([blobKey(demo.digest)]);
  },
);

fault("a limit hit mid-fill", "of CACHE_LIMIT: a running fill is served and stored whole", async () => {
  await pullAll(scene);
  const bytes = patternBytes(200_000, 5);
  const { digest } = await mirror.docker.addBlob(bytes, { repository: "library/demo" });
  const evicted = Promise.withResolvers<void>();
  let begun = false;
  const body = new ReadableStream({
    async pull(controller) {
      if (begun) await evicted.promise;
      controller.enqueue(begun ? bytes.slice(100_000) : bytes.slice(0, 100_000));
      if (begun) controller.close();
      begun = true;
    },
  });
  mirror.docker.fail(BYTES, { transform: (whole) => new Response(body, whole) });
  const { response, settled } = await open(mirror, `/v2/library/demo/blobs/${digest}`);
  await keepLimit(mirror.services, 1);
  expect((await mirror.stored()).filter((key) => key.startsWith("blobs/"))).toEqual([]);
  evicted.resolve();
  expect(new Uint8Array(await response.arrayBuffer())).toEqual(bytes);
  await settled();
  expect(await mirror.stored()).toContain(blobKey(digest));
});

fault("a limit hit mid-fill", "of upstream, before the alarm: it tries again later", async () => {
  await mirror.takeLease(demo.digest);
  mirror.docker.fail({ kind: "blob" }, behaviours.tooManyRequests(1));
  await mirror.runAlarm(demo.digest);
  expect(calls(mirror.docker)).toEqual(["GET blob 429"]);
  expect(await mirror.stored()).toEqual([]);
  mirror.recover();
  expect(await mirror.runAlarm(demo.digest)).toBe(true);
  expect(await mirror.stored()).toEqual([blobKey(demo.digest)]);
});

fault("keys of an older version", "in the store: ignored, and kept", async () => {
  const hex = demo.digest.slice("sha256:".length);
  const old = [
    `blobs/${demo.digest}`,
    `blobs/sha256/${hex}`,
    `sha256/${hex}`,
    `v1/blobs/sha256/${hex.slice(0, 2)}/${hex}`,
  ];
  for (const key of old) await mirror.bindings.STORE.put(key, "something else");
  const response = await mirror.request(demo.blob);
  await expectWhole(response);
  expect(cacheStatus(response)).toBe(COLD);
  for (const key of old) {
    expect(await (await mirror.bindings.STORE.get(key))?.text()).toBe("something else");
    await mirror.bindings.STORE.delete(key);
  }
});

for (const value of [
  "",
  "sha256:old",
  "null",
  "[]",
  '{"digest":"sha256:short","mediaType":"x","size":1,"confirmed":1}',
  '{"digest":1}',
  '{"v":0,"manifest":"latest"}',
]) {
  fault(
    "keys of an older version",
    `a tag record that reads ${value === "" ? "nothing" : value}: revalidated, and replaced`,
    async () => {
      await mirror.request(TAG);
      const { key } = await tagRecord(mirror);
      await mirror.bindings.TAGS.put(key, value);
      later(scene);
      await expectWhole(await mirror.request(TAG), demo.image.target.bytes);
      expect((await tagRecord(mirror)).value.digest).toBe(demo.image.target.digest);
      await mirror.bindings.TAGS.put(key, value);
      later(scene);
      mirror.docker.fail({}, { status: 500 });
      expectRefused(await mirror.request(TAG), 503, "UNAVAILABLE");
    },
  );
}

fault("staleness bounded and marked", async () => {
  await pullAll(scene);
  mirror.docker.fail({ kind: "manifest" }, { status: 500 });
  later(scene, 36 * HOUR);
  const response = await mirror.request(TAG);
  expectStale(response, demo.image, 500);
  expect(response.headers.get("Warning")).toContain("36.0 hours ago");
  expect(response.headers.get("Cache-Control")).toContain("max-age=0, must-revalidate");
  later(scene, 30 * 24 * HOUR - 37 * HOUR);
  expectStale(await mirror.request(TAG), demo.image, 500);
  later(scene, 2 * HOUR);
  expectRefused(await mirror.request(TAG), 503, "UNAVAILABLE");
});

fault("the lease holder dies", "other clients are served meanwhile, and the alarm fills", async () => {
  expect(await mirror.takeLease(demo.digest)).toBe("leader");
  mirror.services.fillPatience = 200;
  const response = await mirror.request(demo.blob);
  await expectWhole(response);
  expect(cacheStatus(response)).not.toContain("stored");
  await expect.poll(() => mirror.stored()).toEqual([blobKey(demo.digest)]);
});

fault(
  "the lease holder dies",
  "and so does the alarm: once the lease expires, the next client gets it",
  async () => {
    const fill = mirror.fills(demo.digest);
    const { digest } = demo;
    await fill.acquire(
      { upstream: "docker.io", repository: "library/demo", digest, visibility: "public", via: "" },
      0,
    );
    mirror.clock.ahead += 16 * 60_000;
    const response = await mirror.request(demo.blob);
    await expectWhole(response);
    expect(cacheStatus(response)).toBe(COLD);
    expect(await mirror.stored()).toEqual([blobKey(demo.digest)]);
  },
);

fault("clock skew", "a record from the future is revalidated, never served stale, and replaced", async () => {
  await pullAll(scene);
  const { key, value } = await tagRecord(mirror);
  const future = JSON.stringify({ ...value, confirmed: Date.now() + 365 * 24 * HOUR });
  await mirror.bindings.TAGS.put(key, future);
  later(scene);
  mirror.docker.fail({ kind: "manifest" }, { status: 500 });
  expectRefused(await mirror.request(TAG), 503, "UNAVAILABLE");
  mirror.docker.clearFaults();
  calls(mirror.docker);
  await expectWhole(await mirror.request(TAG), demo.image.target.bytes);
  expect(calls(mirror.docker)).toEqual(["HEAD manifest 200"]);
  expect((await tagRecord(mirror)).value.confirmed).toBeLessThanOrEqual(Date.now());
});

for (const hours of [-1, 1]) {
  fault("clock skew", `upstream's clock is ${hours} hours ahead: tokens, URLs and limits work`, async () => {
    const { settings } = mirror.docker;
    Object.assign(settings, { auth: "bearer", now: () => Date.now() + hours * HOUR });
    await expectWhole(await mirror.request(TAG), demo.image.target.bytes);
    await expectWhole(await mirror.request(demo.blob));
    const until = new Date(settings.now() + 30_000).toUTCString();
    mirror.docker.fail({ kind: "tags" }, behaviours.tooManyRequests(until));
    const limited = await mirror.request("/v2/library/demo/tags/list");
    expectRefused(limited, 429, "TOOMANYREQUESTS");
    expect(Number(limited.headers.get("Retry-After"))).toBeLessThanOrEqual(HOUR / 1000 + 60);
  });
}
