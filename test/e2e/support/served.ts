// The mirror as a person starts it, with `npm start`, so that it can be killed as a machine is that loses power.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Daemon, freePort, isolated, run, startDaemon, workspace } from "./process.ts";

const PROJECT = fileURLToPath(new URL("../../..", import.meta.url));

export interface Served {
  url: string;
  /** The data folder. */
  data: string;
  /** Of the process that all of it descends from. */
  pid(): number;
  /** On the same port with the same data. */
  start(): Promise<void>;
  kill(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * @param upstreams base URL by the upstream's name
 * @param disk size of the disk that the data folder is on, as `mount` takes it; the machine's own where it is left out
 */
export async function serve(
  upstreams: Record<string, string>,
  environment: Record<string, string> = {},
  variables: Record<string, string> = {},
  disk?: string,
): Promise<Served> {
  const { folder, hosts, remove } = await workspace("served");
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const data = join(folder, "data");
  if (disk !== undefined) {
    await mkdir(data, { mode: 0o700 });
    await run(["mount", "-t", "tmpfs", "-o", `size=${disk},mode=700`, "tmpfs", data]);
  }
  let daemon: Daemon | null = null;
  const start = async (): Promise<void> => {
    daemon = await startDaemon({
      name: "npm-start",
      folder,
      command: isolated(hosts, [
        ...["npm", "start", "--", "--port", `${port}`, "--data", data],
        ...Object.entries(upstreams).flatMap(([name, upstream]) => [
          "--upstream",
          `${name}=${upstream}`,
          "--insecure",
          name,
        ]),
        ...Object.entries(variables).flatMap(([name, value]) => ["--var", `${name}=${value}`]),
      ]),
      environment: { HOME: join(folder, "home"), ...environment },
      workingDirectory: PROJECT,
      ready: async () => (await fetch(`${url}/_/health`)).ok,
      deadline: 40_000,
    });
  };
  await start();
  return {
    url,
    data,
    pid: () => daemon?.pid ?? 0,
    start,
    kill: async () => daemon?.kill(),
    stop: async () => {
      await daemon?.stop();
      if (disk !== undefined) await run(["umount", data]);
      await remove();
    },
  };
}
