/** k3s and RKE2: registries.yaml, from which they write containerd's configuration when they start. */
import { chooseShape, endpoint, namesOrAll } from "../addresses.ts";
import { exampleImage, type Guide, type GuideFile, type GuideRequest, yaml } from "../guide.ts";
import { USER } from "../key.ts";

export function k3s(request: GuideRequest): Guide {
  return server(request, "k3s", "k3s");
}

export function rke2(request: GuideRequest): Guide {
  return server(request, "RKE2", "rke2");
}

function server(request: GuideRequest, name: string, program: string): Guide {
  const { file, notes } = registriesYaml(request, `/etc/rancher/${program}/registries.yaml`);
  return {
    title: name,
    steps: [
      { text: "Write this on every node, servers and agents alike.", file },
      {
        text: "Restart the service on each node; on agents it has a different name.",
        command:
          program === "k3s"
            ? "systemctl restart k3s # or k3s-agent"
            : "systemctl restart rke2-server # or rke2-agent",
      },
      {
        text: "Check the result, and pull.",
        command: `ls /var/lib/rancher/${program}/agent/etc/containerd/certs.d\ncrictl pull ${exampleImage(request)}`,
      },
    ],
    notes,
  };
}

/** The file as k3s, RKE2 and k3d read it. */
export function registriesYaml(request: GuideRequest, path: string): { file: GuideFile; notes: string[] } {
  const { shape, notes } = chooseShape(request, ["ns", "path", "host"]);
  const names = namesOrAll(request, shape);
  const endpoints = names.map((name) => [name, endpoint(request, name, shape)] as const);
  const mirrors = Object.fromEntries(endpoints.map(([name, url]) => [name, { endpoint: [url] }]));
  const file = yaml(path, {
    mirrors,
    ...credentials(
      request,
      endpoints.map(([, url]) => url),
    ),
  });
  return {
    file,
    notes: [
      ...notes,
      ...(names[0] === "*" ? ["`*` stands for every registry that has no entry of its own."] : []),
      ...(shape === "path" ? ["An endpoint with a path must contain `/v2`."] : []),
      "When the mirror fails, containerd falls back to the registry itself. `--disable-default-registry-endpoint` prevents that.",
    ],
  };
}

/** k3s looks logins up by the endpoint's host and port. */
function credentials({ key }: GuideRequest, endpoints: readonly string[]): object {
  if (key === null) return {};
  const hosts = [...new Set(endpoints.map((url) => new URL(url).host))];
  return {
    configs: Object.fromEntries(hosts.map((host) => [host, { auth: { username: USER, password: key } }])),
  };
}
