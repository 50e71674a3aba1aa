/** Talos Linux: documents of the machine configuration. */
import { chooseShape, endpoint, namesOrAll } from "../addresses.ts";
import { exampleImage, type Guide, type GuideRequest, yaml } from "../guide.ts";
import { USER } from "../key.ts";

export function talos(request: GuideRequest): Guide {
  const { shape, notes } = chooseShape(request, ["ns", "path", "prefix", "host"]);
  const names = namesOrAll(request, shape);
  const overridePath = shape === "path" ? { overridePath: true } : {};
  const mirrors = names.map((name) => ({ name, url: endpoint(request, name, shape) }));
  const hosts = [...new Set(mirrors.map(({ url }) => new URL(url).host))];
  const { key } = request;
  const documents = [
    ...mirrors.map(({ name, url }) => ({
      apiVersion: "v1alpha1",
      kind: "RegistryMirrorConfig",
      name,
      endpoints: [{ url, ...overridePath }],
    })),
    ...(key === null
      ? []
      : hosts.map((name) => ({
          apiVersion: "v1alpha1",
          kind: "RegistryAuthConfig",
          name,
          username: USER,
          password: key,
        }))),
  ];
  const before = {
    machine: {
      registries: {
        mirrors: Object.fromEntries(
          mirrors.map(({ name, url }) => [name, { endpoints: [url], ...overridePath }]),
        ),
        ...(key === null
          ? {}
          : {
              config: Object.fromEntries(
                hosts.map((host) => [host, { auth: { username: USER, password: key } }]),
              ),
            }),
      },
    },
  };
  const patch = yaml("portolan.yaml", ...documents);
  return {
    title: "Talos Linux",
    steps: [
      { text: "Talos 1.12 and later: write the mirrors into a patch.", file: patch },
      { text: "Talos before 1.12: write this patch instead.", file: yaml("portolan.yaml", before) },
      {
        text: "Apply it to the nodes. Nothing is restarted.",
        command: `talosctl patch machineconfig --nodes NODE --patch @${patch.path}`,
      },
      {
        text: "Pull as Kubernetes would.",
        command: `talosctl image pull --nodes NODE --namespace cri ${exampleImage(request)}`,
      },
    ],
    notes: [
      ...notes,
      "When the mirror fails, nodes fall back to the registry itself; `skipFallback: true` prevents that.",
      "Apply the same patch to the installer's configuration (`talosctl gen config --config-patch`), so that a new node pulls through the mirror from its first image on.",
    ],
  };
}
