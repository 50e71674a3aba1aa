/** containerd as Kubernetes uses it: `config_path` in config.toml, at a place that differs by version, and hosts.toml. */
import { exampleImage, fileSteps, type Guide, type GuideRequest, toml } from "../guide.ts";
import { hostsFiles } from "../hosts-toml.ts";

export const CONFIG_TOML = "/etc/containerd/config.toml";
export const CERTIFICATES = "/etc/containerd/certs.d";

interface Version {
  title: string;
  /** Of config.toml's format. */
  format: number;
  /** The plugin whose section holds `registry`. */
  plugin: string;
}

const VERSION_1: Version = { title: "containerd 1.x", format: 2, plugin: "io.containerd.grpc.v1.cri" };
const VERSION_2: Version = { title: "containerd 2.x", format: 3, plugin: "io.containerd.cri.v1.images" };

export function containerd1(request: GuideRequest): Guide {
  return containerd(request, VERSION_1);
}

export function containerd2(request: GuideRequest): Guide {
  return containerd(request, VERSION_2);
}

function containerd(request: GuideRequest, { title, format, plugin }: Version): Guide {
  const { files, notes } = hostsFiles(request, CERTIFICATES);
  const settings = { version: format, plugins: { [plugin]: { registry: { config_path: CERTIFICATES } } } };
  return {
    title,
    steps: [
      {
        text: "Tell containerd where it finds what is said of registries. Where the file has `registry.mirrors` or `registry.configs`, take them out: containerd takes either those or `config_path`.",
        file: toml(CONFIG_TOML, settings),
      },
      ...fileSteps(files, "Name the mirror. It is read anew with every pull."),
      {
        text: "Restart containerd, which is needed for `config.toml` only, and pull as Kubernetes would.",
        command: `systemctl restart containerd\ncrictl pull ${exampleImage(request)}`,
      },
    ],
    notes: [
      ...notes,
      `\`ctr\` doesn't read this configuration: \`ctr images pull --hosts-dir ${CERTIFICATES} …\`.`,
    ],
  };
}
