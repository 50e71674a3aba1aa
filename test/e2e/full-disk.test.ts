// A mirror whose disk is too small for what is pulled: every client still gets its image, and the rest of the store stays right.
import { statfs } from "node:fs/promises";
import { afterEach, beforeEach, expect, inject, test } from "vitest";
import type { Client } from "./support/client.ts";
import { startDockerd } from "./support/dockerd.ts";
import { REPOSITORIES } from "./support/global.ts";
import { pulledImageOf, referenceOf } from "./support/pulls.ts";
import { type Served, serve } from "./support/served.ts";
import { startUpstream, type Upstream } from "./support/upstream.ts";

const image = inject("image");
const reference = referenceOf("docker.io");
const largest = Math.max(...image.amd64.layers.map(({ size }) => size));

let upstream: Upstream;
let mirror: Served;
let client: Client;

beforeEach(async () => {
  upstream = await startUpstream(inject("registry"));
  // Room for all but the largest layer.
  mirror = await serve({ "docker.io": upstream.url }, {}, {}, `${Math.floor(largest * 0.9)}`);
  client = await startDockerd(mirror.url);
});
afterEach(async () => {
  await client?.stop();
  await mirror?.stop();
  await upstream.stop();
});

test("dockerd gets the image, cold and again, and what is stored is served right", async () => {
  for (let pull = 0; pull < 2; pull++) {
    expect(await client.pull(reference)).toEqual(pulledImageOf(image));
    await client.clean();
  }
  const { bfree, bsize, blocks } = await statfs(mirror.data);
  expect(blocks * bsize).toBeLessThan(largest);
  expect(bfree * bsize).toBeLessThan(blocks * bsize);
  const health = await fetch(`${mirror.url}/_/health`);
  expect(health.status).toBe(200);
  const small = image.amd64.config.digest;
  const response = await fetch(`${mirror.url}/v2/${REPOSITORIES["docker.io"]}/blobs/${small}`);
  expect(response.headers.get("Docker-Content-Digest")).toBe(small);
});
