// The three pulls that every client must manage, each a test that rests on the one before: cold, then warm with a
// client that has forgotten everything, then with the upstream stopped.
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import type { Client, PulledImage } from "./client.ts";
import { REPOSITORIES, TAG } from "./global.ts";
import type { ImageFacts, Manifests } from "./image.ts";
import { type Stage, startStage } from "./mirror.ts";
import type { Upstream, UpstreamRequest } from "./upstream.ts";

export type UpstreamName = keyof typeof REPOSITORIES;

export function referenceOf(upstream: UpstreamName, tag = TAG): string {
  return `${upstream}/${REPOSITORIES[upstream]}:${tag}`;
}

export interface ThreePulls {
  /** As it stands in the tests' names. */
  name: string;
  upstream: UpstreamName;
  start: (stage: Stage) => Promise<Client>;
  /** What the client is requested, if that is not the upstream's own name and tag. */
  reference?: (stage: Stage) => string;
}

export function threePulls({
  name,
  upstream,
  start,
  reference: referenceIn = () => referenceOf(upstream),
}: ThreePulls): void {
  describe(name, () => {
    const image = inject("image");
    let reference = "";
    let stage: Stage;
    let client: Client | null = null;

    beforeAll(async () => {
      stage = await startStage(inject("registry"));
      reference = referenceIn(stage);
      client = await start(stage);
    });
    afterAll(async () => {
      await client?.stop();
      await stage?.stop();
    });
    const pull = async (): Promise<PulledImage> => {
      if (client === null) throw new Error("the client did not start");
      return client.pull(reference);
    };

    test("cold: every manifest and every blob is fetched from upstream once", async () => {
      expect(await pull()).toEqual(pulledImageOf(image));
      await stage.settled();
      expectOneFetchEach(stage.upstreams[upstream], image);
      expectNoRequests(stage, upstream);
    });

    test("what was pulled runs, and each of its files is the one that was built", async () => {
      expect(await client?.run(reference)).toBe(image.verdict);
    });

    test("warm: a client that knows nothing gets all of it without a request upstream", async () => {
      await client?.clean();
      stage.forget();
      expect(await pull()).toEqual(pulledImageOf(image));
      expect(stage.upstreams[upstream].requests).toEqual([]);
    });

    test("upstream stopped: a client that knows nothing still gets all of it", async () => {
      await client?.clean();
      await stage.upstreams[upstream].stop();
      expect(await pull()).toEqual(pulledImageOf(image));
      expect(await client?.run(reference)).toBe(image.verdict);
    });
  });
}

export function pulledImageOf(image: Manifests): PulledImage {
  return { digest: image.index.digest, config: image.amd64.config.digest };
}

/** GETs by digest. A request for a tag counts for the manifest it was answered with. */
export function fetches(
  requests: readonly UpstreamRequest[],
  kind: "manifest" | "blob",
): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const request of requests) {
    if (request.kind !== kind || request.method !== "GET") continue;
    const key = request.digest ?? request.path;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}

/** The index, one manifest, one config, the layers; once each, and nothing of the other platform. */
export function expectOneFetchEach(upstream: Upstream, image: ImageFacts): void {
  const once = (digests: string[]): Record<string, number> =>
    Object.fromEntries(digests.map((each) => [each, 1]));
  const { manifest, config, layers } = image.amd64;
  expect(fetches(upstream.requests, "manifest")).toEqual(once([image.index.digest, manifest.digest]));
  expect(fetches(upstream.requests, "blob")).toEqual(
    once([config.digest, ...layers.map((layer) => layer.digest)]),
  );
}

function expectNoRequests(stage: Stage, except: UpstreamName): void {
  for (const [name, other] of Object.entries(stage.upstreams)) {
    if (name !== except) expect(other.requests).toEqual([]);
  }
}
