/** `portolan save`; test/e2e has what real clients make of it. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { jsonIn } from "../../../scripts/archive/content-folder.ts";
import { openTar } from "../../../scripts/archive/tar-file.ts";
import { OWN_PLATFORM } from "../../../scripts/commands/options.ts";
import { DEADLINE, until } from "../../sockets/support/deadline.ts";
import {
  behaviours,
  createFakeRegistry,
  type FakeRegistry,
  type Image,
} from "../../support/fake-registry.ts";
import { type ListeningRegistry, listen } from "../../support/node/listen.ts";
import { type Finished, PROJECT, portolan } from "../support/portolan.ts";

let folder: string;
let fake: FakeRegistry;
let served: ListeningRegistry;
let image: Image;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "save-"));
  fake = createFakeRegistry({ auth: "none" });
  served = await listen(fake);
  image = await fake.addImage("library/boat", "1.0", { platforms: ["linux/amd64", "linux/arm64"] });
});
afterEach(async () => {
  await served.close();
  await rm(folder, { recursive: true, force: true });
});

function save(...args: string[]): Promise<Finished> {
  return portolan(["save", "--mirror", served.url, ...args], { cwd: folder });
}

/** A JSON document of what was saved. */
async function documentOf(path: string): Promise<unknown> {
  const tar = await openTar(join(folder, "images.tar"), {});
  try {
    return await jsonIn(tar, path);
  } finally {
    await tar.close();
  }
}

const blobPath = (digest = "") => `blobs/${digest.replace(":", "/")}`;

test("Docker's manifest.json names the image as docker does, with one platform's config and layers", async () => {
  const { code, errors, output } = await save("boat:1.0", "--platform", "linux/arm64", "-o", "images.tar");
  expect(errors).toMatch(/✓ docker\.io\/library\/boat:1\.0 is saved: 3 blobs \(.*\) sha256:/);
  expect([code, output]).toEqual([0, ""]);
  const [listed] = (await documentOf("manifest.json")) as { Layers: string[] }[];
  expect(listed).toMatchObject({
    Config: blobPath(image.configs[1]?.digest),
    RepoTags: ["boat:1.0"],
  });
  expect(listed?.Layers).toHaveLength(2);
  expect(await documentOf("index.json")).toMatchObject({
    manifests: [
      {
        digest: image.manifests[1]?.digest,
        annotations: {
          "io.containerd.image.name": "docker.io/library/boat:1.0",
          "org.opencontainers.image.ref.name": "1.0",
        },
      },
    ],
  });
});

test("images share layers, keep their names, and are requested of the mirror with their registry", async () => {
  await fake.addImage("owner/ship", "1.0", { platforms: ["linux/amd64"] });
  fake.moveTag("library/boat", "stable", image.target.digest);
  const { json } = await save(
    ...["boat:1.0", "boat:stable", "ghcr.io/owner/ship:1.0", "--platform", "linux/amd64", "--json"],
    ...["-o", "images.tar"],
  );
  expect(json()).toMatchObject({
    state: "saved",
    mirror: served.url,
    output: join(folder, "images.tar"),
    images: [
      { image: "docker.io/library/boat:1.0", sent: 3 },
      { image: "docker.io/library/boat:stable", sent: 0 },
      { image: "ghcr.io/owner/ship:1.0", sent: 3 },
    ],
  });
  expect(await documentOf("manifest.json")).toMatchObject([
    { RepoTags: ["boat:1.0", "boat:stable"] },
    { RepoTags: ["ghcr.io/owner/ship:1.0"] },
  ]);
  const { manifests } = (await documentOf("index.json")) as { manifests: { annotations: object }[] };
  expect(manifests.map(({ annotations }) => Object.values(annotations).at(-1))).toEqual([
    "docker.io/library/boat:1.0",
    "stable",
    "ghcr.io/owner/ship:1.0",
  ]);
  const namespaces = new Set(fake.requests.map(({ query }) => new URLSearchParams(query).get("ns")));
  expect([...namespaces].sort()).toEqual(["docker.io", "ghcr.io"]);
});

test.each([
  ["this machine's", OWN_PLATFORM],
  ["else the first", "linux/mips64le"],
])("of all platforms manifest.json has one, %s", async (name, second) => {
  const { configs, target } = await fake.addImage("library/all", "1.0", {
    platforms: ["linux/s390x", second],
  });
  await save("all:1.0", "--all-platforms", "-o", "images.tar");
  expect(await documentOf("index.json")).toMatchObject({ manifests: [{ digest: target.digest }] });
  const chosen = configs[name === "else the first" ? 0 : 1]?.digest;
  expect(await documentOf("manifest.json")).toMatchObject([{ Config: blobPath(chosen) }]);
});

