// What `npm run portolan -- config CLIENT --write` writes makes the real client pull through the mirror. The registries
// themselves can't be reached from the clients, so a pull that succeeds came through it.
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { get } from "node:https";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import type { GuideRequest } from "../../src/guides/guide.ts";
import type { Client } from "./support/client.ts";
import { registriesConf } from "./support/configurations.ts";
import { configure, hostsIn } from "./support/configured.ts";
import { startContainerd } from "./support/containerd.ts";
import { startDockerdWith } from "./support/dockerd.ts";
import { DOCKER_TAG, REPOSITORIES } from "./support/global.ts";
import { DOMAIN, type Stage, startStage } from "./support/mirror.ts";
import { checkNginx, type Nginx, startNginx } from "./support/nginx.ts";
import { startPodman } from "./support/podman.ts";
import { workspace } from "./support/process.ts";
import { startProxies } from "./support/proxies.ts";
import { pulledImageOf, referenceOf } from "./support/pulls.ts";

const image = inject("image");
let stage: Stage;
beforeAll(async () => {
  stage = await startStage(inject("registry"));
  // Both upstreams have the same content, so each must not serve in place of the other.
  for (const [name, upstream] of Object.entries(stage.upstreams)) {
    upstream.interfere = ({ path }) => (isAnothers(name, path) ? { status: 404 } : null);
  }
});
afterAll(() => stage.stop());

function isAnothers(name: string, path: string): boolean {
  return Object.entries(REPOSITORIES).some(
    ([other, repository]) => other !== name && path.includes(repository),
  );
}

/** A client that is started with what was written, and stopped whatever becomes of the pull. */
async function withClient(
  name: string,
  options: readonly string[],
  start: (root: string) => Promise<Client>,
  use: (client: Client) => Promise<void>,
): Promise<void> {
  const { folder: root, remove } = await workspace("configured");
  try {
    await configure(name, root, ["--mirror", stage.url, ...options]);
    const client = await start(root);
    try {
      await use(client);
    } finally {
      await client.stop();
    }
  } finally {
    await remove();
  }
}

const pullsBoth = async (client: Pick<Client, "pull">): Promise<void> => {
  expect(await client.pull(referenceOf("docker.io"))).toEqual(pulledImageOf(image));
  expect(await client.pull(referenceOf("ghcr.io"))).toEqual(pulledImageOf(image));
};

test("dockerd pulls by the daemon.json", () =>
  withClient(
    "docker",
    [],
    (root) => startDockerdWith(["--config-file", join(root, "etc/docker/daemon.json")]),
    async (client) => expect(await client.pull(referenceOf("docker.io"))).toEqual(pulledImageOf(image)),
  ));

describe("containerd pulls by the hosts.toml", () => {
  test.each(["ns", "path", "prefix", "host"])("in the form %s", (shape) =>
    withClient(
      "containerd-1",
      ["--shape", shape, "--domain", DOMAIN, "--upstream", "docker.io,ghcr.io"],
      async (root) => startContainerd(await hostsIn(join(root, "etc/containerd/certs.d"))),
      pullsBoth,
    ),
  );
});

test("podman pulls by the registries.conf", () =>
  withClient(
    "podman",
    ["--upstream", "docker.io,ghcr.io"],
    async (root) =>
      startPodman(await readFile(join(root, "etc/containers/registries.conf.d/portolan.conf"), "utf8")),
    pullsBoth,
  ));

test("registry:2 in proxy mode pulls from the mirror, for each registry", async () => {
  const { folder: root, remove } = await workspace("configured");
  await configure("registry", root, ["--mirror", stage.url, "--upstream", "docker.io,ghcr.io"]);
  const proxies = await startProxies(root, ["docker", "ghcr"]);
  const client = await startContainerd({
    "docker.io": `[host."${proxies.urls[0]}"]\ncapabilities = ["pull", "resolve"]\n`,
    "ghcr.io": `[host."${proxies.urls[1]}"]\ncapabilities = ["pull", "resolve"]\n`,
  });
  try {
    await pullsBoth(client);
  } finally {
    await client.stop();
    await proxies.stop();
    await remove();
  }
});

describe("nginx", () => {
  const request: GuideRequest = {
    mirror: new URL("https://mirror.test"),
    domain: DOMAIN,
    upstreams: ["docker.io", "ghcr.io"],
    key: null,
    shape: null,
  };

  test("takes the file, for a mirror behind TLS and with a key too", async () => {
    await checkNginx(request);
    await checkNginx({ ...request, key: "abcdefghijklmnopqrstuvwxyz234567" });
  });

  test.each([
    ["of this machine, by the client's own host", () => stage.url],
    ["elsewhere, by a path for each registry", () => `http://${DOMAIN}:${stage.port}`],
  ])(
    "with a private CA serves a host name for each registry over TLS, for a mirror %s",
    async (_, mirror) => {
      const nginx = await startNginx({ ...request, mirror: new URL(mirror()) });
      const host = (name: string): string => `${name}.${DOMAIN}:${nginx.port}`;
      const hosts = (name: string): string =>
        `[host."https://${host(name)}"]\ncapabilities = ["pull", "resolve"]\nca = "${nginx.ca}"\n`;
      const containerd = await startContainerd({ "docker.io": hosts("docker"), "ghcr.io": hosts("ghcr") });
      // containerd names the registry in `ns` besides, so a client that doesn't shows whether the host's name is enough.
      const podman = await startPodman(
        ["docker.io", "ghcr.io"]
          .map((name) => registriesConf(name, host(name.split(".")[0] ?? "")).replace("insecure = true", ""))
          .join(""),
        { SSL_CERT_FILE: nginx.ca },
      );
      try {
        await pullsBoth(containerd);
        await pullsBoth(podman);
        const list = `/v2/${REPOSITORIES["ghcr.io"]}/tags/list?n=1`;
        const first = await getOver(nginx, host("ghcr"), list);
        const [, next = ""] = /<([^>]+)>; rel="next"/.exec(String(first.headers.link)) ?? [];
        const { body } = await getOver(nginx, host("ghcr"), next);
        expect(JSON.parse(body)).toMatchObject({ tags: [DOCKER_TAG] });
      } finally {
        await containerd.stop();
        await podman.stop();
        await nginx.stop();
      }
    },
  );
});

/** Asks nginx by a name that this process can't look up, trusting the private CA. */
async function getOver(
  { port, ca }: Nginx,
  host: string,
  path: string,
): Promise<{ headers: IncomingHttpHeaders; body: string }> {
  const [servername] = host.split(":");
  const requested = get({
    host: "127.0.0.1",
    port,
    path,
    ca: await readFile(ca),
    servername,
    headers: { host },
  });
  const [response] = (await once(requested, "response")) as [IncomingMessage];
  return { headers: response.headers, body: await text(response) };
}
