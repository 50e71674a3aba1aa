/** Tags that are in use are revalidated by themselves, and what they newly name is fetched before a client requests it. */
import { env } from "cloudflare:workers";
import { beforeEach, expect, test, vi } from "vitest";
import { TrafficRecorder } from "../../src/ledger/traffic.ts";
import { type WatchReport, watch } from "../../src/ledger/watch.ts";
import type { Ledger } from "../../src/objects/ledger.ts";
import type { Digest } from "../../src/oci/digest.ts";
import { createServices, type Services } from "../../src/services.ts";
import { type Image, patternBytes } from "../support/fake-registry.ts";
import { useMirror } from "../support/mirror.ts";

const HOUR = 3_600_000;
const PATIENCE = { timeout: 30_000, interval: 20 };
const OPTIONS = { pause: 1, look: 20, time: 20_000 };
const PLATFORMS = ["linux/amd64", "linux/arm64"];

// Tags are always due: a clock that went on would leave the alarms of fills behind.
const mirror = useMirror({ WATCH: "7d", PIN: ["docker.io/library/pinned"], TAG_TTL: 0 });
const { LEDGER } = env as unknown as { LEDGER: DurableObjectNamespace<Ledger> };
beforeEach(() => {
  mirror.services.traffic = new TrafficRecorder(
    () => LEDGER.getByName("ledger"),
    () => Date.now(),
    1,
  );
  mirror.services.storeReads = Number.POSITIVE_INFINITY;
});

/** Pushes a new image to a tag upstream. */
function publish(repository: string, seed: number, registry = mirror.docker): Promise<Image> {
  const layers = [patternBytes(1000, seed), patternBytes(1000, seed + 100)];
  return registry.addImage(repository, "latest", { layers, platforms: PLATFORMS });
}

/** Pulls a tag as a client of the first platform does, and waits until the ledger knows. */
async function pull(repository: string, image: Image, prefix = ""): Promise<void> {
  const path = `/v2/${prefix}${repository}`;
  await mirror.request(`${path}/manifests/latest`);
  await mirror.request(`${path}/manifests/${image.manifests[0]?.digest}`);
  for (const blob of [image.configs[0], ...image.layers])
    await mirror.request(`${path}/blobs/${blob?.digest}`);
  const ledger = LEDGER.getByName("ledger");
  const pulled = [image.target, image.manifests[0]].map((manifest) => manifest?.digest as Digest);
  await vi.waitFor(async () => {
    expect(await ledger.usedAmong(pulled)).toHaveLength(2);
    const choice = { since: 0, pin: [], most: 100 };
    expect((await ledger.watched(choice)).some((tag) => tag.repository === repository)).toBe(true);
  }, PATIENCE);
}

const run = (services: Services = mirror.services): Promise<WatchReport> => watch(services, OPTIONS);
const later = () => {
  mirror.docker.reset();
  mirror.ghcr.reset();
};
const heads = () => mirror.docker.count({ kind: "manifest", method: "HEAD", status: 200 });

test("a tag that moved is fetched ahead, the platform that was pulled before and no other", async () => {
  await pull("library/demo", await publish("library/demo", 1));
  await run();
  const moved = await publish("library/demo", 2);
  later();
  expect(await run()).toEqual({ tags: 1, fetched: 1, limited: [] });
  const path = "/v2/library/demo";
  mirror.docker.reset();
  for (const blob of [moved.configs[0], ...moved.layers]) {
    expect((await mirror.request(`${path}/blobs/${blob?.digest}`)).status).toBe(200);
  }
  const tag = await mirror.request(`${path}/manifests/latest`);
  expect(tag.headers.get("Docker-Content-Digest")).toBe(moved.target.digest);
  expect((await mirror.request(`${path}/manifests/${moved.manifests[0]?.digest}`)).status).toBe(200);
  // The tag itself is due again; its content isn't.
  expect(mirror.docker.requests.map(({ method }) => method)).toEqual(["HEAD"]);
  await mirror.request(`${path}/blobs/${moved.configs[1]?.digest}`);
  expect(mirror.docker.count({ kind: "storage" })).toBe(1);
});

