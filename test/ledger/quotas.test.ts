/** The Free plan's quotas: what is used of them is counted, and short of them what is optional stops, pulls never. */
import { env } from "cloudflare:workers";
import { beforeEach, expect, test, vi } from "vitest";
import worker from "../../src/index.ts";
import { FREE_PLAN, type Operation, type Usage } from "../../src/ledger/quotas.ts";
import { TrafficRecorder } from "../../src/ledger/traffic.ts";
import type { Ledger } from "../../src/objects/ledger.ts";
import type { Digest } from "../../src/oci/digest.ts";
import type { Env } from "../../src/services.ts";
import { patternBytes } from "../support/fake-registry.ts";
import { useMirror } from "../support/mirror.ts";

const ADMIN_KEY = "an-admin-key-of-more-than-32-characters";
const OWNER = { Authorization: `Bearer ${ADMIN_KEY}` };
const PATIENCE = { timeout: 30_000, interval: 20 };
const DAY = 86_400_000;

const mirror = useMirror({ ADMIN_KEY, WATCH: "7d" });
const { LEDGER } = env as unknown as { LEDGER: DurableObjectNamespace<Ledger> };
beforeEach(() => {
  mirror.services.traffic = new TrafficRecorder(
    () => LEDGER.getByName("ledger"),
    () => Date.now(),
    1,
  );
});

interface Quotas {
  used: Usage;
  tight: string[];
}

async function quotas(): Promise<Quotas | null> {
  return (await mirror.request("/_/status", { headers: OWNER })).json().quotas as Quotas | null;
}

async function warm(): Promise<{ status: number; headers: Headers }> {
  const body = JSON.stringify({ image: "demo" });
  const headers = { ...OWNER, "Content-Length": String(body.length) };
  return mirror.request("/_/warm", { method: "POST", body, headers });
}

const use = (operation: Operation, count: number) =>
  LEDGER.getByName("ledger").add({ operations: [{ operation, count }] }, Date.now());

test("what a pull costs is counted as the platform counts it", async () => {
  const { layers } = await mirror.docker.addImage("library/demo", "latest", {
    layers: [patternBytes(100, 1)],
  });
  await mirror.request("/v2/library/demo/manifests/latest");
  await mirror.request(`/v2/library/demo/blobs/${layers[0]?.digest}`);
  await vi.waitFor(async () => {
    const used = (await quotas())?.used;
    // The tag's record; the manifest and the layer; the resolver, the lease and the ledger itself.
    expect(used).toMatchObject({ kvWrites: 1, r2ClassA: 2 });
    expect(used?.objectRequests).toBeGreaterThanOrEqual(3);
    expect(used?.requests).toBeGreaterThanOrEqual(2);
    expect(used?.kvReads).toBeGreaterThanOrEqual(1);
    expect(used?.r2ClassB).toBeGreaterThanOrEqual(1);
  }, PATIENCE);
});

test.each(Object.keys(FREE_PLAN) as Operation[])(
  "with nine tenths of the free %s used, nothing is fetched ahead until the day is over, and pulls go on",
  async (operation) => {
    await mirror.docker.addImage("library/demo", "latest", { layers: [patternBytes(100, 1)] });
    await use(operation, Math.floor(FREE_PLAN[operation] * 0.8));
    expect((await warm()).status).toBe(200);
    await use(operation, Math.ceil(FREE_PLAN[operation] * 0.1));
    const { status, headers } = await warm();
    expect(status).toBe(429);
    expect(Number(headers.get("Retry-After"))).toBeGreaterThan(0);
    expect((await quotas())?.tight).toEqual([operation]);
    expect((await mirror.request("/v2/library/demo/manifests/latest")).status).toBe(200);
    const controller = { scheduledTime: 0, cron: "", noRetry() {} };
    mirror.docker.reset();
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    await worker.scheduled(controller, mirror.bindings as unknown as Env);
    expect(warn).toHaveBeenCalledWith(expect.stringContaining("no tags are watched"));
    expect(mirror.docker.requests).toEqual([]);
    mirror.clock.ahead += DAY;
    expect((await warm()).status).toBe(200);
  },
);

test("with nine tenths of a quota used, traffic is counted without who used what, until the day is over", async () => {
  const digest: Digest = `sha256:${"1".repeat(64)}`;
  const ledger = LEDGER.getByName("ledger");
  const batch = (at: number) => ({
    traffic: [{ upstream: "docker.io", kind: "blob", served: "store", status: 200, requests: 1, bytes: 1 }],
    uses: [{ digest, source: `docker.io/library/demo-${at}` }],
    pulls: [{ digest, key: `key-${at}` }],
  });
  const recorded = async () => ({
    requests: (await ledger.totals()).reduce((sum, { requests }) => sum + requests, 0),
    uses: (await ledger.index()).uses.map(({ source }) => source),
    pulls: (await ledger.traceOf(digest)).pulls.map(({ key }) => key),
  });
  await use("kvWrites", FREE_PLAN.kvWrites * 0.9);
  const now = Date.now();
  expect(await ledger.add(batch(1), now)).toBe(false);
  expect(await recorded()).toEqual({ requests: 1, uses: [], pulls: [] });
  expect(await ledger.add(batch(2), now + DAY)).toBe(true);
  expect(await recorded()).toEqual({ requests: 2, uses: ["docker.io/library/demo-2"], pulls: ["key-2"] });
  mirror.services.hasQuotas = false;
  expect(await ledger.add(batch(3), now)).toBe(true);
});

test("where the quotas don't apply, nothing stops", async () => {
  await mirror.docker.addImage("library/demo", "latest", { layers: [patternBytes(100, 1)] });
  await use("kvWrites", 5_000);
  mirror.services.hasQuotas = false;
  expect((await warm()).status).toBe(200);
  expect(await quotas()).toBeNull();
});
