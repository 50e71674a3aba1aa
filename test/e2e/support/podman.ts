// podman with a registries.conf of its own and a private storage root; it has no daemon.
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Client, text } from "./client.ts";
import { CLIENT_DEADLINE, isolated, run, workspace } from "./process.ts";

export interface Podman extends Client {
  /** `podman load` of a file. */
  load(file: string): Promise<void>;
}

/**
 * @param registriesConf the text of registries.conf
 * @param isolate the namespaces, and the root, that it runs in
 */
export async function startPodman(
  registriesConf: string,
  environment: Record<string, string> = {},
  isolate = isolated,
): Promise<Podman> {
  const { folder, hosts, remove } = await workspace("podman");
  const config = join(folder, "registries.conf");
  const policy = join(folder, "policy.json");
  await writeFile(config, registriesConf);
  await writeFile(policy, JSON.stringify({ default: [{ type: "insecureAcceptAnything" }] }));
  const folders = {
    root: join(folder, "root"),
    runroot: join(folder, "runroot"),
    tmpdir: join(folder, "tmp"),
  };
  const podman = (...rest: string[]): Promise<string> => {
    const storage = Object.entries(folders).flatMap(([option, path]) => [`--${option}`, path]);
    const runtime = ["--storage-driver", "vfs", "--runtime", "runc", "--cgroup-manager", "cgroupfs"];
    return run(isolate(hosts, ["podman", ...storage, ...runtime, ...rest]), {
      deadline: CLIENT_DEADLINE,
      environment: { HOME: join(folder, "home"), CONTAINERS_REGISTRIES_CONF: config, ...environment },
    });
  };
  const clean = async (): Promise<void> => {
    for (const each of Object.values(folders)) await rm(each, { recursive: true, force: true });
  };
  return {
    pull: async (reference) => {
      await podman("pull", "--quiet", "--signature-policy", policy, reference);
      const [image]: unknown[] = JSON.parse(await podman("image", "inspect", reference));
      const own = text(image, "Digest");
      // podman 5's own is the platform's manifest; the index is beside it.
      const isNewer = !/ [1-4]\./.test(await podman("--version"));
      const index = isNewer ? digestsOf(image).find((digest) => digest !== own) : undefined;
      return { digest: index ?? own, config: `sha256:${text(image, "Id")}` };
    },
    run: async (reference) => {
      // podman would raise these limits over what an unprivileged sandbox may have.
      const limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"];
      return (
        await podman("run", "--rm", "--pull", "never", "--network", "none", ...limits, reference)
      ).trim();
    },
    load: async (file) => {
      await podman("load", "--quiet", "--signature-policy", policy, "--input", file);
    },
    clean,
    stop: remove,
  };
}

/** Of all manifests that podman has of an image. */
function digestsOf(image: unknown): string[] {
  const named = (image as { RepoDigests?: string[] }).RepoDigests ?? [];
  return named.map((name) => name.replace(/^.*@/, ""));
}
