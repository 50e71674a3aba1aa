// Docker's own media types, which most of Docker Hub still has: a manifest changed into its OCI twin on the way would
// have another digest, and one handed out under the wrong type is refused.
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import type { Client } from "./support/client.ts";
import { hostsToml, registriesConf } from "./support/configurations.ts";
import { startContainerd } from "./support/containerd.ts";
import { startDockerd } from "./support/dockerd.ts";
import { DOCKER_TAG, REPOSITORIES } from "./support/global.ts";
import { type Stage, startStage } from "./support/mirror.ts";
import { startPodman } from "./support/podman.ts";
import { fetches, pulledImageOf, referenceOf } from "./support/pulls.ts";

describe("an image in Docker's media types", () => {
  const image = inject("image");
  let stage: Stage;
  let client: Client | null = null;

  beforeAll(async () => {
    stage = await startStage(inject("registry"));
  });
  afterAll(async () => {
    await stage?.stop();
  });

  test("the OCI version is stored first: its layers serve both, and its manifests are not mistaken for these", async () => {
    client = await startContainerd({ "docker.io": hostsToml(`${stage.url}/docker.io`, null) });
    try {
      expect(await client.pull(referenceOf("docker.io"))).toEqual(pulledImageOf(image));
      await stage.settled();
      stage.forget();
      expect(await client.pull(referenceOf("docker.io", DOCKER_TAG))).toEqual(pulledImageOf(image.docker));
      expect(fetches(stage.upstreams["docker.io"].requests, "blob")).toEqual({});
    } finally {
      await client.stop();
    }
  });

  const clients = {
    dockerd: () => startDockerd(stage.url),
    podman: () => startPodman(registriesConf("docker.io", `docker.mirror.test:${stage.port}`)),
  };
  for (const [name, start] of Object.entries(clients)) {
    test(`${name} stores it under the digest that was pushed, and it runs`, async () => {
      client = await start();
      try {
        const reference = referenceOf("docker.io", DOCKER_TAG);
        expect(await client.pull(reference)).toEqual(pulledImageOf(image.docker));
        expect(await client.run(reference)).toBe(image.verdict);
      } finally {
        await client.stop();
      }
    });
  }

  test("each manifest has the type it was pushed with", async () => {
    const { index, amd64 } = image.docker;
    for (const { digest, mediaType } of [index, amd64.manifest, image.index, image.amd64.manifest]) {
      const url = `${stage.url}/v2/${REPOSITORIES["docker.io"]}/manifests/${digest}`;
      expect((await fetch(url)).headers.get("content-type")).toBe(mediaType);
    }
  });
});
