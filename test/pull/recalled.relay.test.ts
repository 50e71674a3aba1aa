/** A recalled digest that a relay, or a fallback, would serve. */
import { beforeEach, expect, test, vi } from "vitest";
import type { Digest } from "../../src/oci/digest.ts";
import {
  createFakeNetwork,
  createFakeRegistry,
  type FakeRegistry,
  type Image,
  patternBytes,
} from "../support/fake-registry.ts";
import { useMirror } from "../support/mirror.ts";

const mirror = useMirror({
  RELAYS: [{ url: "https://relay.test", upstreams: ["docker.io"], when: "always" }],
  UPSTREAMS: { "ghcr.io": { endpoints: ["https://ghcr.io", "https://fallback.test"] } },
});
let relay: FakeRegistry;
let fallback: FakeRegistry;
let image: Image;

beforeEach(async () => {
  const at = (host: string) =>
    createFakeRegistry({
      registryHost: host,
      tokenHost: host,
      storageHost: host,
      auth: "none",
      redirect: "none",
    });
  relay = at("relay.test");
  fallback = at("fallback.test");
  vi.stubGlobal("fetch", createFakeNetwork(mirror.docker, mirror.ghcr, relay, fallback).fetch);
  const layers = [patternBytes(1000, 1)];
  image = await relay.addImage("docker.io/library/demo", "latest", { layers });
  await fallback.addImage("library/demo", "latest", { layers });
});

const recall = (digest: string | undefined) =>
  mirror.services.recalls.recall(mirror.services, { digest: digest as Digest });

test.each(["GET", "HEAD"])("a tag that the relay resolves to it is refused by %s", async (method) => {
  const tag = "/v2/docker.io/library/demo/manifests/latest";
  expect((await mirror.request(tag, { method })).status).toBe(200);
  await recall(image.target.digest);
  expect((await mirror.request(tag, { method })).status).toBe(403);
  mirror.newIsolate();
  mirror.clock.ahead += 301_000;
  expect((await mirror.request(tag, { method })).status).toBe(403);
});

test.each([
  { from: "the relay", repository: "docker.io/library/demo", source: () => relay },
  { from: "the fallback", repository: "ghcr.io/library/demo", source: () => fallback },
])("its blob isn't requested of $from", async ({ repository, source }) => {
  const [layer] = image.layers;
  const path = `/v2/${repository}/blobs/${layer?.digest}`;
  mirror.ghcr.fail({}, { status: 503 });
  expect((await mirror.request(path)).status).toBe(200);
  await recall(layer?.digest);
  source().reset();
  expect((await mirror.request(path)).status).toBe(403);
  expect(source().requests).toEqual([]);
});
