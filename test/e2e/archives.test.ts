// Archives and layouts that `save` and `copy` write, read by real skopeo and dockerd; and those that these write, read by `copy`.
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import { type Finished, PROJECT, spawnPortolan } from "../scripts/support/portolan.ts";
import { text } from "./support/client.ts";
import { type Dockerd, startDockerd, startDockerdWith } from "./support/dockerd.ts";
import { DOCKER_TAG, REPOSITORIES, TAG } from "./support/global.ts";
import { sha256 } from "./support/image.ts";
import { type Stage, startStage } from "./support/mirror.ts";
import { NEWER_CLIENTS, newer } from "./support/newer.ts";
import { startPodman } from "./support/podman.ts";
import { CLIENT_DEADLINE, run, workspace } from "./support/process.ts";
import { type Registry, startRegistry } from "./support/registry.ts";

const image = inject("image");
const repository = REPOSITORIES["docker.io"];
const reference = `docker.io/${repository}:${TAG}`;
/** As Docker shows it. */
const FAMILIAR = `${repository.replace(/^library\//, "")}:${TAG}`;
const PORTOLAN = `${PROJECT}scripts/portolan.js`;

let stage: Stage;
let target: Registry;
let folder: string;
let work: string;
let removeWorkspace: () => Promise<void>;

beforeAll(async () => {
  ({ folder, remove: removeWorkspace } = await workspace("archives"));
  [stage, target] = await Promise.all([startStage(inject("registry")), startRegistry()]);
});
afterAll(async () => {
  await Promise.all([stage?.stop(), target?.stop()]);
  await removeWorkspace?.();
});
beforeEach(async () => {
  work = await mkdtemp(join(folder, "test-"));
});
afterEach(() => rm(work, { recursive: true, force: true }));

async function user(args: readonly string[], environment: Record<string, string> = {}): Promise<Finished> {
  const given = { PORTOLAN_MIRROR: stage.url, TMPDIR: work, ...environment };
  const finished = await spawnPortolan(args, { deadline: CLIENT_DEADLINE, environment: given, cwd: work });
  expect(finished.errors.replace(/^[^✗]*$/s, "")).toBe("");
  expect(finished.code).toBe(0);
  return finished;
}

function skopeo(...args: string[]): Promise<string> {
  return run(["skopeo", "--insecure-policy", ...args], {
    deadline: CLIENT_DEADLINE,
    environment: { HOME: work, TMPDIR: work },
  });
}

/** The digest of what a location's name leads to, as skopeo reads it. */
async function digestAt(location: string): Promise<string> {
  return `sha256:${sha256(Buffer.from(await skopeo("inspect", "--tls-verify=false", "--raw", location))).replace("sha256:", "")}`;
}

/** Copies an image to a new layout by skopeo, which verifies all of its blobs. @returns their digests, sorted. */
async function blobsAt(location: string): Promise<string[]> {
  const layout = await mkdtemp(join(work, "read-"));
  await skopeo("copy", "--all", "--quiet", location, `oci:${layout}`);
  const names = await readdir(join(layout, "blobs", "sha256"));
  return names.map((name) => `sha256:${name}`).sort();
}

/** Downloads the tar that the mirror itself makes, and resumes that as curl does. @returns the file */
async function downloaded(): Promise<string> {
  await user(["warm", reference, "--platform", "linux/amd64"]);
  const url = `${stage.url}/_/save/${reference}?platform=linux/amd64`;
  const file = join(work, "downloaded.tar");
  const curl = (...args: string[]) =>
    run(["curl", "--silent", "--show-error", "--fail", "--output", file, ...args, url], {
      deadline: CLIENT_DEADLINE,
      environment: {},
    });
  await curl("--range", "0-5000");
  await curl("--continue-at", "-");
  return file;
}

const amd64 = [image.amd64.manifest, image.amd64.config, ...image.amd64.layers]
  .map(({ digest }) => digest)
  .sort();
const host = (registry: Registry) => new URL(registry.url).host;
const source = () => `${host({ url: inject("registry") } as Registry)}/${repository}:${TAG}`;

