/** Every address that a guide gives a client, put together as that client does it, against the mirror's own routing. */
import { describe, expect, test } from "vitest";
import { readConfig } from "../../src/config.ts";
import type { ClientName } from "../../src/guides/clients.ts";
import { type GuideRequest, SHAPES } from "../../src/guides/guide.ts";
import { route } from "../../src/route.ts";
import { commandsOf, fileAt, filesOf, LOCAL, notesOf, OPEN } from "./requests.ts";

const config = readConfig({ DOMAIN: "example.com" });
const PULL = "owner/image/manifests/latest";

/** The upstream and repository that a request reaches. */
function reached(url: string): string {
  const routed = route(new URL(url), config);
  if (routed.kind !== "target") return routed.kind;
  return `${routed.target.upstream.name}/${routed.target.repository}`;
}

/** By the registry's name, the URLs that a client requests `owner/image:latest` of it. */
type Asked = [registry: string, url: string][];

interface HostsToml {
  host: Record<string, { capabilities: string[]; override_path?: boolean }>;
}

/** containerd, for each hosts.toml: `/v2` is added unless `override_path`, and `ns` always (its docs/hosts.md). */
function askedByHostsToml(client: ClientName, request: GuideRequest): Asked {
  return filesOf(client, request).flatMap(({ path, says }) => {
    const [, registry] = /\/([^/]+)\/hosts\.toml$/.exec(path) ?? [];
    if (registry === undefined) return [];
    const names = registry === "_default" ? ["docker.io", "ghcr.io", "registry.k8s.io"] : [registry];
    return Object.entries((says as HostsToml).host).flatMap(([host, { override_path }]) =>
      names.map((name): [string, string] => [
        name,
        `${host}${override_path ? "" : "/v2"}/${PULL}?ns=${name}`,
      ]),
    );
  });
}

interface RegistriesYaml {
  mirrors: Record<string, { endpoint: string[] }>;
}

/** k3s, RKE2 and k3d: an endpoint's path is taken as it is, and one without a path gets `/v2`. */
function askedByRegistriesYaml(path: string): (client: ClientName, request: GuideRequest) => Asked {
  return (client, request) => {
    const { mirrors } = fileAt(client, request, path) as RegistriesYaml;
    return Object.entries(mirrors).flatMap(([name, { endpoint }]) =>
      endpoint.map((url): [string, string] => {
        const registry = name === "*" ? "ghcr.io" : name;
        return [registry, `${url}${new URL(url).pathname === "/" ? "/v2" : ""}/${PULL}?ns=${registry}`];
      }),
    );
  };
}

interface RegistriesConf {
  registry: { prefix: string; mirror: { location: string }[] }[];
}

function askedByRegistriesConf(client: ClientName, request: GuideRequest): Asked {
  const { registry } = fileAt(
    client,
    request,
    "/etc/containers/registries.conf.d/portolan.conf",
  ) as RegistriesConf;
  return registry.flatMap(({ prefix, mirror }) =>
    mirror.map(({ location }): [string, string] => [prefix, byReference(location)]),
  );
}

/** A reference's first part is the host, what follows is the repository. */
function byReference(location: string, query = ""): string {
  const [host = "", ...path] = location.split("/");
  return `https://${[host, "v2", ...path, PULL].join("/")}${query}`;
}

interface BuildkitdToml {
  registry: Record<string, { mirrors?: string[] }>;
}

function askedByBuildkit(client: ClientName, request: GuideRequest): Asked {
  const { registry } = fileAt(client, request, "/etc/buildkit/buildkitd.toml") as BuildkitdToml;
  return Object.entries(registry).flatMap(([name, { mirrors = [] }]) =>
    mirrors.map((mirror): [string, string] => [name, byReference(mirror, `?ns=${name}`)]),
  );
}

function askedByKaniko(client: ClientName, request: GuideRequest): Asked {
  return [...commandsOf(client, request).matchAll(/--registry-map=(\S+?)=(\S+)/g)].map(
    ([, name = "", place = ""]) => [name === "index.docker.io" ? "docker.io" : name, byReference(place)],
  );
}

interface TalosDocument {
  kind: string;
  name: string;
  endpoints: { url: string; overridePath?: boolean }[];
}

