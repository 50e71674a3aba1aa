// `npm start`, killed and restarted: stored content is still stored, and interrupted fills do no harm.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import type { Client } from "./support/client.ts";
import { startDockerd } from "./support/dockerd.ts";
import { REPOSITORIES } from "./support/global.ts";
import { waitForHit } from "./support/mirror.ts";
import { waitFor } from "./support/process.ts";
import { expectOneFetchEach, pulledImageOf, referenceOf } from "./support/pulls.ts";
import { type Served, serve } from "./support/served.ts";
import { startUpstream, type Upstream } from "./support/upstream.ts";

describe("dockerd, through a mirror that is killed", () => {
  const image = inject("image");
  const reference = referenceOf("docker.io");
  let upstream: Upstream;
  let mirror: Served | null = null;
  let client: Client | null = null;

  beforeEach(async () => {
    upstream = await startUpstream(inject("registry"));
    mirror = await serve({ "docker.io": upstream.url });
    client = await startDockerd(mirror.url);
  });
  afterEach(async () => {
    await client?.stop();
    await mirror?.stop();
    await upstream.stop();
    client = mirror = null;
  });

  const blobUrl = (digest: string) => `${mirror?.url}/v2/${REPOSITORIES["docker.io"]}/blobs/${digest}`;

  /** A running fill is served as a hit too, and a kill loses it. */
  const waitForFile = (digest: string): Promise<void> => {
    const hex = digest.replace("sha256:", "");
    const file = join(mirror?.data ?? "", "store/blobs/sha256", hex.slice(0, 2), hex);
    return waitFor(`the mirror to have published ${digest}`, 30_000, async () => existsSync(file));
  };

  test("its content is there after a restart, without upstream", async () => {
    await client?.pull(reference);
    await waitFor("the mirror's fetches to end", 30_000, async () => upstream.underWay() === 0);
    expectOneFetchEach(upstream, image);
    for (const { digest } of [image.amd64.config, ...image.amd64.layers]) await waitForFile(digest);

    await mirror?.kill();
    await upstream.stop();
    await mirror?.start();
    await client?.clean();
    expect(await client?.pull(reference)).toEqual(pulledImageOf(image));
    expect(await client?.run(reference)).toBe(image.verdict);
  });

  test("killed in the middle of a layer, it never serves the half of it", async () => {
    const largest = image.amd64.layers.reduce((one, other) => (one.size > other.size ? one : other));
    let stalled = 0;
    upstream.interfere = ({ digest, method }) => {
      if (digest !== largest.digest || method !== "GET" || stalled > 0) return null;
      stalled += 1;
      return { stallAfter: 8 * 1024 * 1024 };
    };
    // dockerd resumes its download after 5 s, and gives up if the mirror isn't back by then.
    const pulled = client?.pull(reference).catch(() => null);
    await waitFor("all but the stalled layer to be through", 30_000, async () => {
      return stalled === 1 && upstream.underWay() === 1;
    });
    const { layers, config } = image.amd64;
    for (const { digest } of [config, ...layers]) {
      if (digest !== largest.digest) await waitForFile(digest);
    }
    await mirror?.kill();
    await mirror?.start();
    expect((await pulled) ?? (await client?.pull(reference))).toEqual(pulledImageOf(image));
    expect(await client?.run(reference)).toBe(image.verdict);

    // The killed fill leaves no lease behind that keeps the next one from storing the layer.
    await waitForHit(blobUrl(largest.digest));
    await waitFor("the mirror's fetches to end", 30_000, async () => upstream.underWay() === 0);
    await client?.clean();
    await upstream.stop();
    expect(await client?.pull(reference)).toEqual(pulledImageOf(image));
    expect(await client?.run(reference)).toBe(image.verdict);
  });
});
