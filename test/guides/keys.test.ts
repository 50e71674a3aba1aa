/** How each client is given a mirror's access key, and that no guide of an open mirror has one. */
import { describe, expect, test } from "vitest";
import { CLIENTS, type ClientName } from "../../src/guides/clients.ts";
import type { GuideRequest } from "../../src/guides/guide.ts";
import { basicAuthorization, isKey } from "../../src/guides/key.ts";
import { ALL_CLIENTS, commandsOf, fileAt, filesOf, KEY, LOCAL, OPEN } from "./requests.ts";

const KEYED: GuideRequest = { ...OPEN, key: KEY };
const WITHOUT_DOMAIN: GuideRequest = { ...KEYED, domain: null };
const AUTHORIZATION = `Basic ${btoa(`portolan:${KEY}`)}`;

test("a key is 32 letters of base32 and nothing else", () => {
  expect(isKey(KEY)).toBe(true);
  for (const wrong of ["", KEY.slice(1), `${KEY}a`, KEY.toUpperCase(), KEY.replace("a", "1"), `${KEY}\n`]) {
    expect(isKey(wrong)).toBe(false);
  }
});

test("the header is what RFC 7617 makes of user and key", () => {
  expect(basicAuthorization(KEY)).toBe(AUTHORIZATION);
});

describe("dockerd, which sends a mirror no login", () => {
  const mirror = (request: GuideRequest): unknown => fileAt("docker", request, "/etc/docker/daemon.json");

  test("has the key in the host's label, one label deep", () => {
    expect(mirror(KEYED)).toEqual({ "registry-mirrors": [`https://docker-${KEY}.example.com`] });
  });

  test("has the key in the path where there is no DOMAIN, and a note which Docker versions take that", () => {
    expect(mirror(WITHOUT_DOMAIN)).toEqual({
      "registry-mirrors": [`https://mirror.example.com/${KEY}/docker.io`],
    });
    expect(CLIENTS.docker(WITHOUT_DOMAIN).notes.join(" ")).toContain("24.0.8");
  });

  test("logs in to pull by the mirror's name", () => {
    expect(commandsOf("docker", KEYED)).toContain(
      "docker login --username portolan --password-stdin mirror.example.com < portolan.key",
    );
  });
});

test("minikube's docker runtime has the key in the host's label, and without a DOMAIN a note that there is none", () => {
  expect(commandsOf("minikube", KEYED)).toContain(`--registry-mirror=https://docker-${KEY}.example.com\n`);
  const { steps } = CLIENTS.minikube(WITHOUT_DOMAIN);
  expect(commandsOf("minikube", WITHOUT_DOMAIN)).not.toContain("--registry-mirror");
  expect(steps.some(({ text }) => text.includes("`--registry-mirror` takes no path"))).toBe(true);
});

test.each(["containerd-1", "containerd-2", "docker-containerd", "nerdctl", "kind", "minikube"] as const)(
  "%s sends the key as a header of each host",
  (client) => {
    const hosts = filesOf(client, KEYED).filter(({ path }) => path.endsWith("/hosts.toml"));
    expect(hosts.length).toBe(2);
    for (const { says } of hosts) {
      const [host] = Object.values((says as { host: Record<string, unknown> }).host);
      expect(host).toMatchObject({ header: { Authorization: AUTHORIZATION } });
    }
  },
);

const auth = { username: "portolan", password: KEY };

test.each([
  ["k3s", "/etc/rancher/k3s/registries.yaml"],
  ["rke2", "/etc/rancher/rke2/registries.yaml"],
  ["k3d", "portolan-registries.yaml"],
] as const)("%s has a login for each host of the mirror that it asks", (client, path) => {
  expect(fileAt(client, KEYED, path)).toMatchObject({ configs: { "mirror.example.com": { auth } } });
  expect(fileAt(client, { ...KEYED, shape: "host" }, path)).toMatchObject({
    configs: { "docker.example.com": { auth }, "ghcr.example.com": { auth } },
  });
});

test.each([
  ["podman", "~/.config/containers/auth.json"],
  ["cri-o", "/etc/crio/portolan-auth.json"],
] as const)("%s has a login in %s for each host of the mirror that it asks", (client, path) => {
  const login = { auth: btoa(`portolan:${KEY}`) };
  expect(fileAt(client, KEYED, path)).toEqual({ auths: { "mirror.example.com": login } });
  expect(fileAt(client, { ...KEYED, shape: "host" }, path)).toEqual({
    auths: { "docker.example.com": login, "ghcr.example.com": login },
  });
});

