// What `config` writes for a mirror that requests access keys: the key goes as each client can carry it, and through
// nginx clients are sent for tokens to the name and the scheme that they came by.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { addKey } from "../../src/access/key-changes.ts";
import { registriesConf } from "./support/configurations.ts";
import { configure } from "./support/configured.ts";
import { startContainerd } from "./support/containerd.ts";
import { DOMAIN, type Stage, startStage } from "./support/mirror.ts";
import { startNginx } from "./support/nginx.ts";
import { startPodman } from "./support/podman.ts";
import { workspace } from "./support/process.ts";
import { startProxies } from "./support/proxies.ts";
import { pulledImageOf, referenceOf } from "./support/pulls.ts";

const image = inject("image");
let stage: Stage;
let key = "";
beforeAll(async () => {
  const made = await addKey([], "alice", { allow: [], deny: [], expires: null, rate: null });
  key = made.key;
  stage = await startStage(inject("registry"), { ACCESS: "keys", ACCESS_KEYS: JSON.stringify(made.list) });
});
afterAll(() => stage.stop());

test.each([
  ["by a login, where the mirror has a host name for each registry", ["--domain", DOMAIN]],
  ["by the path, where it has none", []],
])("registry:2 in proxy mode has the key %s", async (_, options) => {
  const { folder: root, remove } = await workspace("keyed");
  const file = join(root, "portolan.key");
  await writeFile(file, key);
  const mirror = `http://${DOMAIN}:${stage.port}`;
  const common = ["--mirror", mirror, "--upstream", "docker.io,ghcr.io", "--key-file", file];
  await configure("registry", root, [...common, ...options]);
  const proxies = await startProxies(root, ["docker", "ghcr"]);
  const client = await startContainerd({
    "docker.io": `[host."${proxies.urls[0]}"]\ncapabilities = ["pull", "resolve"]\n`,
    "ghcr.io": `[host."${proxies.urls[1]}"]\ncapabilities = ["pull", "resolve"]\n`,
  });
  try {
    expect(await client.pull(referenceOf("docker.io"))).toEqual(pulledImageOf(image));
    expect(await client.pull(referenceOf("ghcr.io"))).toEqual(pulledImageOf(image));
  } finally {
    await client.stop();
    await proxies.stop();
    await remove();
  }
});

test("podman logs in through nginx, and gets its token there", async () => {
  const nginx = await startNginx({
    mirror: new URL(stage.url),
    domain: DOMAIN,
    upstreams: ["docker.io", "ghcr.io"],
    key: null,
    shape: null,
  });
  const { folder, remove } = await workspace("login");
  const host = `ghcr.${DOMAIN}:${nginx.port}`;
  const auth = Buffer.from(`anyone:${key}`).toString("base64");
  const file = join(folder, "auth.json");
  await writeFile(file, JSON.stringify({ auths: { [host]: { auth } } }));
  const podman = await startPodman(registriesConf("ghcr.io", host).replace("insecure = true", ""), {
    SSL_CERT_FILE: nginx.ca,
    REGISTRY_AUTH_FILE: file,
  });
  try {
    expect(await podman.pull(referenceOf("ghcr.io"))).toEqual(pulledImageOf(image));
    expect(stage.records.some(({ path }) => path.startsWith("/_/token"))).toBe(true);
  } finally {
    await podman.stop();
    await nginx.stop();
    await remove();
  }
});