test("an image by its digest alone has no name", async () => {
  await save(`boat@${image.manifests[0]?.digest}`, "-o", "images.tar");
  expect(await documentOf("manifest.json")).toMatchObject([{ RepoTags: null }]);
});

describe("what can't be saved leaves nothing:", () => {
  test("an image that is missing", async () => {
    const { code, json } = await save("boat:1.0", "boat:none", "-o", "images.tar", "--json");
    expect(json()).toMatchObject({ state: "failed", error: expect.stringMatching(/manifests\/none/) });
    expect(code).toBe(1);
    expect(await readdir(folder)).toEqual([]);
  });

  test("an artifact, which Docker couldn't load", async () => {
    const empty = await fake.addBlob(new TextEncoder().encode("{}"), { repository: "library/chart" });
    const config = { mediaType: "application/vnd.cncf.helm.config.v1+json", ...empty };
    await fake.addManifest("library/chart", { schemaVersion: 2, config, layers: [] }, { tag: "1.0" });
    const { code, errors } = await save("chart:1.0", "-o", "images.tar");
    expect(errors).toContain("docker.io/library/chart:1.0 is an artifact, which Docker can't load");
    expect(code).toBe(1);
    expect(await readdir(folder)).toEqual([]);
  });

  test("a layer that mustn't be distributed", async () => {
    const stored = await fake.addBlob(new TextEncoder().encode("layer"), { repository: "library/windows" });
    const config = { mediaType: "application/vnd.oci.image.config.v1+json", ...stored };
    const layers = [{ mediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", ...stored }];
    await fake.addManifest("library/windows", { schemaVersion: 2, config, layers }, { tag: "1.0" });
    const { code, errors } = await save("windows:1.0", "-o", "images.tar");
    expect(errors).toMatch(/mustn't be distributed/);
    expect(code).toBe(1);
    expect(await readdir(folder)).toEqual([]);
  });
});

describe("refused is", () => {
  test.each([
    [["boat", "--json"], /with --json the file is named by --output/],
    [
      ["boat", "-o", "x", "--platform", "linux/amd64", "--all-platforms"],
      /choose --platform or --all-platforms/,
    ],
    [["boat/"], /is no image reference/],
  ])("%s", async (args, why) => {
    const { code, output, errors } = await save(...args);
    expect(output + errors).toMatch(why);
    expect(code).toBe(2);
  });
});

/** The command in a process of its own, with its standard output in a file or a pipe. */
function started(args: readonly string[], stdout: "pipe" | "ignore" = "ignore") {
  return spawn(process.execPath, [`${PROJECT}scripts/portolan.js`, "save", "--mirror", served.url, ...args], {
    cwd: folder,
    stdio: ["ignore", stdout, "pipe"],
    env: { PATH: process.env.PATH, HOME: folder },
  });
}

test("standard output gets the tar and nothing else", async () => {
  const child = started(["boat:1.0", "--platform", "linux/amd64"], "pipe");
  child.stdout?.pipe(createWriteStream(join(folder, "images.tar")));
  await once(child, "close");
  expect(child.exitCode).toBe(0);
  expect(await documentOf("manifest.json")).toMatchObject([{ RepoTags: ["boat:1.0"] }]);
});

test("a reader that leaves is reported, and ends the command", async () => {
  const layers = [crypto.getRandomValues(new Uint8Array(60_000)), new Uint8Array(3_000_000)];
  await fake.addImage("library/large", "1.0", { layers });
  const child = started(["large:1.0"], "pipe");
  child.stdout?.destroy();
  let errors = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    errors += text;
  });
  await once(child, "close");
  expect(errors).toMatch(/✗ .*EPIPE/);
  expect(child.exitCode).toBe(1);
});

test.each(["SIGINT", "SIGTERM"] as const)(
  "%s leaves the file that was there, and nothing else",
  async (signal) => {
    await writeFile(join(folder, "images.tar"), "before");
    fake.fail({ kind: "blob" }, behaviours.stallsAfter(10));
    const child = started(["boat:1.0", "-o", "images.tar", "--platform", "linux/amd64"]);
    await until("the file to be begun", DEADLINE, async () =>
      (await readdir(folder)).some((name) => name.endsWith(".tmp")),
    );
    child.kill(signal);
    await once(child, "close");
    expect(child.signalCode).toBe(signal);
    expect(await readdir(folder)).toEqual(["images.tar"]);
    expect(await readFile(join(folder, "images.tar"), "utf8")).toBe("before");
  },
);
