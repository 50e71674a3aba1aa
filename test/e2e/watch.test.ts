// What the mirror does by itself between pulls, with a real dockerd: it fetches ahead what a tag newly names, and keeps what upstream deletes.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { type RunningMirror, startMirror } from "../../scripts/local/mirror.ts";
import { type Finished, portolan } from "../scripts/support/portolan.ts";
import { type Dockerd, startDockerd } from "./support/dockerd.ts";
import { REPOSITORIES } from "./support/global.ts";
import { waitFor } from "./support/process.ts";
import { pulledImageOf } from "./support/pulls.ts";
import { tagAs } from "./support/registry.ts";
import { startUpstream, type Upstream } from "./support/upstream.ts";

const image = inject("image");
const registry = inject("registry");
const repository = REPOSITORIES["ghcr.io"];
const PATIENCE = 120_000;
let data: string;
let upstream: Upstream;
let mirror: RunningMirror;
let docker: Dockerd;

beforeAll(async () => {
  data = await mkdtemp(join(tmpdir(), "watch-"));
  upstream = await startUpstream(registry);
  mirror = await startMirror({
    ...{ port: 0, host: "127.0.0.1", data, upstreams: { "ghcr.io": [upstream.url] }, insecure: ["ghcr.io"] },
    // Every pull revalidates, and a tag is always due.
    vars: { ACCESS: "open", TAG_TTL: "0", WATCH: "7d", KEEP: `ghcr.io/${repository}` },
  });
  docker = await startDockerd(mirror.url);
});
afterAll(async () => {
  await docker?.stop();
  await mirror?.stop();
  await upstream?.stop();
  await rm(data, { recursive: true, force: true, maxRetries: 5 });
});

const pull = (tag: string) => docker.pull(`${new URL(mirror.url).host}/ghcr.io/${repository}:${tag}`);
const owner = (...args: string[]): Promise<Finished> =>
  portolan([...args, "--mirror", mirror.url, "--data", data]);
const isStored = async (digest: string) => {
  const { headers } = await fetch(`${mirror.url}/v2/ghcr.io/${repository}/blobs/${digest}`, {
    method: "HEAD",
  });
  return headers.get("Cache-Status")?.includes("hit") ?? false;
};

test("a tag that was pulled is watched by HEAD, and what it newly names is there when upstream fails", {
  timeout: 300_000,
}, async () => {
  const { manifest, config, layers } = image.arm64;
  await tagAs(registry, repository, image.index, "watched");
  expect(await pull("watched")).toEqual(pulledImageOf(image));
  await tagAs(registry, repository, manifest, "watched");
  upstream.requests.length = 0;
  // The pull is recorded within seconds, and each run does a part of the work.
  await waitFor("the newer image to be fetched ahead", PATIENCE, async () => {
    await mirror.evict();
    return (await Promise.all([config, ...layers].map(({ digest }) => isStored(digest)))).every(Boolean);
  });
  const [first] = upstream.requests.filter(({ path }) => path.endsWith("/manifests/watched"));
  expect(first?.method).toBe("HEAD");
  await upstream.stop();
  try {
    await docker.clean();
    expect(await pull("watched")).toEqual({ digest: manifest.digest, config: config.digest });
  } finally {
    await upstream.start();
  }
});

test("an image that upstream has deleted is pulled on with a warning and listed, and one that was made private isn't", {
  timeout: 300_000,
}, async () => {
  await tagAs(registry, repository, image.index, "kept");
  expect(await pull("kept")).toEqual(pulledImageOf(image));
  const respond = (status: number) => {
    upstream.interfere = ({ path }) => (path.endsWith("/manifests/kept") ? { status } : null);
  };
  respond(404);
  await docker.clean();
  expect(await pull("kept")).toEqual(pulledImageOf(image));
  const response = await fetch(`${mirror.url}/v2/ghcr.io/${repository}/manifests/kept`);
  await response.arrayBuffer();
  expect([response.status, response.headers.get("Warning")]).toEqual([
    200,
    expect.stringMatching(/^299 .*deleted/),
  ]);
  await waitFor("the deletion to be listed", PATIENCE, async () =>
    (await owner("gone")).output.includes(`ghcr.io/${repository}:kept`),
  );
  for (const status of [401, 403]) {
    respond(status);
    await docker.clean();
    await expect(pull("kept")).rejects.toThrow(/denied|unauthorized|authentication|not found/i);
  }
});
