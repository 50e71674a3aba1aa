/** Blobs: sent to the client and stored in one fetch, and what the client and the store end up with on failures. */
import { runInDurableObject } from "cloudflare:test";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { BlobFill } from "../../src/index.ts";
import { EMPTY_OBJECT_DIGEST } from "../../src/oci/digest.ts";
import { MAXIMUM_PUT } from "../../src/store/store.ts";
import { digestOf } from "../support/fake-registry/bytes.ts";
import { type Behaviour, behaviours, patternBytes } from "../support/fake-registry.ts";
import { type MirrorResponse, useMirror } from "../support/mirror.ts";

const EMPTY = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

const mirror = useMirror();
const layer = patternBytes(300_000, 1);
let digest: string;
let path: string;
let key: string;

beforeEach(async () => {
  const image = await mirror.docker.addImage("library/demo", "latest", { layers: [layer] });
  digest = image.layers[0]?.digest ?? "";
  path = `/v2/library/demo/blobs/${digest}`;
  key = keyOf(digest);
});

function keyOf(digest: string): string {
  const hex = digest.slice("sha256:".length);
  return `blobs/sha256/${hex.slice(0, 2)}/${hex}`;
}

/** The number of requests for bytes, not counting redirects. */
function fetches(): number {
  return mirror.docker.count({ kind: "storage", method: "GET" });
}

function cacheStatus({ headers }: MirrorResponse): string | null {
  return headers.get("Cache-Status");
}

async function expectWhole({ status, bytes, broken }: MirrorResponse): Promise<void> {
  expect([status, broken, bytes.byteLength]).toEqual([200, false, layer.byteLength]);
  expect(await digestOf(new Uint8Array(bytes))).toBe(digest);
}

describe("a cold blob", () => {
  test("is sent to the client and stored in one fetch", async () => {
    const response = await mirror.request(path);
    await expectWhole(response);
    expect(cacheStatus(response)).toBe("Portolan; fwd=uri-miss; fwd-status=200; stored; detail=upstream");
    expect(response.headers.get("Content-Type")).toBe("application/octet-stream");
    expect(response.headers.get("Content-Length")).toBe("300000");
    const stored = await mirror.bindings.STORE.get(key);
    expect(await digestOf(new Uint8Array((await stored?.arrayBuffer()) ?? new ArrayBuffer(0)))).toBe(digest);
    expect(fetches()).toBe(1);
  });

  test("follows the redirect without the registry's Authorization", async () => {
    await mirror.request(path);
    const [redirect] = mirror.docker.requests.filter(({ kind, status }) => kind === "blob" && status === 307);
    const [storage] = mirror.docker.requests.filter(({ kind }) => kind === "storage");
    expect(redirect?.headers.authorization).toMatch(/^Bearer /);
    expect(storage?.headers.authorization).toBe(undefined);
    expect(storage?.query).toMatch(/signature=.+&expires=/);
  });

  test.each(["none", "relative"] as const)(
    "is fetched with other kinds of redirect: %s",
    async (redirect) => {
      mirror.docker.settings.redirect = redirect;
      await expectWhole(await mirror.request(path));
      expect(await mirror.stored()).toEqual([key]);
    },
  );

  test("requested by HEAD transfers no bytes and starts no fill", async () => {
    const { status, headers } = await mirror.request(path, { method: "HEAD" });
    expect([status, headers.get("Content-Length")]).toEqual([200, "300000"]);
    expect(mirror.docker.bytesSent).toBe(0);
    expect(mirror.operations()).toMatchObject({ leases: 0, storePuts: 0 });
    await expectWhole(await mirror.request(path));
    expect(await mirror.stored()).toEqual([key]);
  });

  test("that is empty is stored like any other", async () => {
    await mirror.docker.addBlob(new Uint8Array(0));
    const empty = `/v2/library/demo/blobs/${EMPTY}`;
    for (const from of ["upstream", "store"]) {
      const { status, headers, bytes, broken } = await mirror.request(empty);
      expect([status, bytes.byteLength, broken]).toEqual([200, 0, false]);
      expect(headers.get("Content-Length")).toBe("0");
      expect(headers.get("Cache-Status")).toContain(`detail=${from}`);
    }
    expect(await mirror.stored()).toEqual([keyOf(EMPTY)]);
  });

  test.each([
    { name: "empty", known: EMPTY, content: "" },
    { name: "{}", known: EMPTY_OBJECT_DIGEST, content: "{}" },
  ])("with well-known content is served while upstream is down: $name", async ({ known, content }) => {
    mirror.docker.fail({}, { status: 503 });
    for (const method of ["GET", "HEAD"]) {
      const { status, headers, bytes } = await mirror.request(`/v2/library/demo/blobs/${known}`, { method });
      expect([status, headers.get("Content-Length")]).toEqual([200, String(content.length)]);
      expect(new TextDecoder().decode(bytes)).toBe(method === "GET" ? content : "");
    }
    mirror.recover();
    mirror.docker.fail({ kind: "blob", authorized: true }, { status: 404 });
    expect((await mirror.request(`/v2/library/demo/blobs/${known}`)).status).toBe(404);
  });

  test("missing upstream is 404, and its lease is released", async () => {
    mirror.docker.removeBlob(digest);
    for (const method of ["GET", "HEAD"]) expect((await mirror.request(path, { method })).status).toBe(404);
    await mirror.docker.addBlob(layer, { repository: "library/demo" });
    await expectWhole(await mirror.request(path));
    expect(await mirror.stored()).toEqual([key]);
  });

  test("is requested with identity encoding, whatever the client accepts", async () => {
    await mirror.request(path, { headers: { "Accept-Encoding": "zstd,gzip,deflate" } });
    for (const { kind, headers } of mirror.docker.requests) {
      if (kind !== "token") expect(headers["accept-encoding"]).toBe("identity");
    }
  });
});

