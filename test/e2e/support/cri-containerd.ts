// containerd with its plugin for Kubernetes, which alone reads `config_path`, and pulled by the kubelet's own call.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type PulledImage, text } from "./client.ts";
import { criPull } from "./cri.ts";
import { CLIENT_DEADLINE, isolated, run, startDaemon, workspace } from "./process.ts";

export interface CriContainerd {
  pull(reference: string): Promise<PulledImage>;
  stop(): Promise<void>;
}

export interface CriOptions {
  /** The program, by its path or name. */
  program?: string;
  /** The config.toml that the node has before anyone thinks of mirrors; null for none. */
  before?: string | null;
  /** Puts the mirror into the configuration of the machine whose root it is given. */
  configure: (root: string) => Promise<void>;
}

/** Binds the written folder over the one that its `config_path` names, and goes on with the command. */
const BOUND = 'mount --bind "$0" /etc/containerd && exec "$@"';

export async function startCriContainerd(options: CriOptions): Promise<CriContainerd> {
  const { program = "containerd", before = NODE, configure } = options;
  const { folder, hosts, remove } = await workspace("cri-containerd");
  const socket = join(folder, "containerd.sock");
  const settings = join(folder, "etc/containerd");
  await mkdir(settings, { recursive: true });
  if (before !== null) await writeFile(join(settings, "config.toml"), withNativeSnapshotter(before));
  await configure(folder);
  const ctr = (...rest: string[]): Promise<string> =>
    run(["ctr", "--address", socket, "--namespace", "k8s.io", ...rest], { deadline: CLIENT_DEADLINE });
  const places = ["--root", join(folder, "root"), "--state", join(folder, "state"), "--address", socket];
  const daemon = await startDaemon({
    name: "cri-containerd",
    folder,
    command: isolated(hosts, ["sh", "-c", BOUND, settings, program, ...places]),
    ready: async () => (await ctr("version")) !== "",
  });
  return {
    pull: async (reference) => {
      await criPull(socket, reference);
      const listed = await ctr("images", "list", `name==${reference}`);
      const digest = /\bsha256:[0-9a-f]{64}\b/.exec(listed)?.[0] ?? "";
      const { manifests } = JSON.parse(await ctr("content", "get", digest)) as {
        manifests: { digest: string; platform: { architecture: string } }[];
      };
      const chosen = manifests.find(({ platform }) => platform.architecture === "amd64")?.digest ?? "";
      return { digest, config: text(JSON.parse(await ctr("content", "get", chosen)), "config", "digest") };
    },
    stop: async () => {
      await daemon.stop();
      await remove();
    },
  };
}

/** The snapshotter that works on whatever file system the tests run on, for the CRI plugin and the transfer service. */
function withNativeSnapshotter(config: string): string {
  const native = config.replaceAll(/(snapshotter = )["']overlayfs["']/g, '$1"native"');
  return native.replace(
    /^ *\[plugins\.'io\.containerd\.transfer\.v1\.local'\]$/m,
    '$&\n    unpack_config = [{ platform = "linux/amd64", snapshotter = "native" }]',
  );
}

/** What a node has in its config.toml. */
export const NODE = `version = 2
oom_score = 0

# of the cluster's administrator
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "registry.k8s.io/pause:3.10"

[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "overlayfs"
`;
