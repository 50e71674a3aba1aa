// Layers above Cloudflare's limit, pushed by real clients through a gateway to a mirror with keys, behind a proxy with that limit.
import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type RunningMirror, startMirror } from "../../scripts/local/mirror.ts";
import { addKey } from "../../src/access/key-changes.ts";
import { type LimitingProxy, startLimitingProxy } from "../scripts/support/limiting-proxy.ts";
import { startContainerd } from "./support/containerd.ts";
import { type DockerdKind, startDockerdWith } from "./support/dockerd.ts";
import { NEWER_CLIENTS, newer } from "./support/newer.ts";
import { HAS_NEWEST_DOCKERD, NEWEST_DOCKERD } from "./support/newest-dockerd.ts";
import { CLIENT_DEADLINE, isolated, run, workspace } from "./support/process.ts";
import { tar } from "./support/tar.ts";

const LIMIT = 100_000_000;
const CONTENT = 110_000_000;
/** Milliseconds: a client compresses and stores such a layer more than once. */
const DEADLINE = 3 * CLIENT_DEADLINE;

let place: Awaited<ReturnType<typeof workspace>>;
let far: RunningMirror;
let proxy: LimitingProxy;
let gateway: RunningMirror;
let key: string;

beforeAll(async () => {
  place = await workspace("gateway");
  const rights = { allow: [], deny: [], expires: null, rate: null };
  const added = await addKey([], "gateway", { ...rights, push: ["hosted/team/*"] });
  key = added.key;
  far = await startMirror({
    port: 0,
    host: "127.0.0.1",
    data: join(place.folder, "far"),
    vars: { ACCESS: "keys", ACCESS_KEYS: JSON.stringify(added.list) },
  });
  proxy = await startLimitingProxy(() => far.url, LIMIT);
  gateway = await startMirror({
    port: 0,
    host: "127.0.0.1",
    data: join(place.folder, "gateway"),
    pushTo: { url: `http://${proxy.host}`, key },
  });
});
afterEach(() => {
  proxy.requests = [];
});
afterAll(async () => {
  await gateway?.stop();
  proxy?.close();
  await far?.stop();
  await place?.remove();
});

const host = () => new URL(gateway.url).host;

/** A root file system that is new each time, as a tar. @returns its path */
async function rootFileSystem(): Promise<string> {
  const path = join(place.folder, "root.tar");
  const content = randomBytes(CONTENT);
  await writeFile(path, tar([{ type: "file", path: "content", content }]));
  return path;
}

/** The digest of an image's config at the far mirror, whose only layer is there, and was never in a body above the limit. */
async function configAtFar(name: string): Promise<string> {
  const headers = {
    Authorization: `Basic ${Buffer.from(`x:${key}`).toString("base64")}`,
    Accept:
      "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json",
  };
  const base = `${far.url}/v2/hosted/team/${name}`;
  const manifest = await (await fetch(`${base}/manifests/1`, { headers })).json();
  const { config, layers } = manifest as { config: { digest: string }; layers: { digest: string }[] };
  const layer = await fetch(`${base}/blobs/${layers[0]?.digest}`, { method: "HEAD", headers });
  expect(Number(layer.headers.get("Content-Length"))).toBeGreaterThan(LIMIT);
  expect(Math.max(...proxy.requests.map(({ bytes }) => bytes))).toBeLessThan(LIMIT);
  return config.digest;
}

async function pushesFromDocker(name: string, kind?: DockerdKind): Promise<void> {
  const docker = await startDockerdWith([], {}, [], kind);
  try {
    const image = `${host()}/hosted/team/${name}:1`;
    await docker.command(["import", await rootFileSystem(), image], DEADLINE);
    await docker.command(["push", image], DEADLINE);
    const config = await configAtFar(name);
    proxy.requests = [];
    expect(await docker.command(["push", image], DEADLINE)).toMatch(/Layer already exists|Already exists/i);
    expect(proxy.requests.filter(({ method }) => method === "PATCH")).toEqual([]);
    const refused = `${host()}/hosted/private/${name}:1`;
    await docker.command(["tag", image, refused]);
    await expect(docker.command(["push", refused], DEADLINE)).rejects.toThrow(
      /this access key may not push here/,
    );
    await docker.clean();
    expect((await docker.pull(image)).config).toBe(config);
  } finally {
    await docker.stop();
  }
}

test("dockerd pushes by PATCH, skips what is there, shows a refusal's message, and pulls it back", () =>
  pushesFromDocker("docker"));

describe.skipIf(NEWER_CLIENTS === "")("of a newer Debian:", () => {
  test("dockerd with containerd's image store pushes by a whole PUT", () =>
    pushesFromDocker("docker-newer", {
      isolate: newer,
      storage: ["--feature", "containerd-snapshotter=true", "--storage-driver", "native"],
    }));
});

describe.skipIf(!HAS_NEWEST_DOCKERD)("built from its module:", () => {
  test("dockerd 29 pushes by a whole PUT", () => pushesFromDocker("docker-newest", NEWEST_DOCKERD));

  test("dockerd 29 shows why a layer above the limit can't be pushed without the gateway", async () => {
    const docker = await startDockerdWith([], {}, [], NEWEST_DOCKERD);
    try {
      const image = `${proxy.host}/hosted/team/direct:1`;
      await docker.command(["import", await rootFileSystem(), image], DEADLINE);
      await docker.login(proxy.host, "portolan", key);
      await expect(docker.command(["push", image], DEADLINE)).rejects.toThrow(
        /unexpected status from PUT request .*: 413/,
      );
    } finally {
      await docker.stop();
    }
  });
});

test("podman pushes, and containerd pushes the same layer by one PUT", async () => {
  const { folder, hosts } = place;
  const policy = join(folder, "policy.json");
  await writeFile(policy, JSON.stringify({ default: [{ type: "insecureAcceptAnything" }] }));
  const storage = ["--root", join(folder, "root"), "--runroot", join(folder, "runroot")];
  const podman = (...rest: string[]) =>
    run(
      isolated(hosts, [
        ...["podman", ...storage, "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"],
        ...rest,
      ]),
      { deadline: DEADLINE, environment: { HOME: join(folder, "home") } },
    );
  const image = `${host()}/hosted/team/podman:1`;
  await podman("import", "--quiet", await rootFileSystem(), image);
  await podman("push", "--quiet", "--tls-verify=false", "--signature-policy", policy, image);
  const config = await configAtFar("podman");

  // Another mirror has it for containerd, so that nothing can be mounted at the far one.
  const origin = await startMirror({ port: 0, host: "127.0.0.1", data: join(folder, "origin") });
  const source = `${new URL(origin.url).host}/hosted/boat:1`;
  const hostsToml = (url: string) =>
    `server = "${url}"\n[host."${url}"]\n  capabilities = ["pull", "resolve", "push"]\n`;
  const containerd = await startContainerd({
    [new URL(origin.url).host]: hostsToml(origin.url),
    [host()]: hostsToml(gateway.url),
  });
  try {
    const other = await rootFileSystem();
    await podman("import", "--quiet", other, source);
    await podman("push", "--quiet", "--tls-verify=false", "--signature-policy", policy, source);
    const pulled = await containerd.pull(source);
    await containerd.push(source, `${host()}/hosted/team/containerd:1`);
    expect(await configAtFar("containerd")).toBe(pulled.config);
    expect(pulled.config).not.toBe(config);
  } finally {
    await containerd.stop();
    await origin.stop();
  }
});
