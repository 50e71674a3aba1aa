// crane, oras, regctl and helm: programs that talk to a registry by themselves and start no containers.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CLIENT_DEADLINE, isolated, run, workspace } from "./process.ts";
import { startUpstream, type UpstreamRequest } from "./upstream.ts";

/** What .ci/run builds; each is empty where it couldn't be built. */
export const { CRANE = "", ORAS = "", REGCTL = "", HELM = "" } = process.env;

const USER_AGENTS = new Map([
  // crane itself says the name of its file.
  [CRANE, /^user-agent\n.*go-containerregistry\//im],
  [ORAS, /^user-agent\noras\//im],
  [REGCTL, /^user-agent\nregclient\/regctl/im],
  [HELM, /^user-agent\nhelm\//im],
]);

export interface Ran {
  output: string;
  /** The client's requests to the mirror. */
  requests: UpstreamRequest[];
}

export interface ArtifactClients {
  /** Host and port by which the clients reach the mirror. */
  host: string;
  /** Where the clients run, and a place for files: empty but for their configuration. */
  folder: string;
  /**
   * Runs a client that uses the mirror. Rejects if it fails, and also if the mirror got no request with the client's own User-Agent.
   * @param program one of the above
   */
  use(program: string, ...rest: string[]): Promise<Ran>;
  /** Runs a client that works on its own files or another registry. */
  local(program: string, ...rest: string[]): Promise<string>;
  stop(): Promise<void>;
}

/** @param mirror its base URL */
export async function startArtifactClients(mirror: string): Promise<ArtifactClients> {
  const { folder, hosts, remove } = await workspace("artifacts");
  // What counts requests to an upstream counts those to the mirror just as well.
  const front = await startUpstream(mirror);
  const { host } = new URL(front.url);
  const local = (...command: string[]): Promise<string> =>
    run(isolated(hosts, command), {
      deadline: CLIENT_DEADLINE,
      environment: { HOME: join(folder, "home") },
      workingDirectory: folder,
    });
  return {
    host,
    folder,
    local,
    use: async (program, ...rest) => {
      const earlier = front.requests.length;
      const output = await local(program, ...rest);
      const requests = front.requests.slice(earlier);
      if (!requests.some((request) => USER_AGENTS.get(program)?.test(request.text))) {
        throw new Error(
          `${program} ${rest.join(" ")}\ndidn't use the mirror, which got:\n${linesOf(requests)}`,
        );
      }
      return { output, requests };
    },
    stop: async () => {
      await front.stop();
      await remove();
    },
  };
}

/** `METHOD path?query` of each, a line each. */
export function linesOf(requests: readonly UpstreamRequest[]): string {
  return requests.map(({ text }) => text.split("\n", 1)[0]).join("\n");
}

/** Packages a chart of version 1.2.3 in the clients' folder, as NAME-1.2.3.tgz. @returns the package */
export async function packageChart(clients: ArtifactClients, name: string): Promise<Buffer> {
  const folder = join(clients.folder, name);
  await mkdir(join(folder, "templates"), { recursive: true });
  await writeFile(join(folder, "Chart.yaml"), `apiVersion: v2\nname: ${name}\nversion: 1.2.3\n`);
  await writeFile(
    join(folder, "templates", "map.yaml"),
    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\n",
  );
  await clients.local(HELM, "package", name);
  return readFile(join(clients.folder, `${name}-1.2.3.tgz`));
}
