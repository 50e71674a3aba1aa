/** The budgets of the design: how many operations each kind of request may cost. */
import { beforeEach, describe, expect, test, vi } from "vitest";
import { Ledger } from "../src/index.ts";
import { BUDGETS } from "./support/budgets.ts";
import type { Image } from "./support/fake-registry.ts";
import { patternBytes } from "./support/fake-registry.ts";
import { type Operations, useMirror } from "./support/mirror.ts";

const NOTHING: Operations = {
  storeReads: 0,
  storePuts: 0,
  kvReads: 0,
  kvWrites: 0,
  edgeReads: 0,
  leases: 0,
  resolutions: 0,
};

const mirror = useMirror();
let image: Image;
let manifest: string;
let layer: string;

beforeEach(async () => {
  image = await mirror.docker.addImage("library/demo", "latest", { layers: [patternBytes(100_000, 1)] });
  manifest = `/v2/library/demo/manifests/${image.manifests[0]?.digest}`;
  layer = `/v2/library/demo/blobs/${image.layers[0]?.digest}`;
});

/** Asks once, so that it is stored, and forgets the counts. */
async function warm(path: string): Promise<void> {
  expect((await mirror.request(path)).status).toBe(200);
  mirror.operations();
  mirror.docker.reset();
}

describe("budget", () => {
  const tag = "/v2/library/demo/manifests/latest";

  test("a warm manifest by tag in a new isolate: one edge read, one store read", async () => {
    await warm(tag);
    mirror.newIsolate();
    expect((await mirror.request(tag)).status).toBe(200);
    expect(mirror.operations()).toEqual({
      ...NOTHING,
      ...BUDGETS["manifest by tag, first of an isolate"],
    });
    expect(mirror.docker.requests).toEqual([]);
  });

  test("a warm manifest by tag with memory warm: nothing", async () => {
    await warm(tag);
    expect((await mirror.request(tag)).status).toBe(200);
    expect(mirror.operations()).toEqual({ ...NOTHING, ...BUDGETS["manifest by tag, from memory"] });
    expect(mirror.docker.requests).toEqual([]);
  });

  test("the list of recalled digests: one call of the ledger a minute, whatever is pulled", async () => {
    await warm(tag);
    await warm(layer);
    const reads = vi.spyOn(Ledger.prototype, "recalled");
    mirror.newIsolate();
    for (let round = 0; round < 20; round++) {
      for (const path of [tag, manifest, layer]) expect((await mirror.request(path)).status).toBe(200);
    }
    expect(reads).toHaveBeenCalledTimes(1);
    mirror.clock.ahead += 60_000;
    await mirror.request(layer);
    expect(reads).toHaveBeenCalledTimes(2);
  });

  test("a warm manifest by digest: one store read", async () => {
    await warm(manifest);
    mirror.newIsolate();
    expect((await mirror.request(manifest)).status).toBe(200);
    expect(mirror.operations()).toEqual({
      ...NOTHING,
      ...BUDGETS["manifest by digest, first of an isolate"],
    });
    expect(mirror.docker.requests).toEqual([]);
  });

  test.each(["GET", "HEAD"])("a warm blob by %s: one store read", async (method) => {
    await warm(layer);
    expect((await mirror.request(layer, { method })).status).toBe(200);
    expect(mirror.operations()).toEqual({ ...NOTHING, ...BUDGETS["blob that is stored"] });
    expect(mirror.docker.requests).toEqual([]);
  });

  test("a cold blob: one lease, one put, one fetch with its redirect, one token", async () => {
    // Another repository has taught the challenge, as it has on any mirror that is not brand new.
    await mirror.docker.addImage("library/other", "latest");
    await warm("/v2/library/other/manifests/latest");
    await mirror.docker.addImage("library/third", "latest");
    await mirror.request("/v2/library/third/tags/list");
    mirror.operations();
    mirror.docker.reset();
    expect((await mirror.request(layer)).status).toBe(200);
    expect(mirror.operations()).toEqual({ ...NOTHING, ...BUDGETS["blob that isn't"] });
    expect(mirror.docker.requests.map(({ kind, status }) => [kind, status])).toEqual([
      ["token", 200],
      ["blob", 307],
      ["storage", 200],
    ]);
  });

  test("an unchanged tag after TAG_TTL: one upstream HEAD, nothing that counts against a limit, no KV write", async () => {
    await warm(tag);
    mirror.clock.ahead += 301_000;
    expect((await mirror.request(tag)).status).toBe(200);
    const { kvWrites, storePuts } = mirror.operations();
    expect({ kvWrites, storePuts }).toEqual({ kvWrites: 0, storePuts: 0 });
    const requested = mirror.docker.requests.filter(
      ({ kind, status }) => kind === "manifest" && status === 200,
    );
    expect(requested.map(({ method }) => method)).toEqual(["HEAD"]);
  });

  test("a tag that isn't there, requested twice: no KV write", async () => {
    for (let round = 0; round < 2; round++) {
      expect((await mirror.request("/v2/library/demo/manifests/none")).status).toBe(404);
      expect(mirror.operations().kvWrites).toBe(0);
    }
  });

  test("20 pulls at once of a cold image: one upstream GET a manifest and a blob", async () => {
    const pulls = Array.from({ length: 20 }, async () => {
      for (const path of [tag, manifest, layer]) expect((await mirror.request(path)).status).toBe(200);
    });
    await Promise.all(pulls);
    expect(mirror.docker.count({ kind: "manifest", method: "GET", status: 200 })).toBe(1);
    expect(mirror.docker.count({ kind: "storage", method: "GET" })).toBe(1);
    const { storePuts } = mirror.operations();
    // The manifest and the layer, each once.
    expect(storePuts).toBe(2);
  });
});
