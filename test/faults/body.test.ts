/** Faulty bodies that can be produced without a socket; for the others see test/sockets/faults.test.ts. */
import { beforeEach, expect } from "vitest";
import { MAXIMUM_PUT } from "../../src/store/store.ts";
import { type Behaviour, behaviours, gzip, utf8 } from "../support/fake-registry.ts";
import {
  blobKey,
  COLD,
  cacheStatus,
  calls,
  expectRefused,
  expectWhole,
  LAYER,
  manifestKey,
  open,
  TAG,
  useFaults,
  WARM,
} from "./support.ts";

const EMPTY = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const BYTES = { kind: "storage", method: "GET" } as const;
const ONE_FETCH = ["GET blob 307", "GET storage 200"];

const { mirror, demo, fault } = useFaults("body");

beforeEach(() => {
  mirror.docker.settings.auth = "none";
});

/** Ends the fault; the client's next pull and the alarm's fill then succeed. */
async function expectRecovered(): Promise<void> {
  mirror.recover();
  await expectWhole(await mirror.request(demo.blob));
  await mirror.runAlarm(demo.digest);
  await expect.poll(() => mirror.stored()).toContain(blobKey(demo.digest));
  await expectWhole(await mirror.request(demo.blob));
}

fault(
  "wrong digest, right length",
  "a layer: passed through whole, for the client's digest check to reject, and not stored",
  async () => {
    mirror.docker.fail(BYTES, behaviours.corrupted());
    const response = await mirror.request(demo.blob);
    expect([response.status, response.broken, response.bytes.byteLength]).toEqual([
      200,
      false,
      LAYER.byteLength,
    ]);
    expect(response.bytes).not.toEqual(LAYER);
    expect(cacheStatus(response)).toBe(COLD);
    expect(calls(mirror.docker).slice(0, 2)).toEqual(ONE_FETCH);
    expect(await mirror.stored()).toEqual([]);
    await expectRecovered();
  },
);

for (const reference of ["latest", "digest"]) {
  fault("wrong digest, right length", `a manifest by ${reference}: rejected, and not stored`, async () => {
    const path = reference === "latest" ? TAG : demo.manifest;
    const handle = mirror.docker.fail({ kind: "manifest" }, behaviours.corrupted());
    expectRefused(await mirror.request(path), 503, "UNAVAILABLE");
    expect(calls(mirror.docker)).toEqual(["GET manifest 200"]);
    expect(await mirror.stored()).toEqual([]);
    handle.remove();
    await expectWhole(await mirror.request(path), demo.image.target.bytes);
    expect(await mirror.stored()).toEqual([manifestKey(demo.image.target.digest)]);
  });
}

fault("stall", "the alarm fetches the stalled blob, and the client's download completes", async () => {
  const giveUp = Promise.withResolvers<never>();
  mirror.docker.fail(BYTES, { transform: (whole) => new Response(stalling(giveUp.promise), whole) }, 1);
  const { response, settled } = await open(mirror, demo.blob);
  const reader = response.body?.getReader();
  const start = (await reader?.read())?.value?.byteLength ?? 0;
  expect(start).toBeGreaterThan(0);
  expect(await mirror.stored()).toEqual([]);
  expect(await mirror.runAlarm(demo.digest)).toBe(true);
  expect(await mirror.stored()).toEqual([blobKey(demo.digest)]);
  await expectWhole(await mirror.request(demo.blob));
  expect(mirror.docker.count(BYTES)).toBe(2);
  // When the stalled connection is finally lost, the client doesn't notice, and the stored blob stays.
  giveUp.reject(new TypeError("connection lost"));
  expect(start + (await readOn(reader))).toBe(LAYER.byteLength);
  await settled();
  expect(await mirror.stored()).toEqual([blobKey(demo.digest)]);
});

/** The layer's first bytes, and then nothing until the promise settles. */
function stalling(until: Promise<never>): ReadableStream<Uint8Array> {
  let begun = false;
  return new ReadableStream({
    async pull(controller) {
      if (begun) await until;
      begun = true;
      controller.enqueue(LAYER.slice(0, 100_000));
    },
  });
}

/** Reads to the end, and returns how many bytes that was. */
async function readOn(reader: ReadableStreamDefaultReader<Uint8Array> | undefined): Promise<number> {
  let count = 0;
  for (;;) {
    const read = await reader?.read();
    if (!read?.value) return count;
    count += read.value.byteLength;
  }
}