test("missing blobs leave no more Durable Objects behind than the fixed number of shards", async () => {
  const names = new Set<string>();
  const { FILLS } = mirror.bindings;
  const { getByName } = FILLS;
  const count = vi.spyOn(FILLS, "getByName").mockImplementation((name) => {
    names.add(name);
    return getByName.call(FILLS, name);
  });
  for (const last of ["a", "b", "c"]) {
    const unknown = `sha256:${"0".repeat(63)}${last}`;
    expect((await mirror.request(`/v2/library/demo/blobs/${unknown}`)).status).toBe(404);
  }
  count.mockRestore();
  expect([...names]).toEqual(["0"]);
});

describe("a warm blob", () => {
  test("comes from the store, and upstream isn't requested", async () => {
    await mirror.request(path);
    mirror.docker.reset();
    const response = await mirror.request(path);
    await expectWhole(response);
    expect(cacheStatus(response)).toBe("Portolan; hit; detail=store");
    expect((await mirror.request(path, { method: "HEAD" })).headers.get("Content-Length")).toBe("300000");
    expect(mirror.docker.requests).toEqual([]);
  });

  test("requested with If-None-Match and its ETag is 304", async () => {
    await mirror.request(path);
    const { status, bytes } = await mirror.request(path, { headers: { "If-None-Match": `"${digest}"` } });
    expect([status, bytes.byteLength]).toEqual([304, 0]);
  });

  test("requested by HEAD with If-None-Match and its ETag is 304 too", async () => {
    await mirror.request(path);
    const headers = { "If-None-Match": `"${digest}"` };
    expect((await mirror.request(path, { method: "HEAD", headers })).status).toBe(304);
  });

  test("is stored once for all upstreams that have it", async () => {
    await mirror.ghcr.addImage("owner/demo", "latest", { layers: [layer] });
    await mirror.request(path);
    await expectWhole(await mirror.request(`/v2/ghcr.io/owner/demo/blobs/${digest}`));
    expect(mirror.ghcr.requests).toEqual([]);
    expect(await mirror.stored()).toEqual([key]);
  });
});

