// Real clients and a mirror that requests access keys: each carries its key as it can, each is turned away without one,
// with one that was revoked and with one for something else, and no key gets any further than the mirror.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { addKey, revokeKey } from "../../src/access/key-changes.ts";
import type { WrittenKey } from "../../src/access/key-list.ts";
import { hostsToml, registriesConf } from "./support/configurations.ts";
import { type Containerd, startContainerd } from "./support/containerd.ts";
import { type Dockerd, startDockerd } from "./support/dockerd.ts";
import { REPOSITORIES, TAG } from "./support/global.ts";
import { type Stage, startStage } from "./support/mirror.ts";
import { startPodman } from "./support/podman.ts";
import { workspace } from "./support/process.ts";
import { pulledImageOf, referenceOf, type UpstreamName } from "./support/pulls.ts";
import { startSkopeo } from "./support/skopeo.ts";

const USER = "anyone";
/** `alice` opens all; `elsewhere` nothing that is pulled here; `leaver` is revoked before anything is pulled. */
const NAMES = ["alice", "elsewhere", "leaver"] as const;
const keys = { alice: "", elsewhere: "", leaver: "" };

/** Refused clients: the credential they send, and the mirror's response. */
const REFUSED = [
  ["without a key", () => null, 401],
  ["with a key that was revoked", () => keys.leaver, 401],
  ["with a key for another repository", () => keys.elsewhere, 403],
] as const;

const image = inject("image");
let stage: Stage;
const stops: (() => Promise<void>)[] = [];

beforeAll(async () => {
  let list: WrittenKey[] = [];
  for (const name of NAMES) {
    const allow = name === "elsewhere" ? ["quay.io/*"] : [];
    const made = await addKey(list, name, { allow, deny: [], expires: null, rate: null });
    keys[name] = made.key;
    list = made.list;
  }
  stage = await startStage(inject("registry"), { ACCESS: "keys", ACCESS_KEYS: JSON.stringify(list) });
  stops.unshift(stage.stop);
  const leaver = { headers: { Authorization: basic(keys.leaver) } };
  expect((await fetch(`${stage.url}/v2/`, leaver)).status).toBe(200);
  await stage.restart({ ACCESS_KEYS: JSON.stringify(revokeKey(list, "leaver")) });
});
afterAll(async () => {
  await Promise.all(stops.map((stop) => stop()));
});

function basic(key: string): string {
  return `Basic ${Buffer.from(`${USER}:${key}`).toString("base64")}`;
}

/** A pull that fails by the mirror's response, without an upstream request. */
async function expectRefusal(pull: Promise<unknown>, upstream: UpstreamName, status: number): Promise<void> {
  const [before, requestsBefore] = [stage.records.length, stage.upstreams[upstream].requests.length];
  await expect(pull).rejects.toThrow();
  await expect.poll(() => stage.records.slice(before).map((record) => record.status)).toContain(status);
  const served = stage.records.slice(before).filter(({ path, status }) => status === 200 && !isOpen(path));
  expect(served).toEqual([]);
  expect(stage.upstreams[upstream].requests.length).toBe(requestsBefore);
}

/** A login with a valid key succeeds, even if the key doesn't allow the next pull. */
function isOpen(path: string): boolean {
  return path === "/v2/" || path.startsWith("/_/token");
}

describe("dockerd, registry-mirrors with the key in the host's first label", () => {
  const reference = referenceOf("docker.io");

  async function dockerd(key: string | null): Promise<Dockerd> {
    const label = key === null ? "docker" : `docker-${key}`;
    const client = await startDockerd(`http://${label}.mirror.test:${stage.port}`);
    stops.unshift(client.stop);
    return client;
  }

  test("pulls and runs, and is never challenged, so that it sends no login of its own", async () => {
    const client = await dockerd(keys.alice);
    const before = stage.records.length;
    expect(await client.pull(reference)).toEqual(pulledImageOf(image));
    expect(await client.run(reference)).toBe(image.verdict);
    expect(stage.records.slice(before).filter(({ status }) => status === 401)).toEqual([]);
  });

  test.each(REFUSED)("is refused %s", async (_, key, status) => {
    const client = await dockerd(key());
    await expectRefusal(client.pull(reference), "docker.io", status);
  });
});