test("CRI-O gets the path of the login file", () => {
  expect(fileAt("cri-o", KEYED, "/etc/crio/crio.conf.d/10-portolan.conf")).toEqual({
    crio: { image: { global_auth_file: "/etc/crio/portolan-auth.json" } },
  });
});

test("kaniko has a login for the hosts it is mapped to", () => {
  expect(fileAt("kaniko", KEYED, "/kaniko/.docker/config.json")).toEqual({
    auths: {
      "docker.example.com": { auth: btoa(`portolan:${KEY}`) },
      "ghcr.example.com": { auth: btoa(`portolan:${KEY}`) },
    },
  });
});

test("BuildKit logs in to the hosts it asks", () => {
  expect(commandsOf("buildkit", KEYED)).toContain("--password-stdin mirror.example.com <");
  expect(commandsOf("buildkit", { ...KEYED, shape: "host" })).toMatch(
    /docker\.example\.com <.*\n.*ghcr\.example\.com </,
  );
});

test("a workflow has the key from GitHub's secrets and not in its text", () => {
  const workflow = JSON.stringify(fileAt("buildx-action", KEYED, ".github/workflows/build.yml"));
  expect(workflow).toContain("secrets.PORTOLAN_KEY");
  expect(workflow).not.toContain(KEY);
});

test("Talos has a login document for the mirror's host, and the older form of it", () => {
  const [documents, before] = filesOf("talos", KEYED);
  expect(documents?.says).toContainEqual({
    apiVersion: "v1alpha1",
    kind: "RegistryAuthConfig",
    name: "mirror.example.com",
    ...auth,
  });
  expect(before?.says).toMatchObject({
    machine: { registries: { config: { "mirror.example.com": { auth } } } },
  });
});

test("Bottlerocket has credentials for the mirror's host", () => {
  expect(fileAt("bottlerocket", KEYED, "user-data.toml")).toMatchObject({
    settings: { "container-registry": { credentials: [{ registry: "mirror.example.com", ...auth }] } },
  });
});

test("GKE and EKS send the key as a header", () => {
  expect(fileAt("gke", KEYED, "containerd-configuration.yaml")).toMatchObject({
    registryHosts: [
      { server: "docker.io", hosts: [{ header: [{ key: "Authorization", value: [AUTHORIZATION] }] }] },
      { server: "ghcr.io" },
    ],
  });
  expect(fileAt("eks", KEYED, "user-data.txt")).toContain(`Authorization = "${AUTHORIZATION}"`);
});

test("nginx adds the key to every request that it passes on", () => {
  const text = String(fileAt("nginx", KEYED, "/etc/nginx/conf.d/portolan.conf"));
  const passed = text.match(/proxy_pass/g)?.length;
  expect(text.split(`proxy_set_header Authorization "${AUTHORIZATION}";`).length - 1).toBe(passed);
});

test("Harbor and Nexus have it as user and password", () => {
  expect(fileAt("harbor", KEYED, "portolan-registry-docker.json")).toMatchObject({
    credential: { type: "basic", access_key: "portolan", access_secret: KEY },
  });
  expect(fileAt("nexus", KEYED, "portolan-docker.json")).toMatchObject({
    httpClient: { authentication: { type: "username", ...auth } },
  });
});

test("registry:2 has a login where the mirror has host names, else the key in the path, where it sends none", () => {
  const proxy = (request: GuideRequest): unknown =>
    fileAt("registry", request, "/etc/docker-registry/portolan-docker.yml");
  expect(proxy(KEYED)).toMatchObject({ proxy: { remoteurl: "https://docker.example.com", ...auth } });
  for (const request of [WITHOUT_DOMAIN, { ...KEYED, shape: "prefix" } as const]) {
    const { proxy: remote } = proxy(request) as { proxy: unknown };
    expect(remote).toEqual({ remoteurl: `https://mirror.example.com/${KEY}/docker.io/` });
  }
});

describe.each(ALL_CLIENTS)("%s", (client: ClientName) => {
  const text = (request: GuideRequest): string => JSON.stringify(CLIENTS[client](request));

  test("says nothing of keys to an open mirror", () => {
    for (const from of [OPEN, LOCAL])
      expect(text(from)).not.toMatch(/\blogin --username|Authorization|auths/);
  });

  test("says something of the key to a keyed one", () => {
    if (client === "registry-behind") return;
    expect(text(KEYED)).not.toBe(text(OPEN));
  });
});
