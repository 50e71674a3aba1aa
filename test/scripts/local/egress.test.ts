/** Ways out of one machine: proxies of both kinds, per upstream and from the environment. */
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type MirrorOptions, type RunningMirror, startMirror } from "../../../scripts/local/mirror.ts";
import { behaviours, createFakeRegistry, patternBytes } from "../../support/fake-registry.ts";
import { type Listening, listen } from "../../support/node/listen.ts";
import { startHttpProxy, startSocksProxy, type Proxy as TestProxy } from "../../support/node/proxy.ts";

/** Only a proxy has anything at these addresses. */
const HOST = "registry.localhost:5999";
const STORAGE = "storage.localhost:5998";
const LAYER = patternBytes(3_000_000, 5);
const fake = createFakeRegistry({ auth: "none", redirect: "absolute" });
let registry: Listening;
let http: TestProxy;
let socks: TestProxy;
let digests: { manifest: string; layer: string };
let data: string;
let mirror: RunningMirror | null = null;
let messages: string[] = [];

beforeAll(async () => {
  registry = await listen(fake);
  const image = await fake.addImage("owner/image", "latest", { layers: [LAYER] });
  digests = { manifest: image.target.digest, layer: image.layers[0]?.digest ?? "" };
  const portOf = (host: string) => Number(host.split(":")[1]);
  const hosts = { [HOST]: portOf(fake.settings.registryHost), [STORAGE]: portOf(fake.settings.storageHost) };
  Object.assign(fake.settings, { registryHost: HOST, storageHost: STORAGE });
  [http, socks] = await Promise.all([startHttpProxy(hosts), startSocksProxy(hosts)]);
  data = await mkdtemp(join(tmpdir(), "portolan-egress-"));
});
afterEach(async () => {
  await mirror?.stop();
  mirror = null;
  messages = [];
  await rm(data, { recursive: true, force: true, maxRetries: 5 });
});
afterAll(async () => {
  await Promise.all([registry.close(), http.stop(), socks.stop()]);
});

/** @param proxy the upstream's own; undefined for none. */
async function start(
  proxy: string | undefined,
  options: Partial<MirrorOptions> = {},
): Promise<RunningMirror> {
  const settings = {
    endpoints: [`http://${HOST}`],
    insecure: true,
    ...(proxy === undefined ? {} : { proxy }),
  };
  mirror = await startMirror({
    port: 0,
    host: "127.0.0.1",
    data,
    vars: { UPSTREAMS: JSON.stringify({ "registry.test": settings }) },
    onMessage: ({ text }) => messages.push(text),
    ...options,
  });
  return mirror;
}

const pull = (url: string, path: string, init?: RequestInit) =>
  fetch(`${url}/v2/registry.test/owner/image/${path}`, init);
const errorOf = async (response: Response) => JSON.stringify(await response.json());

describe.each([
  ["HTTP", () => http],
  ["SOCKS5", () => socks],
])("through an upstream's own %s proxy", (_, proxyOf) => {
  test("manifests, blobs and ranges come whole, and are stored", async () => {
    const proxy = proxyOf();
    proxy.requested.clear();
    const { url, ways } = await start(proxy.url);
    expect(ways).toContainEqual({ through: proxy.url, isSecond: false, upstreams: ["registry.test"] });
    expect((await pull(url, "manifests/latest")).headers.get("Docker-Content-Digest")).toBe(digests.manifest);
    const part = await pull(url, `blobs/${digests.layer}`, { headers: { Range: "bytes=10-19" } });
    expect([part.status, new Uint8Array(await part.arrayBuffer())]).toEqual([206, LAYER.slice(10, 20)]);
    const whole = await pull(url, `blobs/${digests.layer}`);
    expect(new Uint8Array(await whole.arrayBuffer())).toEqual(LAYER);
    expect([...proxy.requested.keys()].sort()).toEqual([HOST, STORAGE]);
    await expect
      .poll(async () => {
        const stored = await pull(url, `blobs/${digests.layer}`);
        await stored.arrayBuffer();
        return stored.headers.get("Cache-Status");
      })
      .toBe("Portolan; hit; detail=store");
  });

  test("redirects lead through it too, and a body that breaks off is resumed", async () => {
    const proxy = proxyOf();
    const { url } = await start(proxy.url);
    fake.fail({ kind: "blob", method: "GET" }, behaviours.cutAfter(1_000_000), 1);
    const whole = await pull(url, `blobs/${digests.layer}`);
    expect(new Uint8Array(await whole.arrayBuffer())).toEqual(LAYER);
    fake.clearFaults();
  });
});

describe("a proxy that fails", () => {
  test("is named in the response and the log, without its password", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    server.close();
    const { url } = await start(`http://me:hunter2@127.0.0.1:${port}`);
    const response = await pull(url, "manifests/latest");
    const error = await errorOf(response);
    expect([response.status, error]).toEqual([
      503,
      expect.stringContaining(`the proxy 127.0.0.1:${port} can't be reached`),
    ]);
    expect(error + messages.join("\n")).not.toContain("hunter2");
  });

  test("is distinguished from a registry that it can't reach", async () => {
    const { url } = await start(http.url, {
      vars: {
        UPSTREAMS: JSON.stringify({
          "registry.test": { endpoints: ["http://nowhere.localhost"], insecure: true, proxy: http.url },
        }),
      },
    });
    const response = await pull(url, "manifests/latest");
    expect(response.status).toBe(503);
  });
});

describe("the environment's proxies", () => {
  const upstreams = { "ghcr.io": ["https://ghcr.io"] };

  test("are used for what NO_PROXY doesn't except, and --proxy stands before them", async () => {
    const environment = { HTTPS_PROXY: "http://user:secret@proxy.example:3128", no_proxy: "quay.io,.gcr.io" };
    const { ways } = await start(undefined, { upstreams, environment });
    const direct = ways.find(({ through }) => through === null)?.upstreams ?? [];
    expect(direct).toEqual(expect.arrayContaining(["quay.io", "gcr.io", "registry.test"]));
    expect(ways.find(({ through }) => through === "http://user:***@proxy.example:3128")?.upstreams).toContain(
      "ghcr.io",
    );
    await mirror?.stop();
    const other = await start(undefined, { upstreams, environment, proxy: "socks5h://127.0.0.1:7890" });
    expect(other.ways.find(({ through }) => through === "socks5h://127.0.0.1:7890")?.upstreams).toContain(
      "ghcr.io",
    );
    expect(other.ways.find(({ upstreams }) => upstreams.includes("quay.io"))?.through).toBe(null);
  });

  test("reach a registry whose name only the proxy knows: the connection is counted there", async () => {
    http.requested.clear();
    const settings = { "registry.test": { endpoints: ["https://registry.invalid"] } };
    const { url } = await start(undefined, {
      vars: { UPSTREAMS: JSON.stringify(settings) },
      environment: { ALL_PROXY: http.url },
    });
    await pull(url, "manifests/latest");
    expect([...http.requested.keys()]).toContain("registry.invalid:443");
  });

  test("aren't used for an upstream that says direct", async () => {
    http.requested.clear();
    const { url } = await start("direct", { environment: { ALL_PROXY: http.url } });
    expect((await pull(url, "manifests/latest")).status).toBe(503);
    expect([...http.requested.keys()]).not.toContain(HOST);
  });
});
