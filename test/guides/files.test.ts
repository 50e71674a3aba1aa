/** What guides write besides addresses and keys: each client's own words, in its own format. */
import { parse as parseToml } from "smol-toml";
import { describe, expect, test } from "vitest";
import { parse as parseYaml } from "yaml";
import { CLIENTS, clientNamed } from "../../src/guides/clients.ts";
import { type GuideRequest, SHAPES } from "../../src/guides/guide.ts";
import { ALL_CLIENTS, commandsOf, fileAt, filesOf, KEY, LOCAL, notesOf, OPEN } from "./requests.ts";

/** Without TLS, and not on this machine. */
const PLAIN: GuideRequest = { ...LOCAL, mirror: new URL("http://192.168.1.10:8787") };

describe.each(ALL_CLIENTS)("%s", (client) => {
  test("has files of the format they say, whatever is requested", () => {
    for (const from of [OPEN, LOCAL, PLAIN]) {
      for (const shape of [null, ...SHAPES]) {
        for (const key of [null, KEY]) {
          for (const upstreams of [null, ["docker.io"], ["registry.corp.example"]]) {
            // Reading them throws if they aren't.
            filesOf(client, { ...from, shape, key, upstreams });
          }
        }
      }
    }
  });

  test("says something to do, in sentences", () => {
    const { title, steps, notes } = CLIENTS[client](OPEN);
    expect(title).not.toBe("");
    expect(steps.length).toBeGreaterThan(0);
    for (const text of [...steps.map((step) => step.text), ...notes])
      expect(text).toMatch(/^[A-Z`….a-z].*[.:)]$/s);
  });
});

test("clients are found by other names of theirs, and nothing by a name that every object has", () => {
  expect(clientNamed("containerd")).toBe("containerd-2");
  expect(clientNamed("skopeo")).toBe("podman");
  expect(clientNamed("constructor")).toBeNull();
  expect(clientNamed("toString")).toBeNull();
});

describe("containerd's config.toml", () => {
  const read = (client: "containerd-1" | "containerd-2"): unknown =>
    fileAt(client, OPEN, "/etc/containerd/config.toml");
  const registry = { config_path: "/etc/containerd/certs.d" };

  test("1.x has config_path under the CRI plugin", () => {
    expect(read("containerd-1")).toEqual({
      version: 2,
      plugins: { "io.containerd.grpc.v1.cri": { registry } },
    });
  });

  test("2.x has it under the plugin for images", () => {
    expect(read("containerd-2")).toEqual({
      version: 3,
      plugins: { "io.containerd.cri.v1.images": { registry } },
    });
  });
});

describe("hosts.toml", () => {
  const hosts = (request: GuideRequest): Record<string, unknown> =>
    Object.fromEntries(
      filesOf("containerd-2", request)
        .filter(({ path }) => path.endsWith("/hosts.toml"))
        .map(({ path, says }) => [path, says]),
    );

  test("is one file for all registries when none is named", () => {
    expect(hosts({ ...OPEN, upstreams: null })).toEqual({
      "/etc/containerd/certs.d/_default/hosts.toml": {
        host: { "https://mirror.example.com": { capabilities: ["pull", "resolve"], dial_timeout: "3s" } },
      },
    });
  });

  test("names the registry itself as where to go when the mirror fails", () => {
    expect(hosts({ ...OPEN, shape: "path" })).toEqual({
      "/etc/containerd/certs.d/docker.io/hosts.toml": {
        server: "https://registry-1.docker.io",
        host: {
          "https://mirror.example.com/v2/docker.io": {
            capabilities: ["pull", "resolve"],
            dial_timeout: "3s",
            override_path: true,
          },
        },
      },
      "/etc/containerd/certs.d/ghcr.io/hosts.toml": {
        server: "https://ghcr.io",
        host: {
          "https://mirror.example.com/v2/ghcr.io": {
            capabilities: ["pull", "resolve"],
            dial_timeout: "3s",
            override_path: true,
          },
        },
      },
    });
  });

  test("is never the one for all registries with dockerd, which doesn't read that", () => {
    const paths = filesOf("docker-containerd", { ...OPEN, upstreams: null }).map(({ path }) => path);
    expect(paths).toContain("/etc/docker/certs.d/ghcr.io/hosts.toml");
    expect(paths.join()).not.toContain("_default");
  });

  test("in EKS's user data is the very file, made by the shell", () => {
    const data = String(fileAt("eks", { ...OPEN, upstreams: null }, "user-data.txt"));
    const [, content] = /<<'EOF'\n(.*?)EOF\n/s.exec(data) ?? [];
    const [file] = CLIENTS["containerd-2"]({ ...OPEN, upstreams: null }).steps.flatMap((step) =>
      step.file?.path.endsWith("hosts.toml") ? [step.file] : [],
    );
    expect(content).toBe(file?.content);
    expect(data).toContain(`cat > ${file?.path} <<'EOF'`);
  });
});

test("k3s stands for all registries by one entry when none is named", () => {
  expect(fileAt("k3s", { ...OPEN, upstreams: null }, "/etc/rancher/k3s/registries.yaml")).toEqual({
    mirrors: { "*": { endpoint: ["https://mirror.example.com"] } },
  });
});

describe("a mirror without TLS", () => {
  test("is insecure to Docker, except on loopback, which is so by itself", () => {
    const read = (request: GuideRequest): unknown => fileAt("docker", request, "/etc/docker/daemon.json");
    expect(read(PLAIN)).toEqual({
      "registry-mirrors": ["http://192.168.1.10:8787"],
      "insecure-registries": ["192.168.1.10:8787"],
    });
    expect(read(LOCAL)).toEqual({ "registry-mirrors": ["http://127.0.0.1:8787"] });
  });

  test("is insecure to podman, even on loopback", () => {
    expect(fileAt("podman", LOCAL, "/etc/containers/registries.conf.d/portolan.conf")).toMatchObject({
      registry: [
        { prefix: "docker.io", location: "docker.io", mirror: [{ insecure: true }] },
        { prefix: "ghcr.io", location: "ghcr.io", mirror: [{ insecure: true }] },
      ],
    });
    expect(JSON.stringify(filesOf("podman", OPEN))).not.toContain("insecure");
  });

  test("is spoken to by http by BuildKit, for each of its hosts", () => {
    const read = (request: GuideRequest): unknown =>
      fileAt("buildkit", request, "/etc/buildkit/buildkitd.toml");
    expect(read(PLAIN)).toMatchObject({ registry: { "192.168.1.10:8787": { http: true } } });
    expect(read({ ...PLAIN, domain: "lan.example", shape: "host" })).toMatchObject({
      registry: { "docker.lan.example:8787": { http: true }, "ghcr.lan.example:8787": { http: true } },
    });
    expect(JSON.stringify(read(OPEN))).not.toContain("http");
  });

  test("is insecure to kaniko", () => {
    expect(commandsOf("kaniko", PLAIN)).toContain("--insecure-registry=192.168.1.10:8787");
    expect(commandsOf("kaniko", OPEN)).not.toContain("insecure");
  });
});

test("kaniko's name for docker.io is the one that its map can match", () => {
  expect(commandsOf("kaniko", LOCAL)).toContain("--registry-map=index.docker.io=127.0.0.1:8787/docker-io");
  expect(commandsOf("kaniko", LOCAL)).not.toContain("--registry-map=docker.io");
});

test("a builder in a container shares the machine's network when the mirror is on loopback", () => {
  expect(commandsOf("buildkit", LOCAL)).toContain("--driver-opt network=host");
  expect(commandsOf("buildkit", OPEN)).not.toContain("network=host");
});

test("the workflow's builder has the same buildkitd.toml", () => {
  const [{ file } = {}] = CLIENTS.buildkit(OPEN).steps;
  const workflow = fileAt("buildx-action", OPEN, ".github/workflows/build.yml");
  expect(workflow).toMatchObject({
    jobs: {
      build: { steps: [{}, { with: { "buildkitd-config-inline": file?.content } }, {}] },
    },
  });
});

test("Talos has the same settings in both of its forms", () => {
  const [documents, before] = filesOf("talos", { ...OPEN, shape: "path" });
  expect(documents?.says).toEqual(
    ["docker.io", "ghcr.io"].map((name) => ({
      apiVersion: "v1alpha1",
      kind: "RegistryMirrorConfig",
      name,
      endpoints: [{ url: `https://mirror.example.com/v2/${name}`, overridePath: true }],
    })),
  );
  expect(before?.says).toMatchObject({
    machine: {
      registries: {
        mirrors: { "ghcr.io": { endpoints: ["https://mirror.example.com/v2/ghcr.io"], overridePath: true } },
      },
    },
  });
});

