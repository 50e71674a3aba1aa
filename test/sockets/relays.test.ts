/** Two mirrors of one operator: a keyed one that reaches the registry, and one behind it that reaches it through a proxy. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { type MirrorOptions, type RunningMirror, startMirror } from "../../scripts/local/mirror.ts";
import { hashKey } from "../../src/access/keys.ts";
import { behaviours, createFakeRegistry, type Image, patternBytes } from "../support/fake-registry.ts";
import { type Listening, listen } from "../support/node/listen.ts";
import { startHttpProxy, type Proxy as TestProxy } from "../support/node/proxy.ts";
import { PATIENT } from "./support/stage.ts";

const KEY = "k".repeat(32);
/** Only proxies have anything at these addresses: nothing at them is within a mirror's network. */
const REGISTRY = "registry.example:5999";
const RELAY = "relay.example:8787";
const OTHER = "other.example:8787";
const LAYER = patternBytes(3_000_000, 3);
const UPSTREAMS = {
  "registry.test": { endpoints: [`http://${REGISTRY}`], insecure: true },
};

/** The registry as the relay and as the mirror behind it reach it: the same content, but each request is seen by one of them. */
const near = createFakeRegistry({ auth: "none" });
const far = createFakeRegistry({ auth: "none" });
const listening: Listening[] = [];
let image: Image;
let toNear: TestProxy;
let toFar: TestProxy;
/** What `toFar` leads to. */
const hosts: Record<string, number> = {};
let relay: RunningMirror;
let mirror: RunningMirror | null = null;
const folders: string[] = [];
const messages: string[] = [];

async function start(options: Partial<MirrorOptions>): Promise<RunningMirror> {
  const data = await mkdtemp(join(tmpdir(), "portolan-relays-"));
  folders.push(data);
  const onMessage: MirrorOptions["onMessage"] = ({ text }) => messages.push(text);
  return startMirror({ port: 0, host: "127.0.0.1", data, onMessage, timing: PATIENT, ...options });
}

/** @param relays of the mirror that is put behind the first; null for `--behind`. */
async function startBehind(relays: object[] | null, key: string | null = KEY): Promise<string> {
  const keys = key === null ? {} : { [RELAY]: key };
  mirror = await start({
    proxy: toFar.url,
    vars: {
      UPSTREAMS: JSON.stringify(UPSTREAMS),
      ...(relays ? { RELAYS: JSON.stringify(relays), RELAY_KEYS: JSON.stringify(keys) } : {}),
    },
    ...(relays ? {} : { behind: { url: `https://${RELAY}`, key } }),
  });
  return mirror.url;
}

const limited = { url: `http://${RELAY}`, insecure: true, when: "limited" };
const always = { ...limited, when: "always" };

async function pull(url: string, repository = "owner/image", path = "manifests/latest"): Promise<Response> {
  return fetch(`${url}/v2/registry.test/${repository}/${path}`, {
    headers: { Accept: "application/vnd.oci.image.manifest.v1+json" },
  });
}

beforeAll(async () => {
  for (const fake of [near, far]) {
    image = await fake.addImage("owner/image", "latest", { layers: [LAYER] });
    await fake.addImage("owner/other", "latest", { layers: [patternBytes(1000, 4)] });
    listening.push(await listen(fake));
  }
  const portOf = (host: string) => Number(host.split(":")[1]);
  toNear = await startHttpProxy({ [REGISTRY]: portOf(near.settings.registryHost) });
  near.settings.registryHost = REGISTRY;
  relay = await start({
    proxy: toNear.url,
    vars: {
      UPSTREAMS: JSON.stringify(UPSTREAMS),
      ACCESS: "keys",
      ACCESS_KEYS: JSON.stringify([{ name: "home", hash: await hashKey(KEY) }]),
      HOSTS: "relay.example",
    },
  });
  Object.assign(hosts, { [REGISTRY]: portOf(far.settings.registryHost), [RELAY]: relay.port });
  toFar = await startHttpProxy(hosts);
  far.settings.registryHost = REGISTRY;
});
afterEach(async () => {
  await mirror?.stop();
  mirror = null;
  near.reset();
  far.reset();
  toFar.requested.clear();
  messages.length = 0;
});
afterAll(async () => {
  await relay?.stop();
  await Promise.all([...listening, toNear && { close: () => toNear.stop() }].map((each) => each?.close()));
  await toFar?.stop();
  await Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true, maxRetries: 5 })));
});

it("has everything through its relay, tags too, and nothing from the registry", async () => {
  const url = await startBehind([always]);
  const manifest = await pull(url);
  expect([manifest.status, manifest.headers.get("Docker-Content-Digest")]).toEqual([
    200,
    image.target.digest,
  ]);
  const blob = await pull(url, "owner/image", `blobs/${image.layers[0]?.digest}`);
  expect(await blob.bytes()).toEqual(LAYER);
  const tags = await pull(url, "owner/image", "tags/list");
  expect(await tags.json()).toEqual({ name: "registry.test/owner/image", tags: ["latest"] });
  expect(far.requests).toEqual([]);
  expect(near.count({ kind: "blob", method: "GET" })).toBe(1);
  expect(toFar.requested.get(RELAY)).toBeGreaterThanOrEqual(3);
});

it("asks its relay only while the registry limits requests", async () => {
  const url = await startBehind([limited]);
  expect((await pull(url)).status).toBe(200);
  expect(toFar.requested.has(RELAY)).toBe(false);
  far.fail({}, behaviours.tooManyRequests(3600));
  const response = await pull(url, "owner/other");
  expect([response.status, response.headers.get("Cache-Status")]).toEqual([
    200,
    expect.stringContaining("detail=upstream"),
  ]);
  expect(near.requests.length).toBeGreaterThan(0);
});

it.each([
  ["doesn't accept the key", always, "x".repeat(32)],
  ["is gone", { ...always, url: "http://127.0.0.1:1" }, null],
])("goes on with the registry itself when its relay %s", async (_, settings, key) => {
  const url = await startBehind([settings], key);
  expect((await pull(url)).status).toBe(200);
  expect(far.count({ kind: "manifest" })).toBeGreaterThan(0);
});

it("says whose key isn't accepted when the registry fails too", async () => {
  const url = await startBehind([always], "x".repeat(32));
  far.fail({}, { status: 503 });
  const response = await pull(url);
  expect(response.status).toBe(503);
  expect(await response.text()).toContain(`the relay ${RELAY} doesn't accept its key in RELAY_KEYS`);
});

it("ends where two mirrors are each other's relays", async () => {
  const url = await startBehind([{ ...limited, url: `http://${OTHER}` }], null);
  const other = await start({
    proxy: toNear.url,
    vars: {
      UPSTREAMS: JSON.stringify(UPSTREAMS),
      RELAYS: JSON.stringify([{ url, when: "limited" }]),
      HOSTS: "other.example",
    },
  });
  hosts[OTHER] = other.port;
  try {
    near.fail({}, behaviours.tooManyRequests(60));
    far.fail({}, behaviours.tooManyRequests(60));
    expect((await pull(other.url, "owner/loop")).status).toBe(429);
    // Each is requested twice at most: by the first, and by the second on the first one's behalf and back.
    expect(toFar.requested.get(OTHER)).toBeGreaterThan(0);
    expect(near.requests.length + far.requests.length).toBeLessThanOrEqual(8);
  } finally {
    await other.stop();
  }
});

it("prints which way upstreams go", async () => {
  await startBehind(null);
  expect(mirror?.ways).toEqual([
    { through: `the relay https://${RELAY}`, isSecond: false, upstreams: mirror?.upstreams },
  ]);
});