describe("save", () => {
  test("writes a file that skopeo reads with the image's digests", async () => {
    const { json } = await user([
      "save",
      reference,
      "--platform",
      "linux/amd64",
      "-o",
      "image.tar",
      "--json",
    ]);
    expect(json()).toMatchObject({ state: "saved", images: [{ digest: image.amd64.manifest.digest }] });
    expect(await digestAt(`oci-archive:${work}/image.tar:${TAG}`)).toBe(image.amd64.manifest.digest);
    expect(await blobsAt(`oci-archive:${work}/image.tar`)).toEqual(amd64);
    expect((await readdir(work)).filter((name) => name.includes("tmp"))).toEqual([]);
    const inspected = JSON.parse(
      await skopeo("inspect", "--config", `docker-archive:${work}/image.tar:${FAMILIAR}`),
    );
    expect(inspected).toMatchObject({ architecture: "amd64" });
  });

  test("keeps the index with all platforms", async () => {
    await user(["save", reference, "--all-platforms", "-o", "image.tar"]);
    expect(await digestAt(`oci-archive:${work}/image.tar:${TAG}`)).toBe(image.index.digest);
    const all = [
      image.index,
      ...[image.amd64, image.arm64].flatMap((each) => [each.manifest, each.config, ...each.layers]),
    ];
    expect(await blobsAt(`oci-archive:${work}/image.tar`)).toEqual(
      [...new Set(all.map(({ digest }) => digest))].sort(),
    );
  });

  test("names images that share a tag in full", async () => {
    const other = `ghcr.io/${REPOSITORIES["ghcr.io"]}:${TAG}`;
    await user(["save", reference, other, "--platform", "linux/arm64", "-o", "images.tar"]);
    for (const name of [reference, other]) {
      expect(await digestAt(`oci-archive:${work}/images.tar:${name}`)).toBe(image.arm64.manifest.digest);
    }
  });
});

test("podman loads what save writes, under its name, and it runs", async () => {
  const podman = await startPodman("");
  try {
    await user(["save", reference, "--platform", "linux/amd64", "-o", "image.tar"]);
    await podman.load(join(work, "image.tar"));
    expect(await podman.run(reference)).toBe(image.verdict);
  } finally {
    await podman.stop();
  }
});

test("the mirror's own tar is read by skopeo and podman, after a download in two parts", async () => {
  const file = await downloaded();
  expect(await digestAt(`oci-archive:${file}:${TAG}`)).toBe(image.amd64.manifest.digest);
  expect(await blobsAt(`oci-archive:${file}`)).toEqual(amd64);
  const podman = await startPodman("");
  try {
    await podman.load(file);
    expect(await podman.run(FAMILIAR)).toBe(image.verdict);
  } finally {
    await podman.stop();
  }
});

describe("copy", () => {
  test("writes a layout, an OCI archive and a Docker archive that skopeo reads", async () => {
    for (const [to, from] of [
      [`oci:layout:${TAG}`, `oci:${work}/layout:${TAG}`],
      [`oci-archive:oci.tar:${TAG}`, `oci-archive:${work}/oci.tar:${TAG}`],
    ] as const) {
      await user(["copy", source(), to, "--platform", "linux/amd64"]);
      expect(await digestAt(from)).toBe(image.amd64.manifest.digest);
      expect(await blobsAt(from)).toEqual(amd64);
    }
    await user(["copy", source(), `docker-archive:docker.tar:some/name:2`, "--platform", "linux/amd64"]);
    const manifest = JSON.parse(
      await skopeo("inspect", "--raw", `docker-archive:${work}/docker.tar:some/name:2`),
    );
    expect(text(manifest, "config", "digest")).toBe(image.amd64.config.digest);
    await skopeo("copy", "--quiet", `docker-archive:${work}/docker.tar:some/name:2`, `dir:${work}/dir`);
  });

  test("adds to a layout what it doesn't have, and takes all of it back into a registry", async () => {
    await user(["copy", source(), "oci:layout", "--platform", "linux/arm64"]);
    await user(["copy", source(), "oci:layout:all", "--all-platforms"]);
    expect(await digestAt(`oci:${work}/layout:${TAG}`)).toBe(image.arm64.manifest.digest);
    expect(await digestAt(`oci:${work}/layout:all`)).toBe(image.index.digest);
    await user(["copy", "oci:layout:all", `${host(target)}/from/layout:1`, "--all-platforms"]);
    expect(await digestAt(`docker://${host(target)}/from/layout:1`)).toBe(image.index.digest);
  });

  test("keeps the digest of an image with Docker's media types, which skopeo finds without its name", async () => {
    const [platform, from] = [["--platform", "linux/amd64"], source().replace(TAG, DOCKER_TAG)];
    await user(["copy", from, "oci:layout", ...platform]);
    expect(await digestAt(`oci:${work}/layout`)).toBe(image.docker.amd64.manifest.digest);
    await expect(digestAt(`oci:${work}/layout:${DOCKER_TAG}`)).rejects.toThrow();
    await user(["copy", `oci:layout:${DOCKER_TAG}`, `${host(target)}/from/layout`, ...platform]);
  });

  test("reads what skopeo writes", async () => {
    const from = `docker://${source()}`;
    const override = ["--override-os", "linux", "--override-arch", "amd64"];
    await skopeo(
      ...override,
      "copy",
      "--quiet",
      "--src-tls-verify=false",
      from,
      `oci-archive:${work}/oci.tar:1`,
    );
    await user(["copy", "oci-archive:oci.tar:1", `${host(target)}/from/skopeo-oci:1`]);
    await skopeo(
      ...override,
      "copy",
      "--quiet",
      "--src-tls-verify=false",
      from,
      `docker-archive:${work}/docker.tar:x/y:1`,
    );
    await run(["gzip", "-k", join(work, "docker.tar")]);
    for (const name of ["docker.tar", "docker.tar.gz"]) {
      const to = `${host(target)}/from/skopeo-${name.replaceAll(".", "-")}:1`;
      await user(["copy", `docker-archive:${name}:x/y:1`, to]);
      const manifest = JSON.parse(await skopeo("inspect", "--tls-verify=false", "--raw", `docker://${to}`));
      expect(text(manifest, "config", "digest")).toBe(image.amd64.config.digest);
      expect(text(manifest, "layers", 0, "mediaType")).toMatch(/tar\+gzip$/);
      await skopeo("copy", "--quiet", "--src-tls-verify=false", `docker://${to}`, `dir:${work}/dir-${name}`);
    }
    const oci = `docker://${host(target)}/from/skopeo-oci:1`;
    const raw = JSON.parse(await skopeo("inspect", "--tls-verify=false", "--raw", oci));
    expect(text(raw, "config", "digest")).toBe(image.amd64.config.digest);
  });
});