test("kind mounts the folder into which the hosts.toml goes", () => {
  const [hosts] = filesOf("kind", { ...OPEN, upstreams: null });
  const cluster = fileAt("kind", OPEN, "kind-portolan.yaml") as {
    nodes: { extraMounts: { hostPath: string; containerPath: string }[] }[];
  };
  const mount = cluster.nodes[0]?.extraMounts[0];
  expect(hosts?.path).toBe(`${mount?.hostPath}/_default/hosts.toml`);
  expect(mount?.containerPath).toBe("/etc/containerd/certs.d");
});

describe("nginx", () => {
  const fileOf = (request: GuideRequest): string =>
    String(fileAt("nginx", request, "/etc/nginx/conf.d/portolan.conf"));

  test.each([
    ["of this machine", LOCAL],
    ["elsewhere", OPEN],
  ])("has every setting within its servers, for a mirror %s", (_, request) => {
    const outside = fileOf(request).replaceAll(/^server \{\n.*?^\}$/gms, "");
    expect(outside.trim()).toBe("");
  });

  test("passes a mirror of this machine the client's own host with its port, and that TLS was spoken", () => {
    const request = { ...LOCAL, domain: "example.com" };
    expect(fileOf(request)).toContain("server_name mirror.example.com docker.example.com ghcr.example.com;");
    expect(fileOf(request)).toContain("proxy_set_header Host $http_host;");
    expect(fileOf(request)).toContain("proxy_set_header X-Forwarded-Proto $scheme;");
    expect(commandsOf("nginx", request)).toContain("npm start -- --port 8787 --var DOMAIN=example.com");
  });

  test("asks another mirror by its own name, in the path of each registry", () => {
    expect(fileOf(OPEN)).toContain("proxy_pass https://mirror.example.com/ghcr.io/v2/;");
    expect(fileOf(OPEN)).not.toContain("$http_host");
    expect(notesOf("nginx", OPEN)).toContain("--key-file");
  });
});

