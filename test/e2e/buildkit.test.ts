// BuildKit, in a newer Debian's dockerd: base images through the mirror, and what it builds in a hosted repository, with its cache.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { text } from "./support/client.ts";
import { type Dockerd, startDockerdWith } from "./support/dockerd.ts";
import { type Stage, startStage } from "./support/mirror.ts";
import { NEWER_CLIENTS, newer } from "./support/newer.ts";
import { CLIENT_DEADLINE, run } from "./support/process.ts";
import { fetches, referenceOf } from "./support/pulls.ts";

/** Within the newer Debian. */
const BUILDX = "/usr/libexec/docker/cli-plugins/docker-buildx";

describe.skipIf(NEWER_CLIENTS === "")("BuildKit", () => {
  const image = inject("image");
  let stage: Stage;
  let docker: Dockerd;
  /** Of dockerd: the one place of this machine's that the newer Debian's programs see. */
  let folder: string;

  beforeAll(async () => {
    stage = await startStage(inject("registry"));
    docker = await startDockerdWith(["--registry-mirror", stage.url], {}, [], {
      isolate: newer,
      storage: ["--feature", "containerd-snapshotter=true", "--storage-driver", "native"],
    });
    folder = dirname(fileURLToPath(docker.socket.replace("unix:", "file:")));
    const context = join(folder, "context");
    await mkdir(context);
    await writeFile(join(context, "Dockerfile"), `FROM ${referenceOf("docker.io")}\nCOPY added /srv/added\n`);
    await writeFile(join(context, "added"), "by the build\n");
  });
  afterAll(async () => {
    await docker?.stop();
    await stage?.stop();
  });

  const hosted = (name: string) => `127.0.0.1:${stage.port}/hosted/team/${name}`;
  /** @returns the digest that it pushed, and its progress. */
  const build = async (...options: string[]) => {
    const metadata = join(folder, "metadata.json");
    const output = ["--provenance=false", "--push", "--progress=plain", "--metadata-file", metadata];
    const command = [BUILDX, "build", ...output, ...options, join(folder, "context")];
    const progress = await run(newer(join(folder, "hosts"), ["sh", "-c", '"$0" "$@" 2>&1', ...command]), {
      deadline: CLIENT_DEADLINE,
      environment: { DOCKER_HOST: docker.socket, HOME: join(folder, "home") },
    });
    return { digest: text(JSON.parse(await readFile(metadata, "utf8")), "containerimage.digest"), progress };
  };
  let first = "";

  test("pulls the base image through the mirror, pushes what it builds, and exports its cache", async () => {
    const cache = `type=registry,ref=${hosted("cache")}:1,mode=max`;
    const { digest, progress } = await build("--tag", `${hosted("built")}:1`, "--cache-to", cache);
    expect(progress).not.toContain("CACHED");
    const { requests } = stage.upstreams["docker.io"];
    expect(fetches(requests, "blob")).toEqual(
      Object.fromEntries([image.amd64.config, ...image.amd64.layers].map((blob) => [blob.digest, 1])),
    );
    first = digest;
  });

  test("with nothing left of the first build, imports the cache and builds the same", async () => {
    await docker.clean();
    const cache = `type=registry,ref=${hosted("cache")}:1`;
    const { digest, progress } = await build("--tag", `${hosted("built")}:2`, "--cache-from", cache);
    // It says so, or shows that it fetches the step's layer instead of making it.
    expect(progress).toMatch(/CACHED|\] COPY added[^\n]*\n#\d+ sha256:/);
    expect(digest).toBe(first);
  });

  test("what it pushed runs", async () => {
    await docker.clean();
    const container = ["run", "--rm", "--quiet", "--network", "none", "--entrypoint", "/bin/busybox"];
    const output = await docker.command([...container, `${hosted("built")}:2`, "cat", "/srv/added"]);
    expect(output).toBe("by the build\n");
  });
});
