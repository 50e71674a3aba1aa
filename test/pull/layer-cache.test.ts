/** Layers through Workers Cache, simulated with all of its traps: none of them gives a client what it may not have, or what is wrong. */
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { createApp } from "../../src/app.ts";
import { readConfig } from "../../src/config.ts";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { serveLayer } from "../../src/pull/layer-cache.ts";
import { contentKey } from "../../src/store/store.ts";
import { basic, KEY, KEYED, NARROW } from "../access/keyed.ts";
import { patternBytes } from "../support/fake-registry.ts";
import { useMirror } from "../support/mirror.ts";

const LAYER = patternBytes(100_000, 1);
const HOUR = 3_600_000;

/**
 * What the platform's documentation says of its cache: the key is path and query; a HEAD is sent on as a GET, and so is a range, whole;
 * what has no Cache-Control stays for two hours, a 404 for three minutes; 206 isn't kept.
 */
class WorkersCache {
  now = 0;
  hits = 0;
  seen: Request[] = [];
  fails = false;
  readonly #entry: (request: Request) => Promise<Response>;
  readonly #kept = new Map<string, { status: number; headers: Headers; body: ArrayBuffer; until: number }>();

  constructor(entry: (request: Request) => Promise<Response>) {
    this.#entry = entry;
  }

  fetch = async (input: RequestInfo | URL): Promise<Response> => {
    const request = new Request(input);
    this.seen.push(request);
    if (this.fails) throw new Error("the cache is out of order");
    const { pathname, search } = new URL(request.url);
    const kept = this.#kept.get(pathname + search);
    if (kept && kept.until > this.now) {
      this.hits++;
      return new Response(kept.status === 404 ? null : kept.body, kept);
    }
    const response = await this.#entry(new Request(request.url));
    const control = response.headers.get("Cache-Control");
    const seconds = /max-age=(\d+)/.exec(control ?? "")?.[1];
    const age =
      seconds === undefined ? (response.status === 404 ? HOUR / 20 : 2 * HOUR) : Number(seconds) * 1000;
    const { status, headers } = response;
    const body = await response.arrayBuffer();
    if (!control?.includes("no-store") && status !== 206) {
      this.#kept.set(pathname + search, { status, headers, body, until: this.now + age });
    }
    return new Response(status === 404 ? null : body, { status, headers });
  };
}

type Mirror = ReturnType<typeof useMirror>;

/** Sends requests to a mirror whose entry point for layers is behind the cache. */
function withCache(mirror: Mirror) {
  let cache: WorkersCache;
  let digest: Digest;
  beforeEach(async () => {
    cache = new WorkersCache((request) => serveLayer(mirror.services.store, request));
    digest = await digestOf(LAYER);
    await mirror.docker.addImage("library/demo", "latest", { layers: [LAYER] });
  });
  const request = async (init: RequestInit = {}, host = "mirror.test") => {
    const context = createExecutionContext();
    const execution = {
      waitUntil: (work: Promise<unknown>) => context.waitUntil(work),
      passThroughOnException: () => {},
      props: {},
      exports: { Layers: cache },
    } as unknown as ExecutionContext;
    const url = `https://${host}/v2/library/demo/blobs/${digest}`;
    const received = await createApp(mirror.services).fetch(
      new Request(url, init),
      mirror.bindings,
      execution,
    );
    const bytes = new Uint8Array(await received.arrayBuffer());
    await waitOnExecutionContext(context);
    return { status: received.status, headers: received.headers, bytes };
  };
  return { request, cache: () => cache, digest: () => digest };
}

