/** containerd as Kubernetes uses it: `config_path` in config.toml, at a place that differs by version, and hosts.toml. */
import { exampleImage, fileSteps, type Guide, type GuideRequest, toml } from "../guide.ts";
import { hostsFiles, REFERRERS } from "../hosts-toml.ts";

export const CONFIG_TOML = "/etc/containerd/config.toml";
export const CERTIFICATES = "/etc/containerd/certs.d";

interface Version {
  title: string;
  /** Of config.toml's format. */
  format: number;
  /** The plugin whose section holds `registry`. */
  plugin: string;
  notes: readonly string[];
}

const VERSION_1: Version = {
  title: "containerd 1.x",
  format: 2,
  plugin: "io.containerd.grpc.v1.cri",
  notes: [],
};
const VERSION_2: Version = {
  title: "containerd 2.x",
  format: 3,
  plugin: "io.containerd.cri.v1.images",
  notes: [REFERRERS],
};

export function containerd1(request: GuideRequest): Guide {
  return containerd(request, VERSION_1);
}

export function containerd2(request: GuideRequest): Guide {
  return containerd(request, VERSION_2);
}

function containerd(request: GuideRequest, { title, format, plugin, notes: own }: Version): Guide {
  const { files, notes } = hostsFiles(request, CERTIFICATES);
  const settings = { version: format, plugins: { [plugin]: { registry: { config_path: CERTIFICATES } } } };
  return {
    title,
    steps: [
      {
        text: 'Tell containerd which folder has the settings of registries; name one folder only. If there is a config.toml already, keep its `version` and add just `config_path`, in that version\'s table: version 2 has `[plugins."io.containerd.grpc.v1.cri".registry]`, which containerd 2 reads as well, later ones have `[plugins."io.containerd.cri.v1.images".registry]`.',
        file: toml(CONFIG_TOML, settings),
      },
      ...fileSteps(files, "Name the mirror. The file is read with every pull."),
      {
        text: "Restart containerd, which is needed for `config.toml` only, and pull as Kubernetes does.",
        command: `systemctl restart containerd\ncrictl pull ${exampleImage(request)}`,
      },
    ],
    notes: [
      ...notes,
      ...own,
      "containerd's plugin for Kubernetes doesn't start with `registry.mirrors`, or TLS settings in `registry.configs`, beside `config_path`: move them into a hosts.toml for each registry.",
      'A config.toml with `disabled_plugins = ["cri"]` is Docker\'s own: that containerd serves no Kubernetes, so set up Docker instead.',
      `\`ctr\` doesn't read this configuration: \`ctr images pull --hosts-dir ${CERTIFICATES} …\`.`,
    ],
  };
}