function askedByTalos(client: ClientName, request: GuideRequest): Asked {
  const [documents] = filesOf(client, request);
  return [documents?.says].flat().flatMap((document) => {
    const { name, endpoints } = document as TalosDocument;
    const registry = name === "*" ? "ghcr.io" : name;
    return endpoints.map(({ url, overridePath }): [string, string] => [
      registry,
      `${url}${overridePath ? "" : "/v2"}/${PULL}?ns=${registry}`,
    ]);
  });
}

interface Bottlerocket {
  settings: { "container-registry": { mirrors: { registry: string; endpoint: string[] }[] } };
}

function askedByBottlerocket(client: ClientName, request: GuideRequest): Asked {
  const { settings } = fileAt(client, request, "user-data.toml") as Bottlerocket;
  return settings["container-registry"].mirrors.flatMap(({ registry, endpoint }) =>
    endpoint.map((url): [string, string] => {
      const name = registry === "*" ? "ghcr.io" : registry;
      return [name, `${url}${new URL(url).pathname === "/" ? "/v2" : ""}/${PULL}?ns=${name}`];
    }),
  );
}

interface Gke {
  registryHosts: { server: string; hosts: { host: string; overridePath?: boolean }[] }[];
}

function askedByGke(client: ClientName, request: GuideRequest): Asked {
  const { registryHosts } = fileAt(client, request, "containerd-configuration.yaml") as Gke;
  return registryHosts.flatMap(({ server, hosts }) =>
    hosts.map(({ host, overridePath }): [string, string] => {
      const url = host.includes("://") ? host : `https://${host}`;
      return [server, `${url}${overridePath ? "" : "/v2"}/${PULL}?ns=${server}`];
    }),
  );
}

/** Programs that take a registry's base URL and add `/v2/…` to it. */
function askedByBaseUrl(
  read: (says: unknown) => string,
): (client: ClientName, request: GuideRequest) => Asked {
  return (client, request) =>
    filesOf(client, request).map(({ says }, index) => [
      request.upstreams?.[index] ?? "",
      `${read(says).replace(/\/$/, "")}/v2/${PULL}`,
    ]);
}

const REQUESTED: [ClientName, (client: ClientName, request: GuideRequest) => Asked][] = [
  ["containerd-1", askedByHostsToml],
  ["containerd-2", askedByHostsToml],
  ["docker-containerd", askedByHostsToml],
  ["nerdctl", askedByHostsToml],
  ["kind", askedByHostsToml],
  ["minikube", askedByHostsToml],
  ["k3s", askedByRegistriesYaml("/etc/rancher/k3s/registries.yaml")],
  ["rke2", askedByRegistriesYaml("/etc/rancher/rke2/registries.yaml")],
  ["k3d", askedByRegistriesYaml("portolan-registries.yaml")],
  ["podman", askedByRegistriesConf],
  ["cri-o", askedByRegistriesConf],
  ["buildkit", askedByBuildkit],
  ["kaniko", askedByKaniko],
  ["talos", askedByTalos],
  ["bottlerocket", askedByBottlerocket],
  ["gke", askedByGke],
  ["harbor", askedByBaseUrl((says) => (says as { url: string }).url)],
  ["nexus", askedByBaseUrl((says) => (says as { proxy: { remoteUrl: string } }).proxy.remoteUrl)],
  ["registry", askedByBaseUrl((says) => (says as { proxy: { remoteurl: string } }).proxy.remoteurl)],
];

const UPSTREAMS = ["docker.io", "ghcr.io", "registry.k8s.io", "us-docker.pkg.dev"];

/** In a path kaniko takes no dot, and a family's member has no name without one: it needs the host form. */
function mappable(client: ClientName, { domain, shape }: GuideRequest): string[] {
  const byPath = client === "kaniko" && (domain === null || shape === "path");
  return byPath ? UPSTREAMS.filter((name) => name !== "us-docker.pkg.dev") : UPSTREAMS;
}