describe("a faulty body", () => {
  interface Fault {
    name: string;
    behaviour: Behaviour;
    /** Whether the client must see a broken body; otherwise its own digest check detects the fault. */
    broken: boolean;
    /** 200 by default. */
    status?: number;
  }
  test.each([true, false])(
    "with a Content-Type of HTML but the right digest is served; HEAD trusts the headers: %s",
    async (isRight) => {
      const page = behaviours.changedHeaders({ "content-type": "text/html" });
      mirror.docker.fail({ kind: "storage" }, isRight ? page : behaviours.htmlPage());
      const response = await mirror.request(path);
      expect(response.status).toBe(isRight ? 200 : 503);
      if (isRight) await expectWhole(response);
      expect(await mirror.stored()).toEqual(isRight ? [key] : []);
    },
  );

  const faults: Fault[] = [
    { name: "other bytes of the right length", behaviour: behaviours.corrupted(), broken: false },
    { name: "a page with 200", behaviour: behaviours.htmlPage(), broken: false, status: 503 },
    { name: "no bytes with 200", behaviour: behaviours.emptyBody(), broken: false, status: 503 },
    { name: "a connection that breaks", behaviour: behaviours.cutAfter(100_000), broken: true },
    { name: "an end that comes early", behaviour: behaviours.endsAfter(100_000), broken: true },
    { name: "a length too large", behaviour: behaviours.wrongContentLength(1), broken: true },
    { name: "a length too small", behaviour: behaviours.wrongContentLength(-1), broken: true },
  ];

  test.each(faults)("is never stored, and the next pull succeeds: $name", async (fault) => {
    const { behaviour, broken, status = 200 } = fault;
    // The interrupted body can't be resumed.
    mirror.docker.settings.ranges = false;
    mirror.docker.fail({ kind: "storage", method: "GET" }, behaviour);
    const response = await mirror.request(path);
    expect([response.status, response.broken]).toEqual([status, broken]);
    expect(await mirror.stored()).toEqual([]);
    mirror.recover();
    await expectWhole(await mirror.request(path));
    await mirror.runAlarm(digest);
    await expect.poll(() => mirror.stored()).toEqual([key]);
  });

  test("is rejected if it is partial content for a request without Range", async () => {
    mirror.docker.fail({ kind: "storage", method: "GET" }, behaviours.partialToPlainGet());
    const { status, json } = await mirror.request(path);
    expect(status).toBe(503);
    expect(json().errors).toEqual([expect.objectContaining({ code: "UNAVAILABLE" })]);
    expect(await mirror.stored()).toEqual([]);
  });

  test("of unknown length is passed through whole, and filled by the alarm", async () => {
    const fault = { kind: "storage", method: "GET" } as const;
    mirror.docker.fail(fault, behaviours.withoutContentLength());
    const response = await mirror.request(path);
    await expectWhole(response);
    expect(response.headers.get("Content-Length")).toBe(null);
    expect(cacheStatus(response)).not.toContain("stored");
    await mirror.runAlarm(digest);
    await expect.poll(() => mirror.stored()).toEqual([key]);
  });

  test.each([undefined, "bytes=0-299999"])(
    "wrongly labelled as encoded is served once its digest is verified: %s",
    async (Range) => {
      const label = { "content-encoding": "gzip" };
      mirror.docker.fail({ kind: "storage", method: "GET" }, behaviours.changedHeaders(label));
      const response = await mirror.request(path, Range ? { headers: { Range } } : {});
      expect([response.status, response.broken]).toEqual([Range ? 206 : 200, false]);
      expect(response.bytes).toEqual(layer);
      expect(response.headers.get("Content-Encoding")).toBe(null);
      expect(cacheStatus(response)).toBe("Portolan; fwd=uri-miss; collapsed; detail=store");
      expect(await mirror.stored()).toEqual([key]);
    },
  );

  test("labelled as encoded whose digest matches neither way is rejected and not stored", async () => {
    mirror.services.fillPatience = 200;
    mirror.docker.fail({ kind: "storage", method: "GET" }, behaviours.corrupted());
    mirror.docker.fail(
      { kind: "storage", method: "GET" },
      behaviours.changedHeaders({ "content-encoding": "gzip" }),
    );
    const response = await mirror.request(path);
    expect(response.status).toBe(503);
    expect(response.json().errors).toEqual([expect.objectContaining({ code: "UNAVAILABLE" })]);
    expect(await mirror.stored()).toEqual([]);
  });

  test("larger than one put is passed through with its length, and its lease is released", async () => {
    const large = { "content-length": String(MAXIMUM_PUT + 1) };
    mirror.docker.fail({ kind: "storage", method: "GET" }, behaviours.changedHeaders(large));
    const response = await mirror.request(path);
    expect([response.status, response.headers.get("Content-Length")]).toEqual([200, String(MAXIMUM_PUT + 1)]);
    expect(mirror.operations()).toMatchObject({ storePuts: 0 });
    expect(await mirror.runAlarm(digest)).toBe(false);
    mirror.recover();
    await expectWhole(await mirror.request(path));
    expect(await mirror.stored()).toEqual([key]);
  });
});