fault(
  "an HTML page with 200",
  "for a layer: an error that lets the client try another source, not the HTML",
  async () => {
    mirror.docker.fail(BYTES, behaviours.htmlPage());
    expectRefused(await mirror.request(demo.blob), 503, "UNAVAILABLE");
    expect(await mirror.stored()).toEqual([]);
    await expectRecovered();
  },
);

fault(
  "an HTML page with 200",
  "for a layer: not stored, and with headers that keep browsers from rendering it",
  async () => {
    mirror.docker.fail(BYTES, behaviours.htmlPage());
    const { headers } = await mirror.request(demo.blob);
    expect(headers.get("Content-Type")).not.toContain("html");
    expect(await mirror.stored()).toEqual([]);
    await expectRecovered();
  },
);

for (const [what, path] of [
  ["a tag", "manifests/latest"],
  ["a listing", "tags/list"],
] as const) {
  fault("an HTML page with 200", `for ${what}: rejected, and not stored`, async () => {
    mirror.docker.fail({}, behaviours.htmlPage());
    expectRefused(await mirror.request(`/v2/library/demo/${path}`), 503, "UNAVAILABLE");
    expect(mirror.docker.requests).toHaveLength(1);
    expect(await mirror.stored()).toEqual([]);
  });
}

fault("a layer that is gzip itself: bytes untouched", async () => {
  const packed = await gzip(utf8("a layer that was compressed before the push".repeat(1000)));
  const layer = await mirror.docker.addBlob(packed, { repository: "library/demo" });
  const path = `/v2/library/demo/blobs/${layer.digest}`;
  for (const status of [COLD, WARM]) {
    const response = await mirror.request(path, { headers: { "Accept-Encoding": "zstd,gzip,deflate" } });
    await expectWhole(response, packed);
    expect(response.headers.get("Content-Encoding")).toBe(null);
    expect(response.headers.get("Cache-Control")).toContain("no-transform");
    expect(cacheStatus(response)).toBe(status);
  }
  expect(calls(mirror.docker)).toEqual(ONE_FETCH);
  expect(await mirror.stored()).toEqual([blobKey(layer.digest)]);
});

fault("empty blob", async () => {
  await mirror.docker.addBlob(new Uint8Array(0));
  for (const status of [COLD, WARM]) {
    const response = await mirror.request(`/v2/library/demo/blobs/${EMPTY}`);
    await expectWhole(response, new Uint8Array(0));
    expect([response.headers.get("Content-Length"), cacheStatus(response)]).toEqual(["0", status]);
  }
  expect(calls(mirror.docker)).toEqual(ONE_FETCH);
  expect(await mirror.stored()).toEqual([blobKey(EMPTY)]);
});

fault("zero bytes with 200", "for a layer: an error, since only one digest has no bytes", async () => {
  mirror.docker.fail(BYTES, behaviours.emptyBody());
  expectRefused(await mirror.request(demo.blob), 503, "UNAVAILABLE");
  expect(await mirror.stored()).toEqual([]);
  await expectRecovered();
});

fault("zero bytes with 200", "for a layer: nothing is stored", async () => {
  mirror.docker.fail(BYTES, behaviours.emptyBody());
  await mirror.request(demo.blob);
  expect(await mirror.stored()).toEqual([]);
  await expectRecovered();
});

fault("zero bytes with 200", "for a tag: rejected, and not stored", async () => {
  mirror.docker.fail({ kind: "manifest" }, behaviours.emptyBody());
  expectRefused(await mirror.request(TAG), 503, "UNAVAILABLE");
  expectRefused(await mirror.request(demo.manifest), 503, "UNAVAILABLE");
  expect(await mirror.stored()).toEqual([]);
});

fault("larger than one put", async () => {
  const large = { "content-length": String(MAXIMUM_PUT + 1) };
  mirror.docker.fail(BYTES, behaviours.changedHeaders(large));
  const response = await mirror.request(demo.blob);
  expect([response.status, response.headers.get("Content-Length")]).toEqual([200, String(MAXIMUM_PUT + 1)]);
  expect(cacheStatus(response)).toBe("Portolan; fwd=uri-miss; fwd-status=200; detail=upstream");
  expect(mirror.operations().storePuts).toBe(0);
  // The body is shorter than the declared length, so resuming it fails.
  const whole = mirror.docker.requests.filter(({ headers }) => headers.range === undefined);
  expect(whole.map(({ method, kind, status }) => `${method} ${kind} ${status}`)).toEqual(ONE_FETCH);
  mirror.docker.reset();
  // Its lease is released, and no alarm fetches gigabytes in vain.
  expect(await mirror.runAlarm(demo.digest)).toBe(false);
  await expectRecovered();
});

