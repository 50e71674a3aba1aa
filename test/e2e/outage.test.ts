// An expired tag: revalidated by one HEAD, served stale while upstream fails, followed
// when it moves, and dropped when upstream says that it is gone or private.
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from "vitest";
import type { Client, PulledImage } from "./support/client.ts";
import { hostsToml } from "./support/configurations.ts";
import { startContainerd } from "./support/containerd.ts";
import { REPOSITORIES } from "./support/global.ts";
import { type Stage, startStage } from "./support/mirror.ts";
import { pulledImageOf } from "./support/pulls.ts";
import { tagAs } from "./support/registry.ts";
import type { Upstream } from "./support/upstream.ts";

const TAG = "moving";

describe("containerd, a tag whose time is up", () => {
  const image = inject("image");
  const registry = inject("registry");
  const repository = REPOSITORIES["ghcr.io"];
  let stage: Stage;
  let upstream: Upstream;
  let client: Client | null = null;

  beforeAll(async () => {
    await tagAs(registry, repository, image.index, TAG);
    stage = await startStage(registry, { TAG_TTL: "1" });
    upstream = stage.upstreams["ghcr.io"];
    client = await startContainerd({ "ghcr.io": hostsToml(`${stage.url}/ghcr.io`, "https://ghcr.io") });
    await pull();
    await stage.settled();
  });
  afterEach(async () => {
    upstream.interfere = () => null;
    await upstream.start();
  });
  afterAll(async () => {
    await client?.stop();
    await stage?.stop();
  });

  const pull = async (): Promise<PulledImage> => {
    if (client === null) throw new Error("containerd did not start");
    return client.pull(`ghcr.io/${repository}:${TAG}`);
  };
  /** A client without cached content, and a tag that has to be revalidated. */
  const expire = async (): Promise<void> => {
    await client?.clean();
    await sleep(1_500);
    stage.forget();
  };

  test("unchanged, it costs upstream one HEAD and nothing that counts as a pull", async () => {
    await expire();
    expect(await pull()).toEqual(pulledImageOf(image));
    expect(upstream.requests.map(({ method, path }) => `${method} ${path}`)).toEqual([
      `HEAD /v2/${repository}/manifests/${TAG}`,
    ]);
  });

  test.each([429, 500, 503])("it is served all the same while upstream answers %i", async (status) => {
    await expire();
    upstream.interfere = () => ({ status });
    expect(await pull()).toEqual(pulledImageOf(image));
    expect(upstream.requests.length).toBeGreaterThan(0);
  });

  test("it is served all the same while upstream is down", async () => {
    await expire();
    await upstream.stop();
    expect(await pull()).toEqual(pulledImageOf(image));
  });

  test.each([401, 403, 404])("it is not served while upstream answers %i", async (status) => {
    await expire();
    upstream.interfere = () => ({ status });
    await expect(pull()).rejects.toThrow();
    expect(upstream.requests.length).toBeGreaterThan(0);
  });

  test("moved, its new image is pulled", async () => {
    await expire();
    await tagAs(registry, repository, image.amd64.manifest, TAG);
    expect(await pull()).toEqual({ digest: image.amd64.manifest.digest, config: image.amd64.config.digest });
    // All its layers were stored.
    expect(upstream.requests.filter(({ kind }) => kind === "blob")).toEqual([]);
  });
});