describe.each(REQUESTED)("%s", (client, requested) => {
  test.each([null, ...SHAPES])("is led to each registry it requests, in the form %s", (shape) => {
    for (const from of [OPEN, LOCAL]) {
      const requests = requested(client, { ...from, shape, upstreams: UPSTREAMS });
      expect(requests.map(([name]) => name)).toEqual(mappable(client, { ...from, shape }));
      for (const [name, url] of requests) expect(reached(url), url).toBe(`${name}/owner/image`);
    }
  });

  test("gets every registry when none is named", () => {
    if (["harbor", "nexus", "registry"].includes(client)) return;
    const requests = requested(client, { ...OPEN, upstreams: null });
    expect(requests.map(([name]) => name)).toContain("ghcr.io");
    for (const [name, url] of requests) expect(reached(url), url).toBe(`${name}/owner/image`);
  });
});

test("kaniko reaches a family's member under DOMAIN, and its guide says so where there is none", () => {
  const upstreams = ["ghcr.io", "us-docker.pkg.dev"];
  const requests = askedByKaniko("kaniko", { ...OPEN, domain: "example.com", upstreams });
  expect(requests.map(([, url]) => reached(url))).toEqual(upstreams.map((name) => `${name}/owner/image`));
  expect(notesOf("kaniko", { ...OPEN, domain: null, upstreams })).toContain(
    "us-docker.pkg.dev has no name with hyphens",
  );
});

describe("dockerd", () => {
  const servicesOf = (request: GuideRequest): string => {
    const settings = fileAt("docker", request, "/etc/docker/daemon.json") as { "registry-mirrors": string[] };
    return settings["registry-mirrors"][0] ?? "";
  };

  test.each([null, ...SHAPES])("is led to docker.io, in the form %s", (shape) => {
    for (const from of [OPEN, LOCAL]) {
      const url = `${servicesOf({ ...from, shape })}/v2/library/alpine/manifests/latest`;
      expect(reached(url), url).toBe("docker.io/library/alpine");
    }
  });

  test("gets no path that it wasn't requested to take, because before 24.0.8 it refuses one", () => {
    for (const shape of [null, "host", "path", "ns"] as const) {
      expect(new URL(servicesOf({ ...OPEN, shape })).pathname).toBe("/");
      expect(new URL(servicesOf({ ...LOCAL, shape })).pathname).toBe("/");
    }
  });

  test("is given no mirror when docker.io isn't among the registries requested", () => {
    expect(filesOf("docker", { ...OPEN, upstreams: ["ghcr.io"] })).toEqual([]);
  });

  test("in GitLab and minikube is given the same mirror", () => {
    expect(commandsOf("minikube", OPEN)).toContain(`--registry-mirror=${servicesOf(OPEN)}\n`);
    const pipeline = JSON.stringify(fileAt("gitlab-dind", OPEN, ".gitlab-ci.yml"));
    expect(pipeline).toContain(JSON.stringify(["--registry-mirror", servicesOf(OPEN)]));
  });
});

test("minikube's option carries no path, not even in the form that has one", () => {
  for (const shape of SHAPES) {
    expect(commandsOf("minikube", { ...OPEN, shape })).toContain(
      "--registry-mirror=https://docker.example.com\n",
    );
  }
});

test("nodes that are containers aren't sent to their own loopback address", () => {
  for (const client of ["k3d", "kind", "minikube"] as const) {
    const text = JSON.stringify(filesOf(client, LOCAL)) + commandsOf(client, LOCAL);
    expect(text).not.toContain("127.0.0.1");
    expect(commandsOf(client, LOCAL)).toContain(
      "npm start -- --host 172.17.0.1 --port 8787 --var ACCESS=open",
    );
  }
});

test("a form that a client can't carry isn't used, and a note says so", () => {
  const requested: GuideRequest = { ...OPEN, shape: "ns" };
  expect(filesOf("podman", requested)).toEqual(filesOf("podman", OPEN));
  expect(notesOf("podman", requested)).toContain(
    "This client can't use the ns form, so the path form is used.",
  );
});

test("the host form isn't used without a DOMAIN, and a note says so", () => {
  const requested: GuideRequest = { ...LOCAL, shape: "host" };
  expect(filesOf("k3s", requested)).toEqual(filesOf("k3s", LOCAL));
  expect(notesOf("k3s", requested)).toContain("The host form needs the mirror's DOMAIN");
});
