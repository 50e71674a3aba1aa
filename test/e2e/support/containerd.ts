// containerd as an own process with a hosts.toml per registry, on a private root; pulled with its `ctr`.
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Client, field, text } from "./client.ts";
import { CLIENT_DEADLINE, type Daemon, isolated, run, startDaemon, workspace } from "./process.ts";

export interface Containerd extends Client {
  /** Replaces hosts.toml, as the parameter of `startContainerd` says it. */
  configure(hostsToml: Record<string, string>): Promise<void>;
  /** Pushes the amd64 platform of an image that it has pulled. */
  push(source: string, target: string): Promise<void>;
}

/**
 * @param hostsToml the text of hosts.toml by the name of its folder: a registry's name or `_default`
 */
export async function startContainerd(
  hostsToml: Record<string, string>,
  environment: Record<string, string> = {},
): Promise<Containerd> {
  const { folder, hosts, remove } = await workspace("containerd");
  const socket = join(folder, "containerd.sock");
  const certificates = join(folder, "certs.d");
  const configure = async (texts: Record<string, string>): Promise<void> => {
    for (const [name, content] of Object.entries(texts)) {
      await mkdir(join(certificates, name), { recursive: true });
      await writeFile(join(certificates, name, "hosts.toml"), content);
    }
  };
  await configure(hostsToml);
  const config = join(folder, "config.toml");
  await writeFile(
    config,
    `version = 2
root = ${JSON.stringify(join(folder, "root"))}
state = ${JSON.stringify(join(folder, "state"))}
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = ${JSON.stringify(socket)}
`,
  );
  // ctr itself asks the registry, so it needs the hosts file as much as the daemon does.
  const ctr = (...rest: string[]): Promise<string> =>
    run(isolated(hosts, ["ctr", "--address", socket, ...rest]), { deadline: CLIENT_DEADLINE, environment });

  const start = (): Promise<Daemon> =>
    startDaemon({
      name: "containerd",
      folder,
      command: isolated(hosts, ["containerd", "--config", config]),
      ready: async () => (await ctr("version")) !== "",
    });

  const platform = "linux/amd64";
  let daemon = await start();
  let containers = 0;
  return {
    pull: async (reference) => {
      await ctr(
        ...["images", "pull", "--snapshotter", "native", "--platform", platform],
        ...["--hosts-dir", certificates, reference],
      );
      const listed = await ctr("images", "list", `name==${reference}`);
      const digest = /\bsha256:[0-9a-f]{64}\b/.exec(listed)?.[0] ?? "";
      const top: unknown = JSON.parse(await ctr("content", "get", digest));
      const manifests = field(top, "manifests");
      const chosen = Array.isArray(manifests)
        ? manifests.find((each) => field(each, "platform", "architecture") === "amd64")
        : null;
      const manifest: unknown = chosen
        ? JSON.parse(await ctr("content", "get", text(chosen, "digest")))
        : top;
      return { digest, config: text(manifest, "config", "digest") };
    },
    push: async (source, target) => {
      await ctr("images", "tag", "--force", source, target);
      await ctr("images", "push", "--platform", platform, "--hosts-dir", certificates, target);
    },
    run: async (reference) => {
      containers += 1;
      // `ctr run` wants the command in full: an image's entry point only counts if none is given.
      const fifos = join(folder, "fifos");
      const printed = await ctr(
        ...["run", "--rm", "--snapshotter", "native", "--platform", platform, "--fifo-dir", fifos],
        ...[reference, `check-${containers}`],
      );
      return printed.trim();
    },
    configure,
    // Content is shared by all of containerd's namespaces, so only a new root is a cold one.
    clean: async () => {
      await daemon.stop();
      for (const each of ["root", "state"]) await rm(join(folder, each), { recursive: true, force: true });
      daemon = await start();
    },
    stop: async () => {
      await daemon.stop();
      await remove();
    },
  };
}
