// Two mirrors of one operator, of which one is the other's relay, with real clients.
import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import { hashKey } from "../../src/access/keys.ts";
import type { Client } from "./support/client.ts";
import { registriesConf } from "./support/configurations.ts";
import { startDockerd } from "./support/dockerd.ts";
import { REPOSITORIES, TAG } from "./support/global.ts";
import { startPodman } from "./support/podman.ts";
import { expectOneFetchEach, pulledImageOf, referenceOf } from "./support/pulls.ts";
import { type Served, serve } from "./support/served.ts";
import { startUpstream, type Upstream } from "./support/upstream.ts";

const KEY = "k".repeat(32);
const image = inject("image");

/** The registry as each of the two reaches it. */
let near: Upstream;
let far: Upstream;
const mirrors: Served[] = [];
let client: Client | null = null;

beforeEach(async () => {
  [near, far] = await Promise.all([startUpstream(inject("registry")), startUpstream(inject("registry"))]);
});
afterEach(async () => {
  await client?.stop();
  client = null;
  await Promise.all(mirrors.splice(0).map((mirror) => mirror.stop()));
  await Promise.all([near.stop(), far.stop()]);
});

async function start(
  name: "docker.io" | "ghcr.io",
  upstream: Upstream,
  variables: Record<string, string> = {},
): Promise<Served> {
  const mirror = await serve({ [name]: upstream.url }, {}, variables);
  mirrors.push(mirror);
  return mirror;
}

/** Requires a key of the one that relays through it. */
async function keyed(): Promise<Record<string, string>> {
  const list = [{ name: "other", hash: await hashKey(KEY) }];
  return { ACCESS: "keys", ACCESS_KEYS: JSON.stringify(list), SIGNING_SECRET: "s".repeat(40) };
}

function relaysTo({ url }: Served, when: string): Record<string, string> {
  const relay = { url, when, private: true };
  return { RELAYS: JSON.stringify([relay]), RELAY_KEYS: JSON.stringify({ [new URL(url).host]: KEY }) };
}

describe("an open mirror behind a keyed one", () => {
  test("isn't given what is within that one's network, for anyone could pull it then", async () => {
    const relay = await start("docker.io", near, { ...(await keyed()), PRIVATE: "docker.io/*" });
    const home = await start("docker.io", far, relaysTo(relay, "always"));
    client = await startDockerd(home.url);
    const tag = `${relay.url}/v2/${REPOSITORIES["docker.io"]}/manifests/${TAG}`;
    const Authorization = `Basic ${btoa(`portolan:${KEY}`)}`;
    expect((await fetch(tag, { headers: { Authorization } })).status).toBe(200);
    const refused = await fetch(tag, { headers: { Authorization, "Portolan-Identity": "anonymous" } });
    expect([refused.status, await refused.text()]).toEqual([403, expect.stringContaining("private = true")]);
    await expect(client.pull(referenceOf("docker.io"))).rejects.toThrow();
    expect(far.requests).toEqual([]);
  });
});

describe("a mirror whose registry limits it", () => {
  test("gives podman an image through its relay, tag and layers", async () => {
    const relay = await start("ghcr.io", near);
    const limited = await start("ghcr.io", far, relaysTo(relay, "limited"));
    far.interfere = () => ({ status: 429, headers: { "Retry-After": "600" } });
    client = await startPodman(registriesConf("ghcr.io", `${new URL(limited.url).host}/ghcr.io`));
    expect(await client.pull(referenceOf("ghcr.io"))).toEqual(pulledImageOf(image));
    expectOneFetchEach(near, image);
  });
});

describe("a mirror with an open relay for always", () => {
  test("gives dockerd an image without a request to the registry, cold, warm and with the relay gone", async () => {
    const relay = await start("docker.io", near);
    const home = await start("docker.io", far, relaysTo(relay, "always"));
    client = await startDockerd(home.url);
    expect(await client.pull(referenceOf("docker.io"))).toEqual(pulledImageOf(image));
    expectOneFetchEach(near, image);
    await client.clean();
    await relay.stop();
    mirrors.splice(mirrors.indexOf(relay), 1);
    expect(await client.pull(referenceOf("docker.io"))).toEqual(pulledImageOf(image));
    expect(far.requests.filter(({ kind }) => kind === "blob")).toEqual([]);
  });
});
