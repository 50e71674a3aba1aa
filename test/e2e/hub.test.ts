// An upstream that wants tokens and redirects its blobs, as Docker Hub does: the client sees nothing of either.
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { startMirror } from "../../scripts/local/mirror.ts";
import type { Client } from "./support/client.ts";
import { startDockerd } from "./support/dockerd.ts";
import { REPOSITORIES } from "./support/global.ts";
import { type Hub, startHub } from "./support/hub.ts";
import { workspace } from "./support/process.ts";
import { fetches, pulledImageOf, referenceOf } from "./support/pulls.ts";

describe("dockerd, an upstream with tokens and redirects", () => {
  const image = inject("image");
  const reference = referenceOf("docker.io");
  let hub: Hub;
  let client: Client;
  const stops: (() => Promise<void>)[] = [];

  beforeAll(async () => {
    hub = await startHub(inject("registry"), inject("storage"));
    stops.unshift(hub.stop);
    const { folder, remove } = await workspace("mirror");
    stops.unshift(remove);
    const upstreams = { "docker.io": [hub.upstream.url] };
    const mirror = await startMirror({
      port: 0,
      host: "127.0.0.1",
      data: folder,
      upstreams,
      insecure: Object.keys(upstreams),
    });
    stops.unshift(mirror.stop);
    client = await startDockerd(mirror.url);
    stops.unshift(client.stop);
  });
  afterAll(async () => {
    for (const stop of stops) await stop();
  });

  test("cold: one token for the repository, each blob from the storage host once, without the token", async () => {
    expect(await client.pull(reference)).toEqual(pulledImageOf(image));
    expect(await client.run(reference)).toBe(image.verdict);

    const { manifest, config, layers } = image.amd64;
    expect(hub.tokens.map((query) => Object.fromEntries(query))).toEqual([
      { service: "registry.test", scope: `repository:${REPOSITORIES["docker.io"]}:pull` },
    ]);
    const digests = [config.digest, ...layers.map((layer) => layer.digest)].sort();
    const path = (digest: string): string => `/v2/${REPOSITORIES["docker.io"]}/blobs/${digest}`;
    expect(hub.stored.toSorted((one, other) => (one.path < other.path ? -1 : 1))).toEqual(
      digests.map((digest) => ({ path: path(digest), authorized: false })),
    );
    const answered = hub.upstream.requests.filter(({ status }) => status !== 401);
    expect(fetches(answered, "manifest")).toEqual({ [image.index.digest]: 1, [manifest.digest]: 1 });
  });

  test("warm: no upstream request is made", async () => {
    await client.clean();
    const before = [hub.tokens.length, hub.stored.length, hub.upstream.requests.length];
    expect(await client.pull(reference)).toEqual(pulledImageOf(image));
    expect([hub.tokens.length, hub.stored.length, hub.upstream.requests.length]).toEqual(before);
  });
});
