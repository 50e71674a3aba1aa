// dockerd as an own process with `registry-mirrors`, on a private root, without any network of its own.
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Client, field, text } from "./client.ts";
import { CLIENT_DEADLINE, type Daemon, isolated, run, startDaemon, workspace } from "./process.ts";

export interface Dockerd extends Client {
  /** `docker login`; rejects where the login is refused. */
  login(host: string, username: string, password: string): Promise<void>;
  /** As in DOCKER_HOST. */
  socket: string;
  /** Any other command of `docker`. @param deadline milliseconds. @returns what it printed */
  command(args: readonly string[], deadline?: number): Promise<string>;
  /** Replaces the user's config.json, which contains logins. */
  configure(config: object): Promise<void>;
}

/**
 * @param mirror base URL, as in daemon.json's "registry-mirrors"
 * @param environment for dockerd itself
 */
export function startDockerd(mirror: string, environment: Record<string, string> = {}): Promise<Dockerd> {
  return startDockerdWith(["--registry-mirror", mirror], environment, [new URL(mirror).hostname]);
}

export interface DockerdKind {
  /** The namespaces, and the root, that it runs in. */
  isolate: typeof isolated;
  /** Options that choose how it stores images. */
  storage: readonly string[];
}

/** vfs works on every file system. */
const INSTALLED: DockerdKind = { isolate: isolated, storage: ["--storage-driver", "vfs"] };

/**
 * @param options that configure dockerd's mirror
 * @param names of the mirror besides those of process.ts
 * @param kind the machine's own one where it is left out
 */
export async function startDockerdWith(
  options: readonly string[],
  environment: Record<string, string> = {},
  names: readonly string[] = [],
  { isolate, storage }: DockerdKind = INSTALLED,
): Promise<Dockerd> {
  const { folder, hosts, remove } = await workspace("dockerd", names);
  const root = join(folder, "root");
  const socket = `unix://${join(folder, "docker.sock")}`;
  const command = (args: readonly string[], deadline = CLIENT_DEADLINE): Promise<string> =>
    run(["docker", "--host", socket, ...args], {
      deadline,
      // The builder that needs no plugin.
      environment: { HOME: join(folder, "home"), DOCKER_BUILDKIT: "0" },
    });
  const docker = (...rest: string[]): Promise<string> => command(rest);

  const start = (): Promise<Daemon> =>
    startDaemon({
      name: "dockerd",
      folder,
      command: isolate(hosts, [
        "dockerd",
        ...["--host", socket, ...options],
        ...["--data-root", root, "--exec-root", join(folder, "exec"), "--pidfile", join(folder, "pid")],
        // What needs kernel modules or the machine's network is left out.
        ...[...storage, "--bridge", "none", "--iptables=false", "--ip6tables=false"],
      ]),
      environment: { HOME: join(folder, "home"), ...environment },
      ready: async () => (await docker("version", "--format", "{{.Server.Version}}")) !== "",
    });

  let daemon = await start();
  return {
    socket,
    pull: async (reference) => {
      await docker("pull", "--quiet", reference);
      const image: unknown = JSON.parse(
        await docker("image", "inspect", "--format", "{{json .}}", reference),
      );
      const digest = text(image, "RepoDigests", 0).split("@")[1] ?? "";
      const id = text(image, "Id");
      return { digest, config: id === digest ? await configOf(root, digest) : id };
    },
    run: async (reference) =>
      (await docker("run", "--rm", "--pull", "never", "--network", "none", reference)).trim(),
    // `docker image rm` would leave what dockerd remembers about which layer came from where.
    clean: async () => {
      await daemon.stop();
      await rm(root, { recursive: true, force: true });
      daemon = await start();
    },
    login: async (host, username, password) => {
      await docker("login", "--username", username, "--password", password, host);
    },
    command,
    configure: async (config) => {
      const settings = join(folder, "home", ".docker");
      await mkdir(settings, { recursive: true });
      await writeFile(join(settings, "config.json"), JSON.stringify(config));
    },
    stop: async () => {
      await daemon.stop();
      await remove();
    },
  };
}

/** With containerd's image store, Docker calls the index or manifest an image's ID: its config is what the stored manifest names. */
async function configOf(root: string, top: string): Promise<string> {
  const read = async (digest: string): Promise<unknown> => {
    const path = join(
      root,
      "containerd/daemon/io.containerd.content.v1.content/blobs",
      digest.replace(":", "/"),
    );
    return JSON.parse(await readFile(path, "utf8"));
  };
  const content = await read(top);
  const manifests = field(content, "manifests");
  if (manifests === undefined) return text(content, "config", "digest");
  const chosen = (Array.isArray(manifests) ? manifests : []).find(
    (each) => field(each, "platform", "architecture") === "amd64",
  );
  return text(await read(text(chosen, "digest")), "config", "digest");
}