test.each(["nginx", "kaniko", "podman", "cri-o", "buildkit", "docker-containerd"] as const)(
  "%s has the registries that most people use when none is named, and says how to name others",
  (client) => {
    const all = { ...LOCAL, domain: "example.com", upstreams: null };
    const text = JSON.stringify(CLIENTS[client](all));
    for (const label of ["docker", "ghcr", "quay"]) expect(text).toContain(label);
    expect(text).not.toMatch(/opensuse|cloudsmith|codeberg|ollama/);
    expect(notesOf(client, all)).toContain("`--upstream docker.io,nvcr.io`");
    expect(notesOf(client, OPEN)).not.toContain("--upstream docker.io,nvcr.io");
  },
);

describe("EKS", () => {
  test("has containerd look into one folder, by a NodeConfig", () => {
    const data = String(fileAt("eks", OPEN, "user-data.txt"));
    const [, node = ""] = /application\/node\.eks\.aws\n\n(.*?)\n--\/\//s.exec(data) ?? [];
    const { kind, spec } = parseYaml(node) as { kind: string; spec: { containerd: { config: string } } };
    expect(kind).toBe("NodeConfig");
    expect(parseToml(spec.containerd.config)).toEqual({
      plugins: { "io.containerd.cri.v1.images": { registry: { config_path: "/etc/containerd/certs.d" } } },
    });
  });
});