describe("local failures", () => {
  test("a failing put: the client gets the whole blob, and the alarm fills it later", async () => {
    const put = mirror.outage("STORE", "put");
    await expectWhole(await mirror.request(path));
    put.mockRestore();
    await mirror.runAlarm(digest);
    await expect.poll(() => mirror.stored()).toEqual([key]);
  });

  test("a put that fails at once doesn't delay a client downloading a large blob", async () => {
    const large = await mirror.docker.addBlob(patternBytes(8_000_000, 2), { repository: "library/demo" });
    mirror.outage("STORE", "put");
    const { bytes, broken } = await mirror.request(`/v2/library/demo/blobs/${large.digest}`);
    expect([broken, bytes.byteLength]).toEqual([false, 8_000_000]);
  });

  test.each(["GET", "HEAD"])("an unreadable store is treated as empty: %s", async (method) => {
    await mirror.request(path);
    mirror.outage("STORE", "get");
    mirror.outage("STORE", "head");
    const { status, bytes } = await mirror.request(path, { method });
    expect([status, bytes.byteLength]).toEqual([200, method === "GET" ? layer.byteLength : 0]);
  });

  test("an unavailable lease: the blob is served and stored anyway", async () => {
    vi.spyOn(BlobFill.prototype, "acquire").mockImplementation(() =>
      Promise.reject(new Error("the lease is out of order")),
    );
    await expectWhole(await mirror.request(path));
    expect(await mirror.stored()).toEqual([key]);
  });

  test("a lease whose holder takes too long: the blob is passed through and filled in the background", async () => {
    mirror.services.fillPatience = 200;
    expect(await mirror.takeLease(digest)).toBe("leader");
    mirror.operations();
    const response = await mirror.request(path);
    await expectWhole(response);
    expect(cacheStatus(response)).not.toContain("stored");
    await expect.poll(() => mirror.stored()).toEqual([key]);
    expect(mirror.operations()).toMatchObject({ storePuts: 1 });
  });

  test("20 concurrent requests: one fetch and one put, and the waiting ones report a hit after a collapsed request", async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => mirror.request(path)));
    for (const response of answers) await expectWhole(response);
    expect(fetches()).toBe(1);
    expect(mirror.operations()).toMatchObject({ storePuts: 1 });
    expect(answers.map(cacheStatus).sort()).toEqual([
      ...Array(19).fill("Portolan; fwd=uri-miss; collapsed; detail=store"),
      "Portolan; fwd=uri-miss; fwd-status=200; stored; detail=upstream",
    ]);
  });

  test("20 concurrent requests that fail: each gets the error, and the next pull fills", async () => {
    mirror.docker.fail({ kind: "blob", authorized: true }, { status: 404 });
    const answers = await Promise.all(Array.from({ length: 20 }, () => mirror.request(path)));
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(404));
    const leases = await runInDurableObject(mirror.fills(digest), (_, { storage }) => storage.list());
    expect(leases.size).toBe(0);
    mirror.recover();
    await expectWhole(await mirror.request(path));
    expect(await mirror.stored()).toEqual([key]);
  });

  test.each([
    { behaviour: behaviours.tooManyRequests(9), status: 429 },
    { behaviour: { status: 403 }, status: 403 },
    { behaviour: { status: 500 }, status: 503 },
    { behaviour: { network: true } as const, status: 503 },
  ])("upstream's failure is reported and never remembered: $status", async ({ behaviour, status }) => {
    mirror.docker.fail({ kind: "blob", authorized: true }, behaviour);
    for (const method of ["GET", "HEAD"])
      expect((await mirror.request(path, { method })).status).toBe(status);
    mirror.recover();
    await expectWhole(await mirror.request(path));
  });

  test("a single 503 is retried once, unseen by the client", async () => {
    mirror.docker.fail({ kind: "storage" }, { status: 503 }, 1);
    await expectWhole(await mirror.request(path));
    expect(await mirror.stored()).toEqual([key]);
  });
});