describe("docker login, and the mirror in the image's name", () => {
  let client: Dockerd;
  let host: string;
  let reference: string;
  beforeAll(async () => {
    host = `127.0.0.1:${stage.port}`;
    reference = `${host}/ghcr.io/${REPOSITORIES["ghcr.io"]}:${TAG}`;
    client = await startDockerd(stage.url);
    stops.unshift(client.stop);
  });

  test("logs in with the key as the password, and pulls", async () => {
    await client.login(host, USER, keys.alice);
    expect(await client.pull(reference)).toEqual(pulledImageOf(image));
  });

  test("is refused at the login with a key that was revoked, and with none that ever was", async () => {
    for (const key of [keys.leaver, "a".repeat(32)]) {
      await expect(client.login(host, USER, key)).rejects.toThrow(/unauthorized/i);
    }
  });

  test.each(REFUSED)("is refused the image %s", async (_, key, status) => {
    const shown = key();
    const auth = shown === null ? null : Buffer.from(`${USER}:${shown}`).toString("base64");
    await client.configure(auth === null ? {} : { auths: { [host]: { auth } } });
    await expectRefusal(client.pull(reference), "ghcr.io", status);
  });
});

describe("containerd", () => {
  const reference = referenceOf("ghcr.io");
  let client: Containerd;
  const header = (key: string | null): Record<string, string> => {
    const mirror = `http://ghcr.mirror.test:${stage.port}`;
    const extra = key === null ? "" : `[host."${mirror}".header]\n  Authorization = "${basic(key)}"`;
    return { "ghcr.io": hostsToml(mirror, "https://ghcr.io", extra) };
  };
  beforeAll(async () => {
    client = await startContainerd(header(null));
    stops.unshift(client.stop);
  });

  test.each(REFUSED)("is refused %s", async (_, key, status) => {
    await client.configure(header(key()));
    await expectRefusal(client.pull(reference), "ghcr.io", status);
  });

  test("pulls and runs with the key in a header of hosts.toml", async () => {
    await client.configure(header(keys.alice));
    expect(await client.pull(reference)).toEqual(pulledImageOf(image));
    expect(await client.run(reference)).toBe(image.verdict);
  });

  test("pulls with the key in the path", async () => {
    await client.clean();
    await client.configure({
      "ghcr.io": hostsToml(`${stage.url}/${keys.alice}/ghcr.io`, "https://ghcr.io"),
    });
    expect(await client.pull(reference)).toEqual(pulledImageOf(image));
  });
});

describe("podman, auth.json", () => {
  const reference = referenceOf("ghcr.io");

  async function pull(key: string | null) {
    const { folder, remove } = await workspace("podman-login");
    stops.unshift(remove);
    const file = join(folder, "auth.json");
    const host = `127.0.0.1:${stage.port}`;
    const auth = Buffer.from(`${USER}:${key}`).toString("base64");
    await writeFile(file, JSON.stringify({ auths: key === null ? {} : { [host]: { auth } } }));
    const podman = await startPodman(registriesConf("ghcr.io", `${host}/ghcr.io`), {
      REGISTRY_AUTH_FILE: file,
    });
    stops.unshift(podman.stop);
    return podman.pull(reference);
  }

  test("pulls", async () => {
    expect(await pull(keys.alice)).toEqual(pulledImageOf(image));
  });

  // All at once: podman takes three seconds to give up.
  test(`is refused ${REFUSED.map(([how]) => how).join(", ")}`, async () => {
    const refusals = REFUSED.map(([, key, status]) => expectRefusal(pull(key()), "ghcr.io", status));
    await Promise.all(refusals);
  });
});

describe("skopeo, --src-creds", () => {
  async function copy(key: string | null) {
    const host = `127.0.0.1:${stage.port}`;
    const skopeo = await startSkopeo("");
    stops.unshift(skopeo.stop);
    const credentials = key === null ? ["--src-no-creds"] : ["--src-creds", `${USER}:${key}`];
    const options = [...credentials, "--src-tls-verify=false"];
    return skopeo.copy(`${host}/ghcr.io/${REPOSITORIES["ghcr.io"]}:${TAG}`, false, options);
  }

  test("copies", async () => {
    expect((await copy(keys.alice)).digest).toBe(image.amd64.manifest.digest);
  });

  test.each(REFUSED)("is refused %s", async (_, key, status) => {
    await expectRefusal(copy(key()), "ghcr.io", status);
  });
});

// Last, when each way of carrying a key has been gone.
test("no key is in the log or reaches upstream, wherever the client put it", async () => {
  await stage.settled();
  const logged = JSON.stringify(stage.records) + JSON.stringify(stage.messages);
  const upstream = Object.values(stage.upstreams).flatMap(({ requests }) => requests.map(({ text }) => text));
  expect(logged).toContain(`/<key>/ghcr.io/v2/${REPOSITORIES["ghcr.io"]}/`);
  expect(upstream.length).toBeGreaterThan(8);
  for (const key of Object.values(keys)) {
    expect(key).toMatch(/^[a-z2-7]{32}$/);
    for (const written of [key, Buffer.from(`${USER}:${key}`).toString("base64")]) {
      expect(logged).not.toContain(written);
      expect(upstream.join("\n")).not.toContain(written);
    }
  }
  expect(stage.upstreams["docker.io"].requests.some(({ authorized }) => authorized)).toBe(false);
});