/** Docker of one kind: what it is given, and what it gives. */
function withDocker(name: string, start: () => Promise<Dockerd>): void {
  describe(name, () => {
    let docker: Dockerd;
    beforeAll(async () => {
      docker = await start();
    });
    afterAll(() => docker?.stop());

    test("loads what save writes to a pipe, and it runs", async () => {
      const command = `"$0" "$1" save ${reference} --all-platforms | docker --host ${docker.socket} load`;
      await run(["sh", "-c", command, process.execPath, PORTOLAN], {
        deadline: CLIENT_DEADLINE,
        environment: { HOME: work, PORTOLAN_MIRROR: stage.url },
      });
      expect(await docker.run(FAMILIAR)).toBe(image.verdict);
    });

    test("loads the mirror's own tar, and it runs", async () => {
      await docker.command(["load", "--quiet", "--input", await downloaded()]);
      expect(await docker.run(FAMILIAR)).toBe(image.verdict);
    });

    test("takes an image by its API, gives it back, and says what it doesn't have", async () => {
      const environment = { DOCKER_HOST: docker.socket };
      await user(["copy", source(), "docker-daemon:copied:1", "--platform", "linux/amd64"], environment);
      expect(await docker.run("copied:1")).toBe(image.verdict);
      const to = `${host(target)}/from/daemon:1`;
      await user(["copy", "docker-daemon:copied:1", to], environment);
      const manifest = JSON.parse(await skopeo("inspect", "--tls-verify=false", "--raw", `docker://${to}`));
      expect(text(manifest, "config", "digest")).toBe(image.amd64.config.digest);
      expect(text(manifest, "layers", 0, "mediaType")).toMatch(/gzip$/);
      const missing = await spawnPortolan(["copy", "docker-daemon:missing:1", to], { environment });
      expect([missing.code, missing.errors]).toEqual([
        1,
        expect.stringMatching(/✗ Docker answered 404 for .*missing:1/),
      ]);
    });

    test("docker save is read, and Docker's own media types are kept", async () => {
      await user([
        "copy",
        source().replace(TAG, DOCKER_TAG),
        "docker-archive:image.tar:loaded:1",
        "--platform",
        "linux/amd64",
      ]);
      await docker.command(["load", "--quiet", "--input", join(work, "image.tar")]);
      expect(await docker.run("loaded:1")).toBe(image.verdict);
      await docker.command(["save", "--output", join(work, "saved.tar"), "loaded:1"]);
      await user(["copy", "docker-archive:saved.tar:loaded:1", "oci:layout:1"]);
      const index = JSON.parse(await readFile(join(work, "layout", "index.json"), "utf8"));
      const { config } = JSON.parse(
        await readFile(
          join(work, "layout", "blobs", text(index, "manifests", 0, "digest").replace(":", "/")),
          "utf8",
        ),
      );
      expect(config.digest).toBe(image.docker.amd64.config.digest);
    });
  });
}

withDocker("dockerd", () => startDockerd(stage.url));
describe.skipIf(NEWER_CLIENTS === "")("of a newer Debian:", () => {
  withDocker("dockerd 28, its own image store", () =>
    startDockerdWith([], {}, [], { isolate: newer, storage: ["--storage-driver", "vfs"] }),
  );
  withDocker("dockerd 28, containerd's image store", () =>
    startDockerdWith([], {}, [], {
      isolate: newer,
      storage: ["--feature", "containerd-snapshotter=true", "--storage-driver", "native"],
    }),
  );
});

test("a save that fails leaves the file that was there, and nothing else", async () => {
  await writeFile(join(work, "image.tar"), "what was there before");
  const { code } = await spawnPortolan(["save", reference, `${reference}-missing`, "-o", "image.tar"], {
    cwd: work,
    deadline: CLIENT_DEADLINE,
    environment: { PORTOLAN_MIRROR: stage.url },
  });
  expect(code).toBe(1);
  expect(await readdir(work)).toEqual(["image.tar"]);
  expect(await readFile(join(work, "image.tar"), "utf8")).toBe("what was there before");
});
