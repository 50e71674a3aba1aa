/** Who pulled a digest and which tags led to it, as the owner sees it after a recall. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, expect, test, vi } from "vitest";
import type { DigestTrace } from "../../src/ledger/pulls.ts";
import { TrafficRecorder } from "../../src/ledger/traffic.ts";
import type { Ledger } from "../../src/objects/ledger.ts";
import { PullTable } from "../../src/objects/pull-table.ts";
import type { Digest } from "../../src/oci/digest.ts";
import { basic, KEY, KEYED } from "../access/keyed.ts";
import { patternBytes } from "../support/fake-registry.ts";
import { useMirror } from "../support/mirror.ts";

const ADMIN_KEY = "an-admin-key-of-more-than-32-characters";
const OWNER = { headers: { Authorization: `Bearer ${ADMIN_KEY}` } };
const PATIENCE = { timeout: 30_000, interval: 20 };
const HOUR = 3_600_000;
const DIGESTS = ["1", "2", "3"].map((digit): Digest => `sha256:${digit.repeat(64)}`);

const mirror = useMirror({ ...KEYED, ADMIN_KEY });
const { LEDGER } = env as unknown as { LEDGER: DurableObjectNamespace<Ledger> };
beforeEach(() => {
  mirror.services.traffic = new TrafficRecorder(
    () => LEDGER.getByName("ledger"),
    () => Date.now(),
    1,
  );
});

async function trace(digest: string | undefined): Promise<DigestTrace> {
  const response = await mirror.request(`/_/pulls/${digest}`, OWNER);
  expect(response.status).toBe(200);
  return response.json() as unknown as DigestTrace;
}

test("a digest has the keys that pulled it and when, and the tags of the images that have it", async () => {
  const { target, layers } = await mirror.docker.addImage("library/demo", "1.0", {
    layers: [patternBytes(100, 1)],
  });
  const layer = layers[0]?.digest;
  const pull = (path: string) => mirror.request(`/v2/library/demo/${path}`, { headers: basic(KEY) });
  await pull("manifests/1.0");
  await pull(`blobs/${layer}`);
  const key = mirror.services.config.keys[0]?.name;
  await vi.waitFor(
    async () => expect((await trace(layer)).pulls).toMatchObject([{ key, hours: 1 }]),
    PATIENCE,
  );
  await vi.waitFor(async () => {
    expect((await trace(target.digest)).tags).toMatchObject([
      { upstream: "docker.io", repository: "library/demo", tag: "1.0", named: target.digest },
    ]);
  }, PATIENCE);
  await LEDGER.getByName("ledger").learn([{ digest: target.digest as Digest, visibility: "public" }]);
  expect((await trace(layer)).tags).toMatchObject([{ tag: "1.0", named: target.digest }]);
});

test("a HEAD and a refusal are no pulls", async () => {
  const { target } = await mirror.docker.addImage("library/demo", "1.0", { layers: [patternBytes(100, 1)] });
  const path = `/v2/library/demo/manifests/${target.digest}`;
  await mirror.request(path, { method: "HEAD", headers: basic(KEY) });
  expect((await mirror.request(path)).status).toBe(401);
  await vi.waitFor(async () => expect(await LEDGER.getByName("ledger").totals()).not.toEqual([]), PATIENCE);
  expect((await trace(target.digest)).pulls).toEqual([]);
});

test("pulls of a key count by the hour, and the oldest rows are dropped beyond the most", async () => {
  const object = LEDGER.getByName(crypto.randomUUID());
  await runInDurableObject(object, (_, { storage }) => {
    const table = new PullTable(storage.sql, 2);
    const [one, two, three] = DIGESTS as [Digest, Digest, Digest];
    const start = 1000 * 24 * HOUR;
    table.add([{ digest: one, key: "ci" }], start);
    table.add([{ digest: two, key: "ci" }], start + HOUR);
    table.add([{ digest: two, key: "ci" }], start + HOUR + 60_000);
    table.add([{ digest: two, key: "ci" }], start + 3 * HOUR);
    table.add([{ digest: three, key: "" }], start + 4 * HOUR);
    expect(table.traceOf(two).pulls).toEqual([
      { key: "ci", first: start + HOUR, last: start + 3 * HOUR, hours: 2 },
    ]);
    table.prune(start + 5 * HOUR);
    expect([one, two, three].map((digest) => table.traceOf(digest).pulls.length)).toEqual([0, 1, 1]);
    table.prune(start + 500 * 24 * HOUR);
    expect(table.traceOf(three).pulls).toEqual([]);
  });
});

test("an image is resolved as a pull would, and neither is shown to others", async () => {
  const { target } = await mirror.docker.addImage("library/demo", "1.0", { layers: [patternBytes(100, 1)] });
  const resolved = await mirror.request("/_/resolve/demo:1.0", OWNER);
  expect(resolved.json()).toEqual({ repository: "docker.io/library/demo", digest: target.digest });
  expect((await mirror.request("/_/resolve/demo:none", OWNER)).status).toBe(404);
  expect((await mirror.request("/_/pulls/latest", OWNER)).status).toBe(400);
  for (const path of ["resolve/demo:1.0", `pulls/${target.digest}`]) {
    expect((await mirror.request(`/_/${path}`, { headers: basic(KEY) })).status).toBe(401);
  }
});
