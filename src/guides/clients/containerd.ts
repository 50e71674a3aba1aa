/** containerd as Kubernetes uses it: `config_path` in config.toml, in a table that depends on the version, and hosts.toml. */
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
        text: 'Tell containerd which folder contains the registry configuration; name one folder only. If config.toml already exists, keep its `version` and add only `config_path`, in that version\'s table: `[plugins."io.containerd.grpc.v1.cri".registry]` for version 2, which containerd 2 reads as well, and `[plugins."io.containerd.cri.v1.images".registry]` for later versions.',
        file: toml(CONFIG_TOML, settings),
      },
      ...fileSteps(files, "Configure the mirror. The file is read on every pull."),
      {
        text: "Restart containerd (only changes to `config.toml` need it), and pull as Kubernetes does.",
        command: `systemctl restart containerd\ncrictl pull ${exampleImage(request)}`,
      },
    ],
    notes: [
      ...notes,
      ...own,
      "containerd's CRI plugin doesn't start if `config_path` is combined with `registry.mirrors` or with TLS settings in `registry.configs`: move those into a hosts.toml for each registry.",
      'A config.toml with `disabled_plugins = ["cri"]` comes from Docker: that containerd doesn\'t serve Kubernetes, so configure Docker instead.',
      `\`ctr\` doesn't read this configuration: \`ctr images pull --hosts-dir ${CERTIFICATES} …\`.`,
    ],
  };
}
