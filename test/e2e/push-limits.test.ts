// Pushes to a mirror whose disk is too small, and to one that is killed in the middle.
import { randomBytes } from "node:crypto";
import { readdir, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { processTree } from "../bench/accounting.ts";
import { type Dockerd, startDockerd } from "./support/dockerd.ts";
import { CLIENT_DEADLINE, isolated, run, waitFor, workspace } from "./support/process.ts";
import { type Served, serve } from "./support/served.ts";
import { tar } from "./support/tar.ts";

const MIB = 1024 * 1024;
const LARGE = 24 * MIB;
const SMALL = MIB;

let place: Awaited<ReturnType<typeof workspace>>;
let mirror: Served;
let docker: Dockerd;

/** An image of one layer of noise, in Docker. */
async function importImage(name: string, size: number): Promise<void> {
  const file = join(place.folder, `${size}.tar`);
  await writeFile(file, tar([{ type: "file", path: "content", content: randomBytes(size) }]));
  await docker.command(["import", file, nameAt(name)]);
}

const nameAt = (name: string) => `${new URL(mirror.url).host}/hosted/team/${name}:1`;

/** Files of uploads, and of bodies that are being written. */
async function unfinished(): Promise<string[]> {
  const folders = ["store/uploads", "incoming"].map((name) => join(mirror.data, name));
  const found = folders.map((folder) =>
    readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []),
  );
  return (await Promise.all(found)).flat().flatMap((entry) => (entry.isFile() ? [entry.name] : []));
}

async function start(disk?: string): Promise<void> {
  mirror = await serve({}, {}, {}, disk);
  docker = await startDockerd(mirror.url);
}

beforeEach(async () => {
  place = await workspace("push-limits");
});
afterEach(async () => {
  await docker?.stop();
  await mirror?.stop();
  await place.remove();
});

describe("a mirror whose disk is too small", () => {
  beforeEach(() => start(`${16 * MIB}`));

  test("keeps nothing of a layer that dockerd sends without a length, and takes smaller ones", async () => {
    await importImage("large", LARGE);
    await importImage("small", SMALL);
    await expect(docker.command(["push", nameAt("large")])).rejects.toThrow(/disk is full/);
    await waitFor("nothing to be left of the push", 20_000, async () => (await unfinished()).length === 0);
    const { bfree, blocks } = await statfs(mirror.data);
    expect(bfree).toBeGreaterThan(blocks / 2);
    await docker.command(["push", nameAt("small")]);
    const id = (await docker.command(["image", "inspect", "--format", "{{.Id}}", nameAt("small")])).trim();
    await docker.clean();
    expect((await docker.pull(nameAt("small"))).config).toBe(id);
  });

  test.each([
    // What it compresses as it pushes has no length; what is in a layout is compressed already.
    ["sends lengths", "oci"],
    ["sends none", "docker-archive"],
  ])("says so to skopeo, which %s", async (_, form) => {
    await importImage("large", LARGE);
    const archive = join(place.folder, "large.docker.tar");
    await docker.command(["save", "--output", archive, nameAt("large")]);
    const copy = (from: string, to: string) =>
      run(
        isolated(place.hosts, [
          ...["skopeo", "--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false", from, to],
        ]),
        { deadline: CLIENT_DEADLINE, environment: { HOME: join(place.folder, "home") } },
      );
    const layout = `oci:${join(place.folder, "layout")}:large`;
    if (form === "oci") await copy(`docker-archive:${archive}`, layout);
    const pushed = copy(form === "oci" ? layout : `docker-archive:${archive}`, `docker://${nameAt("large")}`);
    await expect(pushed).rejects.toThrow(/disk is full/);
    await waitFor("nothing to be left of the push", 20_000, async () => (await unfinished()).length === 0);
  });
});

describe.each(["workerd", "node"])("a mirror whose %s is killed in the middle of a push", (victim) => {
  beforeEach(() => start());

  test("has the image once it is pushed again", async () => {
    await importImage("large", 8 * LARGE);
    const failed = docker.command(["push", nameAt("large")]).then(
      () => "pushed",
      () => "failed",
    );
    await waitFor("the push to begin", 60_000, async () => (await unfinished()).length > 0);
    const workerd = processTree(mirror.pid()).find(({ name }) => name === "workerd");
    if (!workerd) throw new Error("there is no workerd");
    process.kill(victim === "workerd" ? workerd.pid : workerd.parent, "SIGKILL");
    await mirror.kill();
    await mirror.start();
    await failed;
    await docker.command(["push", nameAt("large")]);
    const id = (await docker.command(["image", "inspect", "--format", "{{.Id}}", nameAt("large")])).trim();
    await docker.clean();
    expect((await docker.pull(nameAt("large"))).config).toBe(id);
  });
});