fault("206 to a plain GET", async () => {
  mirror.docker.fail(BYTES, behaviours.partialToPlainGet());
  expectRefused(await mirror.request(demo.blob), 503, "UNAVAILABLE");
  expect(calls(mirror.docker)).toEqual(["GET blob 307", "GET storage 206"]);
  expect(await mirror.stored()).toEqual([]);
  await mirror.runAlarm(demo.digest);
  expect(await mirror.stored()).toEqual([]);
  await expectRecovered();
});

fault("Range ignored on resume", "the whole blob with 200, which makes the client start again", async () => {
  mirror.docker.settings.ranges = false;
  const response = await mirror.request(demo.blob, { headers: { Range: "bytes=100000-" } });
  await expectWhole(response);
  expect(response.headers.get("Content-Range")).toBe(null);
  expect(cacheStatus(response)).toContain("fwd-status=200");
  expect(mirror.docker.count(BYTES)).toBe(1);
  await expectRecovered();
});

fault(
  "Range ignored on resume",
  "when the mirror resumes: the client's body breaks off, and the blob is fetched again",
  async () => {
    mirror.docker.settings.ranges = false;
    await expectBrokenAndRecovered(["GET blob 307", "GET storage 200", "GET blob 307", "GET storage 200"]);
  },
);

const mislabelledParts: Record<string, Behaviour> = {
  "from another byte on": behaviours.changedHeaders({ "content-range": "bytes 0-199999/300000" }),
  "without saying which": behaviours.changedHeaders({ "content-range": null }),
  "beyond its own end": behaviours.changedHeaders({ "content-range": "bytes 100000-299999/200000" }),
};
for (const [mislabelling, behaviour] of Object.entries(mislabelledParts)) {
  fault("Range ignored on resume", `a part ${mislabelling} is rejected`, async () => {
    mirror.docker.fail(BYTES, behaviour);
    expectRefused(
      await mirror.request(demo.blob, { headers: { Range: "bytes=100000-" } }),
      503,
      "UNAVAILABLE",
    );
    expect(await mirror.stored()).toEqual([]);
    await expectRecovered();
  });
}

fault(
  "ETag changed on resume",
  "upstream's: the part is served, because the digest identifies the content",
  async () => {
    mirror.docker.settings.etag = () => `"${crypto.randomUUID()}"`;
    const headers = { Range: "bytes=100000-", "If-Range": `"${demo.digest}"` };
    const response = await mirror.request(demo.blob, { headers });
    expect([response.status, response.broken]).toEqual([206, false]);
    expect(response.bytes).toEqual(LAYER.slice(100_000));
    expect(response.headers.get("Content-Range")).toBe("bytes 100000-299999/300000");
    expect(response.headers.get("ETag")).toBe(`"${demo.digest}"`);
    await expectRecovered();
  },
);

fault(
  "ETag changed on resume",
  "upstream's, while the mirror resumes: the client's body breaks off, and the blob is fetched again",
  async () => {
    mirror.docker.settings.etag = () => `"${crypto.randomUUID()}"`;
    await expectBrokenAndRecovered(["GET blob 307", "GET storage 200", "GET blob 307", "GET storage 200"]);
  },
);

/** The layer breaks off, and the response for the rest is rejected. */
async function expectBrokenAndRecovered(requested: string[]): Promise<void> {
  mirror.docker.fail(BYTES, behaviours.cutAfter(100_000), 1);
  const response = await mirror.request(demo.blob);
  expect([response.status, response.broken]).toEqual([200, true]);
  expect(calls(mirror.docker).slice(0, requested.length)).toEqual(requested);
  expect(await mirror.stored()).toEqual([]);
  await expectRecovered();
}

fault("ETag changed on resume", "the client's: it gets the whole blob, cold and warm", async () => {
  const headers = { Range: "bytes=100000-", "If-Range": '"of-another-mirror"' };
  for (const status of [COLD, WARM]) {
    const response = await mirror.request(demo.blob, { headers });
    await expectWhole(response);
    expect(cacheStatus(response)).toBe(status);
  }
  expect(calls(mirror.docker)).toEqual(ONE_FETCH);
});
