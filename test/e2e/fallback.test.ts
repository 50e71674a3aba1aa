// The mirror's upstream fails and the mirror has stored nothing: its response must send each client on to the
// origin, soon. A wrong status here costs a user minutes: dockerd repeats a blob's 5xx for two and a half.
import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import type { Client } from "./support/client.ts";
import { hostsToml, registriesConf } from "./support/configurations.ts";
import { startContainerd } from "./support/containerd.ts";
import { startDockerd } from "./support/dockerd.ts";
import { type Stage, startStage } from "./support/mirror.ts";
import { type Origin, startOrigin } from "./support/origin.ts";
import { startPodman } from "./support/podman.ts";
import { fetches, pulledImageOf, referenceOf, type UpstreamName } from "./support/pulls.ts";
import type { UpstreamRequest } from "./support/upstream.ts";

/** Milliseconds that a pull may take that goes to the origin in the end; without a failing mirror it takes 3 to 6 s. */
const SOON = 20_000;

interface Case {
  name: string;
  upstream: UpstreamName;
  start: (stage: Stage, origin: Origin) => Promise<Client>;
}

const dockerd: Case = {
  name: "dockerd",
  upstream: "docker.io",
  start: ({ url }, { environment }) => startDockerd(url, environment),
};
const containerd: Case = {
  name: "containerd",
  upstream: "ghcr.io",
  start: ({ url }, { environment }) =>
    startContainerd({ "ghcr.io": hostsToml(`${url}/ghcr.io`, "https://ghcr.io") }, environment),
};
const podman: Case = {
  name: "podman",
  upstream: "ghcr.io",
  start: ({ port }, { environment }) =>
    startPodman(registriesConf("ghcr.io", `127.0.0.1:${port}/ghcr.io`), environment),
};

/** Turns off everything, or only blobs. */
type Failure = (stage: Stage, upstream: UpstreamName) => Promise<void> | void;

const answers =
  (status: number, which: (request: UpstreamRequest) => boolean = () => true): Failure =>
  (stage, upstream) => {
    stage.upstreams[upstream].interfere = (request) => (which(request) ? { status } : null);
  };
const isDown: Failure = (stage, upstream) => stage.upstreams[upstream].stop();
const isBlob = ({ kind }: UpstreamRequest): boolean => kind === "blob";

describe("the mirror can't serve, the origin can", () => {
  const image = inject("image");
  let stage: Stage;
  let origin: Origin;
  let client: Client | null = null;

  beforeEach(async () => {
    stage = await startStage(inject("registry"));
    origin = await startOrigin(inject("registry"));
  });
  afterEach(async () => {
    await client?.stop();
    await origin?.stop();
    await stage?.stop();
    client = null;
  });

  const cases = [
    { by: dockerd, what: "is down", fail: isDown },
    { by: dockerd, what: "answers 429", fail: answers(429) },
    { by: dockerd, what: "answers 429 to blobs", fail: answers(429, isBlob) },
    { by: dockerd, what: "answers 503 to blobs", fail: answers(503, isBlob) },
    { by: containerd, what: "is down", fail: isDown },
    { by: containerd, what: "answers 429", fail: answers(429) },
    { by: containerd, what: "answers 503 to blobs", fail: answers(503, isBlob) },
    { by: podman, what: "is down", fail: isDown },
    { by: podman, what: "answers 429", fail: answers(429) },
  ];

  for (const { by, what, fail } of cases) {
    test(`${by.name} gets the image soon when the upstream ${what}`, async () => {
      client = await by.start(stage, origin);
      await fail(stage, by.upstream);
      const started = Date.now();
      expect(await client.pull(referenceOf(by.upstream))).toEqual(pulledImageOf(image));
      expect(Date.now() - started).toBeLessThan(SOON);
      // It came from the origin, and not from a mirror that the failure had not reached.
      expect(Object.keys(fetches(origin.requests, "blob")).length).toBe(1 + image.amd64.layers.length);
    });
  }
});
