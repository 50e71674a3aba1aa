// containerd with its plugin for Kubernetes, which alone reads `config_path`, and pulled by the kubelet's own call.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Held, text } from "./client.ts";
import { criPull } from "./cri.ts";
import { CLIENT_DEADLINE, isolated, run, startDaemon, workspace } from "./process.ts";

export interface CriContainerd {
  pull(reference: string): Promise<Held>;
  stop(): Promise<void>;
}

/** Binds the written folder over the one that its `config_path` names, and goes on with the command. */
const BOUND = 'mount --bind "$0" /etc/containerd && exec "$@"';

/** @param configure puts the mirror into the configuration of the machine whose root it is given */
export async function startCriContainerd(configure: (root: string) => Promise<void>): Promise<CriContainerd> {
  const { folder, hosts, remove } = await workspace("cri-containerd");
  const socket = join(folder, "containerd.sock");
  const settings = join(folder, "etc/containerd");
  await mkdir(settings, { recursive: true });
  await writeFile(join(settings, "config.toml"), before(folder, socket));
  await configure(folder);
  const ctr = (...rest: string[]): Promise<string> =>
    run(["ctr", "--address", socket, "--namespace", "k8s.io", ...rest], { deadline: CLIENT_DEADLINE });
  const daemon = await startDaemon({
    name: "cri-containerd",
    folder,
    command: isolated(hosts, ["sh", "-c", BOUND, settings, "containerd"]),
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

/** What a node has in its config.toml before anyone thinks of mirrors. */
function before(folder: string, socket: string): string {
  return `version = 2
root = ${JSON.stringify(join(folder, "root"))}
state = ${JSON.stringify(join(folder, "state"))}
oom_score = 0

[grpc]
  address = ${JSON.stringify(socket)}

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "registry.k8s.io/pause:3.10"

[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "native"
`;
}
