// Interrupted transfers: no client notices, not even podman up to 4.3, which would give up; and the mirror stores the whole blob.
import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import type { Client } from "./support/client.ts";
import { hostsToml, registriesConf } from "./support/configurations.ts";
import { startContainerd } from "./support/containerd.ts";
import { startDockerd } from "./support/dockerd.ts";
import { type Stage, startStage, waitForHit } from "./support/mirror.ts";
import { startPodman } from "./support/podman.ts";
import { pulledImageOf, referenceOf, type UpstreamName } from "./support/pulls.ts";

interface Case {
  name: string;
  upstream: UpstreamName;
  start: (stage: Stage) => Promise<Client>;
}

const CASES: Case[] = [
  { name: "dockerd", upstream: "docker.io", start: ({ url }) => startDockerd(url) },
  {
    name: "containerd",
    upstream: "ghcr.io",
    start: ({ url }) => startContainerd({ "ghcr.io": hostsToml(`${url}/ghcr.io`, "https://ghcr.io") }),
  },
  {
    name: "podman",
    upstream: "ghcr.io",
    start: ({ port }) => startPodman(registriesConf("ghcr.io", `127.0.0.1:${port}/ghcr.io`)),
  },
];

describe("the upstream breaks off in the middle of a layer", () => {
  const image = inject("image");
  const largest = image.amd64.layers.reduce((one, other) => (one.size > other.size ? one : other));
  let stage: Stage;
  let client: Client | null = null;

  beforeEach(async () => {
    stage = await startStage(inject("registry"));
  });
  afterEach(async () => {
    await client?.stop();
    await stage?.stop();
    client = null;
  });

  for (const { name, upstream, start } of CASES) {
    test(`${name} has the image, and the mirror the layer`, async () => {
      client = await start(stage);
      const source = stage.upstreams[upstream];
      let cuts = 0;
      source.interfere = ({ digest, method }) => {
        if (digest !== largest.digest || method !== "GET" || cuts > 0) return null;
        cuts += 1;
        return { cutAfter: largest.size / 2 };
      };
      const reference = referenceOf(upstream);
      expect(await client.pull(reference)).toEqual(pulledImageOf(image));
      expect(cuts).toBe(1);
      expect(await client.run(reference)).toBe(image.verdict);

      const repository = reference.slice(0, reference.lastIndexOf(":"));
      await waitForHit(`${stage.url}/v2/${repository}/blobs/${largest.digest}`);
      await client.clean();
      await source.stop();
      expect(await client.pull(reference)).toEqual(pulledImageOf(image));
      expect(await client.run(reference)).toBe(image.verdict);
    });
  }
});
