// Mirrors with hosted repositories, in a folder of their own with what clients need.
import { join } from "node:path";
import { type RunningMirror, startMirror } from "../../../scripts/local/mirror.ts";
import { workspace } from "./process.ts";

export interface HostedPlace {
  folder: string;
  /** A file of host names, for `isolated`. */
  hosts: string;
  /** Starts a mirror that is stopped with the place. @param upstreams by name, without TLS */
  start(
    name: string,
    upstreams: Record<string, string[]>,
    vars?: Record<string, string>,
  ): Promise<RunningMirror>;
  stop(): Promise<void>;
}

export async function hostedPlace(name: string): Promise<HostedPlace> {
  const { folder, hosts, remove } = await workspace(name);
  const mirrors: RunningMirror[] = [];
  return {
    folder,
    hosts,
    start: async (name, upstreams, vars = {}) => {
      const data = join(folder, name);
      const mirror = await startMirror({
        ...{ port: 0, host: "127.0.0.1", data, upstreams, insecure: Object.keys(upstreams), vars },
      });
      mirrors.push(mirror);
      return mirror;
    },
    stop: async () => {
      await Promise.all(mirrors.map((mirror) => mirror.stop()));
      await remove();
    },
  };
}

/** What a hosted tag names; null if there is none. @param name below `hosted/` */
export async function digestAt({ url }: RunningMirror, name: string, tag: string): Promise<string | null> {
  const response = await fetch(`${url}/v2/hosted/${name}/manifests/${tag}`, { method: "HEAD" });
  return response.headers.get("Docker-Content-Digest");
}