test("a tag that hasn't moved costs a HEAD, which Docker Hub doesn't count, and no write", async () => {
  await pull("library/demo", await publish("library/demo", 1));
  await run();
  later();
  mirror.operations();
  expect(await run()).toEqual({ tags: 1, fetched: 0, limited: [] });
  expect(heads()).toBe(1);
  expect(mirror.docker.count({ kind: "manifest", method: "GET" })).toBe(0);
  const { kvWrites, storePuts, leases } = mirror.operations();
  expect({ kvWrites, storePuts, leases }).toEqual({ kvWrites: 0, storePuts: 0, leases: 0 });
});

test("a tag that wasn't pulled for longer than WATCH is left alone, unless it is pinned", async () => {
  await pull("library/demo", await publish("library/demo", 1));
  await pull("library/pinned", await publish("library/pinned", 2));
  mirror.clock.ahead += 8 * 24 * HOUR;
  later();
  expect(await run()).toMatchObject({ tags: 1 });
  expect(mirror.docker.requests.filter(({ path }) => path.includes("/demo/"))).toEqual([]);
});

test("an upstream that limits requests gets no more of them in this run, and the others still do", async () => {
  for (const [index, name] of ["library/one", "library/two", "library/three"].entries()) {
    await pull(name, await publish(name, 10 + index));
  }
  await pull("owner/four", await publish("owner/four", 20, mirror.ghcr), "ghcr.io/");
  await run();
  later();
  mirror.docker.fail({ kind: "manifest" }, { status: 429 });
  expect(await run()).toMatchObject({ limited: ["docker.io"], tags: 2 });
  expect(mirror.docker.count({ kind: "manifest", status: 429 })).toBe(1);
  expect(mirror.ghcr.count({ kind: "manifest", method: "HEAD", status: 200 })).toBe(1);
});

test("where calls are limited, the next run goes on with the other tags", async () => {
  for (const [index, name] of ["library/one", "library/two", "library/three"].entries()) {
    await pull(name, await publish(name, 10 + index));
  }
  await run();
  later();
  mirror.services.storeReads = 5;
  expect(await run()).toMatchObject({ tags: 2 });
  const first = mirror.docker.requests.map(({ path }) => path);
  mirror.docker.reset();
  await run();
  const second = mirror.docker.requests.map(({ path }) => path);
  expect([...first, ...second].some((path) => path.includes("/three/"))).toBe(true);
});

test("where calls are limited, an image is fetched over several runs", async () => {
  await pull("library/demo", await publish("library/demo", 1));
  await run();
  const layers = Array.from({ length: 12 }, (_, index) => patternBytes(300, 50 + index));
  await mirror.docker.addImage("library/demo", "latest", { layers, platforms: PLATFORMS });
  mirror.services.storeReads = 30;
  let fetched = 0;
  await vi.waitFor(async () => {
    ({ fetched } = await run());
    expect(fetched).toBe(1);
  }, PATIENCE);
});

test("what the mirror doesn't serve any more isn't requested", async () => {
  await pull("library/demo", await publish("library/demo", 1));
  later();
  const denied = createServices({ ...mirror.bindings, ...{ DENY: ["docker.io/library/*"] } } as never);
  denied.traffic = null;
  expect(await run(denied)).toMatchObject({ tags: 0 });
  expect(mirror.docker.requests).toEqual([]);
});

test("without WATCH nothing is requested", async () => {
  await pull("library/demo", await publish("library/demo", 1));
  later();
  mirror.services.config = { ...mirror.services.config, watch: null };
  expect(await run()).toEqual({ tags: 0, fetched: 0, limited: [] });
  expect(mirror.docker.requests).toEqual([]);
});