describe("an open mirror with LAYER_CACHE", () => {
  const mirror = useMirror({ LAYER_CACHE: true });
  const { request, cache, digest } = withCache(mirror);

  test("a stored layer is read from the store once, and then comes from the cache", async () => {
    expect((await request()).bytes).toEqual(LAYER);
    expect((await request()).bytes).toEqual(LAYER);
    mirror.operations();
    const third = await request();
    expect(third.bytes).toEqual(LAYER);
    expect(third.headers.get("Content-Length")).toBe(String(LAYER.byteLength));
    expect(third.headers.get("Docker-Content-Digest")).toBe(digest());
    expect([cache().hits, mirror.operations().storeReads]).toEqual([1, 0]);
  });

  test("that a layer isn't stored isn't remembered: the next pull has it", async () => {
    expect((await request()).status).toBe(200);
    expect(cache().seen).toHaveLength(1);
    mirror.docker.reset();
    expect((await request()).bytes).toEqual(LAYER);
    expect(mirror.docker.requests).toEqual([]);
    expect(cache().hits).toBe(0);
  });

  test("nothing of a client's request reaches the cache", async () => {
    await request(
      { headers: { Authorization: "Bearer x", Cookie: "a=b", "User-Agent": "docker" } },
      "a.test",
    );
    await request({}, "b.test");
    for (const { url, method, headers } of cache().seen) {
      expect(url).toMatch(/^https:\/\/layers\.portolan\.invalid\/sha256\/[0-9a-f]{64}$/);
      expect([method, [...headers]]).toEqual(["GET", []]);
    }
  });

  test("HEAD and ranges go to the store: the cache would fetch the whole for them", async () => {
    await request();
    await request();
    const { length } = cache().seen;
    const head = await request({ method: "HEAD" });
    expect([head.status, head.headers.get("Content-Length")]).toEqual([200, String(LAYER.byteLength)]);
    const range = await request({ headers: { Range: "bytes=10-19" } });
    expect([range.status, range.bytes]).toEqual([206, LAYER.slice(10, 20)]);
    expect(cache().seen).toHaveLength(length);
  });

  test("a recalled layer is denied although it is cached", async () => {
    for (let pull = 0; pull < 3; pull++) await request();
    expect(cache().hits).toBe(1);
    await mirror.services.recalls.recall(mirror.services, { digest: digest(), reason: "" });
    expect((await request()).status).toBe(403);
  });

  test("what was removed from the store leaves the cache within a day", async () => {
    await request();
    await request();
    await mirror.services.store.delete([contentKey("blobs", digest(), "public")]);
    cache().now = 24 * HOUR;
    mirror.docker.reset();
    // The lease of the first fill goes on, and isn't waited for.
    mirror.services.fillPatience = 0;
    expect((await request()).bytes).toEqual(LAYER);
    expect(mirror.docker.requests).not.toEqual([]);
    await mirror.runAlarm(digest());
  });

  test("a cache that fails is passed by", async () => {
    await request();
    cache().fails = true;
    mirror.docker.reset();
    expect((await request()).bytes).toEqual(LAYER);
    expect(mirror.docker.requests).toEqual([]);
  });
});

describe("a keyed mirror with LAYER_CACHE", () => {
  const mirror = useMirror({ ...KEYED, LAYER_CACHE: true, DENY: "docker.io/library/other" });
  const { request, cache } = withCache(mirror);

  test("a cached layer is for the holders of keys alone, and no cache before the gate keeps a response", async () => {
    for (let pull = 0; pull < 3; pull++) expect((await request({ headers: basic(KEY) })).status).toBe(200);
    expect(cache().hits).toBe(1);
    const { length } = cache().seen;
    const without = await request();
    const wrong = await request({ headers: basic("w".repeat(32)) });
    expect([without.status, wrong.status]).toEqual([401, 401]);
    expect(cache().seen).toHaveLength(length);
    const narrow = await request({ headers: basic(NARROW) });
    for (const { headers } of [without, wrong, narrow]) {
      expect(headers.get("Cloudflare-CDN-Cache-Control")).toBe("no-store");
    }
  });
});

describe("the entry point", () => {
  const mirror = useMirror();
  const of = (path: string, init: RequestInit = {}) =>
    serveLayer(mirror.services.store, new Request(`https://layers.portolan.invalid${path}`, init));
  const refused = (response: Response) => [response.status, response.headers.get("Cache-Control")];

  test("gives no private content, and refuses so that nothing is kept", async () => {
    const digest = await digestOf(LAYER);
    const path = `/${digest.replace(":", "/")}`;
    await mirror.bindings.STORE.put(contentKey("blobs", digest, "private"), LAYER);
    expect(refused(await of(path))).toEqual([404, "no-store"]);
    await mirror.bindings.STORE.put(contentKey("blobs", digest, "public"), LAYER);
    expect(refused(await of(path, { method: "HEAD" }))).toEqual([405, "no-store"]);
    expect(refused(await of("/sha256/xyz"))).toEqual([404, "no-store"]);
    expect(refused(await of("/"))).toEqual([404, "no-store"]);
    const found = await of(path, { headers: { Range: "bytes=0-1" } });
    expect(refused(found)).toEqual([200, "public, max-age=86400, stale-if-error=0"]);
    expect(new Uint8Array(await found.arrayBuffer())).toEqual(LAYER);
  });

  test("leaves what is too large for the cache to the store, without reading it", async () => {
    const cancel = vi.fn();
    const body = new ReadableStream<Uint8Array>({ cancel });
    const store = { get: async () => ({ size: 512_000_001, contentType: null, range: null, body }) };
    const path = `https://layers.portolan.invalid/sha256/${"0".repeat(64)}`;
    expect(refused(await serveLayer(store, new Request(path)))).toEqual([404, "no-store"]);
    expect(cancel).toHaveBeenCalled();
  });
});

test("it is for Cloudflare only, and off unless it is switched on", () => {
  expect(readConfig({}).layerCache).toBe(false);
  expect(() => readConfig({ LAYER_CACHE: true, PROXIES: {} })).toThrow("LAYER_CACHE");
});
