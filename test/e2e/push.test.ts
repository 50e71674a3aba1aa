// Pushing with real clients, and pulling back what they pushed.
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { type RunningMirror, startMirror } from "../../scripts/local/mirror.ts";
import { addKey } from "../../src/access/key-changes.ts";
import { type Dockerd, startDockerd } from "./support/dockerd.ts";
import { digestAt, type HostedPlace, hostedPlace } from "./support/hosted.ts";
import { CLIENT_DEADLINE, isolated, run } from "./support/process.ts";
import { referenceOf } from "./support/pulls.ts";

const image = inject("image");
/** Where the mirror has the image to push. */
const SOURCE = referenceOf("docker.io");
let place: HostedPlace;
let mirror: RunningMirror;

beforeAll(async () => {
  place = await hostedPlace("push");
  mirror = await place.start("data", { "docker.io": [inject("registry")] });
});
afterAll(() => place?.stop());

const host = () => new URL(mirror.url).host;

/** A program of the podman family, with folders of its own. */
function program(...command: string[]): Promise<string> {
  return run(isolated(place.hosts, command), {
    deadline: CLIENT_DEADLINE,
    environment: { HOME: join(place.folder, "home") },
  });
}

describe("dockerd", () => {
  let docker: Dockerd;

  beforeAll(async () => {
    docker = await startDockerd(mirror.url);
  });
  afterAll(() => docker?.stop());

  const cli = (...rest: string[]) =>
    run(["docker", "--host", docker.socket, ...rest], {
      deadline: CLIENT_DEADLINE,
      environment: { HOME: join(place.folder, "home") },
    });

  test("pushes what it has pulled, and pulls it back", async () => {
    const source = `${host()}/${SOURCE}`;
    await docker.pull(source);
    const target = `${host()}/hosted/team/docker:1`;
    await cli("tag", source, target);
    const output = await cli("push", target);
    const digest = /digest: (sha256:[0-9a-f]{64})/.exec(output)?.[1];
    expect(digest).toBe(await digestAt(mirror, "team/docker", "1"));
    // What it has pulled through the mirror is stored there.
    expect(output).toMatch(/Mounted from/);
    await docker.clean();
    expect((await docker.pull(target)).config).toBe(image.amd64.config.digest);
  });

  test("shows the message of a refusal at once", async () => {
    await docker.pull(`${host()}/hosted/team/docker:1`);
    await cli("tag", `${host()}/hosted/team/docker:1`, `${host()}/library/mine:1`);
    await expect(cli("push", `${host()}/library/mine:1`)).rejects.toThrow(
      /mirrored repositories can only be pulled/,
    );
  });
});

describe("skopeo and podman", () => {
  const source = () => `docker://${host()}/${SOURCE}`;

  test("skopeo copies an index with all its platforms, digests unchanged", async () => {
    const target = `docker://${host()}/hosted/team/skopeo:1`;
    await program(
      ...[
        "skopeo",
        "--insecure-policy",
        "copy",
        "--all",
        "--src-tls-verify=false",
        "--dest-tls-verify=false",
      ],
      ...["--quiet", source(), target],
    );
    expect(await digestAt(mirror, "team/skopeo", "1")).toBe(image.index.digest);
  });

  test("skopeo mounts what another repository has", async () => {
    const target = `docker://${host()}/hosted/team/mounted:1`;
    await program(
      ...[
        "skopeo",
        "--insecure-policy",
        "copy",
        "--all",
        "--src-tls-verify=false",
        "--dest-tls-verify=false",
      ],
      ...["--quiet", `docker://${host()}/hosted/team/skopeo:1`, target],
    );
    expect(await digestAt(mirror, "team/mounted", "1")).toBe(image.index.digest);
  });

  test("podman pushes an image by chunks of unknown length, and pulls it back", async () => {
    const root = join(place.folder, "podman");
    const podman = (...rest: string[]) =>
      program(
        ...[
          "podman",
          "--root",
          root,
          "--runroot",
          `${root}-run`,
          "--storage-driver",
          "vfs",
          "--cgroup-manager",
          "cgroupfs",
        ],
        ...rest,
      );
    const policy = join(place.folder, "policy.json");
    await writeFile(policy, JSON.stringify({ default: [{ type: "insecureAcceptAnything" }] }));
    const from = `${host()}/${SOURCE}`;
    const to = `${host()}/hosted/team/podman:1`;
    await podman("pull", "--quiet", "--tls-verify=false", "--signature-policy", policy, from);
    await podman("tag", from, to);
    await podman("push", "--quiet", "--tls-verify=false", "--signature-policy", policy, to);
    expect(await digestAt(mirror, "team/podman", "1")).toMatch(/^sha256:/);
    await podman("rmi", "--all", "--force");
    await podman("pull", "--quiet", "--tls-verify=false", "--signature-policy", policy, to);
    expect(await podman("image", "inspect", "--format", "{{.Id}}", to)).toContain(
      image.amd64.config.digest.replace("sha256:", ""),
    );
    await rm(root, { recursive: true, force: true });
  });
});

