// The mirror as a person starts it, with `npm start`, so that it can be killed as a machine is that loses power.
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Daemon, freePort, isolated, startDaemon, workspace } from "./process.ts";

const PROJECT = fileURLToPath(new URL("../../..", import.meta.url));

export interface Served {
  url: string;
  /** On the same port with the same data. */
  start(): Promise<void>;
  kill(): Promise<void>;
  stop(): Promise<void>;
}

/** @param upstreams base URL by the upstream's name */
export async function serve(
  upstreams: Record<string, string>,
  environment: Record<string, string> = {},
  variables: Record<string, string> = {},
): Promise<Served> {
  const { folder, hosts, remove } = await workspace("served");
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  let daemon: Daemon | null = null;
  const start = async (): Promise<void> => {
    daemon = await startDaemon({
      name: "npm-start",
      folder,
      command: isolated(hosts, [
        ...["npm", "start", "--", "--port", `${port}`, "--data", join(folder, "data")],
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
    start,
    kill: async () => daemon?.kill(),
    stop: async () => {
      await daemon?.stop();
      await remove();
    },
  };
}
