// dockerd with the mirror in `registry-mirrors`, which is for docker.io only, and with the mirror in the image's name.
import { mkdtemp, rm } from "node:fs/promises";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { expect, inject, onTestFinished, test } from "vitest";
import { startMirror } from "../../scripts/local/mirror.ts";
import { startDockerd } from "./support/dockerd.ts";
import { REPOSITORIES, TAG } from "./support/global.ts";
import { threePulls } from "./support/pulls.ts";

threePulls({
  name: "dockerd, registry-mirrors",
  upstream: "docker.io",
  start: ({ url }) => startDockerd(url),
});

threePulls({
  name: "dockerd, the mirror and the upstream in the image's name",
  upstream: "ghcr.io",
  start: ({ url }) => startDockerd(url),
  reference: ({ port }) => `127.0.0.1:${port}/ghcr.io/${REPOSITORIES["ghcr.io"]}:${TAG}`,
});

const address = Object.values(networkInterfaces())
  .flatMap((each) => each ?? [])
  .find(({ family, internal }) => family === "IPv4" && !internal)?.address;

test.skipIf(address === undefined)(
  "dockerd accepts plain http of an address that isn't loopback under registry-mirrors, and refuses it in an image's name",
  async () => {
    const host = address ?? "";
    const data = await mkdtemp(join(tmpdir(), "lan-"));
    onTestFinished(() => rm(data, { recursive: true, force: true }));
    const requested: string[] = [];
    const mirror = await startMirror({
      ...{ port: 0, host, data, upstreams: { "docker.io": [inject("registry")] }, insecure: ["docker.io"] },
      vars: { ACCESS: "open" },
      onRequest: ({ path }) => requested.push(path),
    });
    onTestFinished(() => mirror.stop());
    const docker = await startDockerd(mirror.url);
    onTestFinished(() => docker.stop());
    const image = `${REPOSITORIES["docker.io"]}:${TAG}`;
    expect((await docker.pull(image)).digest).toBe(inject("image").index.digest);
    expect(requested.join()).toContain("/blobs/sha256:");
    const { port } = new URL(mirror.url);
    await expect(docker.pull(`${host}:${port}/docker.io/${image}`)).rejects.toThrow(
      /server gave HTTP response to HTTPS client/,
    );
  },
);