describe("a keyed registry", () => {
  test("takes pushes of the key that has the right, after docker login, and refuses the other's", async () => {
    const pusher = await addKey([], "ci", {
      allow: [],
      deny: [],
      push: ["hosted/team/*"],
      expires: null,
      rate: null,
    });
    const both = await addKey(pusher.list, "reader", { allow: [], deny: [], expires: null, rate: null });
    const keyed = await startMirror({
      port: 0,
      host: "127.0.0.1",
      data: join(place.folder, "keyed"),
      upstreams: { "docker.io": [inject("registry")] },
      insecure: ["docker.io"],
      vars: { ACCESS: "keys", ACCESS_KEYS: JSON.stringify(both.list) },
    });
    try {
      const copy = (key: string) =>
        program(
          ...[
            "skopeo",
            "--insecure-policy",
            "copy",
            "--src-tls-verify=false",
            "--dest-tls-verify=false",
            "--quiet",
          ],
          ...["--dest-creds", `ci:${key}`, `docker://${host()}/${SOURCE}`],
          `docker://${new URL(keyed.url).host}/hosted/team/app:1`,
        );
      await expect(copy(both.key)).rejects.toThrow(/may not push here|denied/i);
      await copy(pusher.key);
    } finally {
      await keyed.stop();
    }
  });

  test("lets dockerd and skopeo pull what is public without a login, and nothing else", async () => {
    const { key, list } = await addKey([], "ci", {
      allow: [],
      deny: [],
      push: ["hosted/*"],
      expires: null,
      rate: null,
    });
    const keyed = await startMirror({
      port: 0,
      host: "127.0.0.1",
      data: join(place.folder, "public"),
      vars: {
        ACCESS: "keys",
        ACCESS_KEYS: JSON.stringify(list),
        HOSTED_PUBLIC: "hosted/public/*",
      },
    });
    const docker = await startDockerd(keyed.url);
    try {
      const hostedAt = `${new URL(keyed.url).host}/hosted`;
      const skopeo = (...rest: string[]) => program("skopeo", "--insecure-policy", ...rest);
      for (const name of ["public/app", "private/app"]) {
        await skopeo(
          ...["copy", "--quiet", "--src-tls-verify=false", "--dest-tls-verify=false"],
          ...["--dest-creds", `ci:${key}`, `docker://${host()}/${SOURCE}`, `docker://${hostedAt}/${name}:1`],
        );
      }
      expect((await docker.pull(`${hostedAt}/public/app:1`)).config).toBe(image.amd64.config.digest);
      await expect(docker.pull(`${hostedAt}/private/app:1`)).rejects.toThrow(/access key/);
      const inspect = (name: string) =>
        skopeo("inspect", "--tls-verify=false", "--no-creds", "--raw", `docker://${hostedAt}/${name}:1`);
      expect(await inspect("public/app")).toContain("schemaVersion");
      await expect(inspect("private/app")).rejects.toThrow(/access key|unauthorized/i);
    } finally {
      await docker.stop();
      await keyed.stop();
    }
  });
});
