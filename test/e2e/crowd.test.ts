// Many clients of several kinds pull an image at once that the mirror hasn't stored.
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import type { Client } from "./support/client.ts";
import { hostsToml, registriesConf } from "./support/configurations.ts";
import { startContainerd } from "./support/containerd.ts";
import { type Stage, startStage } from "./support/mirror.ts";
import { startPodman } from "./support/podman.ts";
import { fetches, pulledImageOf, referenceOf } from "./support/pulls.ts";

describe("three containerds and two podmans at once", () => {
  const image = inject("image");
  const reference = referenceOf("ghcr.io");
  let stage: Stage;
  let clients: Client[] = [];

  beforeAll(async () => {
    stage = await startStage(inject("registry"));
    const containerd = { "ghcr.io": hostsToml(`${stage.url}/ghcr.io`, "https://ghcr.io") };
    const podman = registriesConf("ghcr.io", `127.0.0.1:${stage.port}/ghcr.io`);
    clients = await Promise.all([
      ...[1, 2, 3].map(() => startContainerd(containerd)),
      ...[1, 2].map(() => startPodman(podman)),
    ]);
  });
  afterAll(async () => {
    for (const client of clients) await client.stop();
    await stage?.stop();
  });

  test("cold: all of them get it, and upstream serves each manifest once", async () => {
    const pulled = await Promise.all(clients.map((client) => client.pull(reference)));
    expect(pulled).toEqual(clients.map(() => pulledImageOf(image)));
    await stage.settled();
    const { requests } = stage.upstreams["ghcr.io"];
    expect(fetches(requests, "manifest")).toEqual({
      [image.index.digest]: 1,
      [image.amd64.manifest.digest]: 1,
    });
    // Clients that arrive during a fill may get the blob directly from upstream, but at most once per request.
    for (const [digest, times] of Object.entries(fetches(requests, "blob"))) {
      expect(times, digest).toBeLessThanOrEqual(clients.length);
    }
  });

  test("warm: all of them again, without a request upstream", async () => {
    for (const client of clients) await client.clean();
    stage.forget();
    const pulled = await Promise.all(clients.map((client) => client.pull(reference)));
    expect(pulled).toEqual(clients.map(() => pulledImageOf(image)));
    expect(stage.upstreams["ghcr.io"].requests).toEqual([]);
  });
});
