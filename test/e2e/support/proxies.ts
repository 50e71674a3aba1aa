// Debian's docker-registry by configurations as they were written, each proxying one registry from the mirror.
import { join } from "node:path";
import { freePort, isolated, startDaemon, workspace } from "./process.ts";

export interface Proxies {
  urls: string[];
  stop(): Promise<void>;
}

/**
 * @param root that contains the configurations
 * @param names as in `portolan-NAME.yml`
 */
export async function startProxies(root: string, names: readonly string[]): Promise<Proxies> {
  const { folder, hosts, remove } = await workspace("proxies");
  const started = await Promise.all(
    names.map(async (name) => {
      const url = `http://127.0.0.1:${await freePort()}`;
      const file = join(root, `etc/docker-registry/portolan-${name}.yml`);
      const daemon = await startDaemon({
        name: `proxy-${name}`,
        folder,
        command: isolated(hosts, ["docker-registry", "serve", file]),
        environment: {
          // Its own way to put other values in a file's place: the file stays as it was written.
          REGISTRY_HTTP_ADDR: new URL(url).host,
          REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY: join(folder, name),
        },
        ready: async () => (await fetch(`${url}/v2/`)).ok,
      });
      return { url, daemon };
    }),
  );
  return {
    urls: started.map(({ url }) => url),
    stop: async () => {
      for (const { daemon } of started) await daemon.stop();
      await remove();
    },
  };
}