test("Docker is reloaded, which stops no container", () => {
  expect(commandsOf("docker", OPEN)).toContain("systemctl reload docker");
  expect(commandsOf("docker", OPEN)).not.toContain("restart");
});

test("k3d's own images of ghcr.io are named by the mirror", () => {
  expect(notesOf("k3d", OPEN)).toContain("K3D_IMAGE_TOOLS=mirror.example.com/ghcr.io/k3d-io/k3d-tools");
});

describe("Ollama's names have three parts", () => {
  test.each([
    ["with a DOMAIN", OPEN, "ollama pull ollama.example.com/library/llama3.2:1b"],
    ["without", { ...OPEN, domain: null }, "ollama pull mirror.example.com/registry-ollama-ai/llama3.2:1b"],
    ["without TLS", LOCAL, "ollama pull --insecure 127.0.0.1:8787/registry-ollama-ai/llama3.2:1b"],
    ["with a key", { ...OPEN, key: KEY }, `ollama pull ollama-${KEY}.example.com/library/llama3.2:1b`],
  ])("%s", (_, request, command) => {
    expect(commandsOf("ollama", request)).toContain(command);
  });

  test("so a key without a DOMAIN can't be carried", () => {
    const { steps } = CLIENTS.ollama({ ...OPEN, domain: null, key: KEY });
    expect(steps.map(({ text }) => text).join()).toContain("give the mirror a DOMAIN");
    expect(commandsOf("ollama", { ...OPEN, domain: null, key: KEY }).trim()).toBe("");
  });
});

describe("clients of artifacts", () => {
  test("name the mirror and the registry in each artifact's name", () => {
    const commands = commandsOf("artifacts", OPEN);
    expect(commands).toContain("--db-repository mirror.example.com/ghcr.io/aquasecurity/trivy-db:2");
    expect(commands).toContain("helm pull oci://mirror.example.com/ghcr.io/OWNER/CHART");
    expect(commands).toContain("HOMEBREW_ARTIFACT_DOMAIN=https://ghcr.example.com\n");
    expect(fileAt("artifacts", OPEN, "portolan-ocirepository.yaml")).toMatchObject({
      spec: { url: "oci://mirror.example.com/ghcr.io/OWNER/MANIFESTS" },
    });
    expect(fileAt("artifacts", OPEN, ".devcontainer/devcontainer.json")).toMatchObject({
      features: { "mirror.example.com/ghcr.io/devcontainers/features/node:1": {} },
    });
  });

  test("are found by the clients' own names", () => {
    for (const name of ["trivy", "helm", "flux", "opentofu", "devcontainers", "homebrew"]) {
      expect(clientNamed(name)).toBe("artifacts");
    }
  });

  test("have Homebrew ask a mirror without a DOMAIN by a path that its own begins with", () => {
    expect(commandsOf("artifacts", LOCAL)).toContain(
      "HOMEBREW_ARTIFACT_DOMAIN=http://127.0.0.1:8787/ghcr.io\n",
    );
  });
});

test("nginx is warned of names that lead it to itself", () => {
  expect(notesOf("nginx", OPEN)).toContain("The mirror is itself below example.com");
  expect(notesOf("nginx", { ...LOCAL, domain: "example.com" })).not.toContain("The mirror is itself");
});

test("registry:2 is configured with the address of npm start", () => {
  const files = filesOf("registry-behind", LOCAL).map(({ says }) => says) as { http: { addr: string } }[];
  for (const [index, name] of ["docker.io", "ghcr.io"].entries()) {
    expect(commandsOf("registry-behind", LOCAL)).toContain(
      `--upstream ${name}=http://${files[index]?.http.addr}`,
    );
  }
});

test("GKE is given no more registries than it takes", () => {
  const upstreams = Array.from({ length: 30 }, (_, index) => `r${index}.example.com`);
  const { registryHosts } = fileAt("gke", { ...OPEN, upstreams }, "containerd-configuration.yaml") as {
    registryHosts: unknown[];
  };
  expect(registryHosts.length).toBe(25);
  expect(notesOf("gke", { ...OPEN, upstreams })).toContain("25");
});
