// nginx as the guide sets it up: the certificates made by its commands, the servers of its file.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CLIENTS } from "../../../src/guides/clients.ts";
import type { GuideRequest } from "../../../src/guides/guide.ts";
import { freePort, isolated, run, startDaemon, workspace } from "./process.ts";

export interface Nginx {
  port: number;
  /** Path of the CA's certificate. */
  ca: string;
  stop(): Promise<void>;
}

/** Where the guide's certificates are. */
const FOLDER = "/etc/nginx/portolan";
/** Of the package ca-certificates, which a machine that runs tests need not have. */
const SYSTEM_AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt";

export async function startNginx(request: GuideRequest): Promise<Nginx> {
  const { folder, hosts, remove } = await workspace("nginx");
  const port = await freePort();
  const nginx = await setUp(request, folder, port);
  await run(isolated(hosts, [...nginx, "-t"]));
  const daemon = await startDaemon({
    name: "nginx",
    folder,
    command: isolated(hosts, nginx),
    ready: async () => (await readFile(join(folder, "nginx.pid"), "utf8")) !== "",
  });
  return {
    port,
    ca: join(folder, "ca.pem"),
    stop: async () => {
      await daemon.stop();
      await remove();
    },
  };
}

/** Rejects with what nginx says of the guide's file if it doesn't take it. */
export async function checkNginx(request: GuideRequest): Promise<void> {
  const { folder, hosts, remove } = await workspace("nginx");
  try {
    await run(isolated(hosts, [...(await setUp(request, folder, await freePort())), "-t"]));
  } finally {
    await remove();
  }
}

/** @returns the command that runs nginx with what the guide says, in a folder and on a port of the test's own */
async function setUp(request: GuideRequest, folder: string, port: number): Promise<string[]> {
  const { steps } = CLIENTS.nginx(request);
  const [certificates] = steps.flatMap(({ command }) => (command?.includes("openssl") ? [command] : []));
  const [servers] = steps.flatMap(({ file }) => (file ? [file.content] : []));
  if (certificates === undefined || servers === undefined) throw new Error("the guide has changed");
  await run(["sh", "-euc", certificates.replaceAll(FOLDER, folder)]);
  await mkdir(join(folder, "temporary"));
  await writeFile(
    join(folder, "servers.conf"),
    servers
      .replaceAll(FOLDER, folder)
      .replaceAll("listen 443 ssl", `listen 127.0.0.1:${port} ssl`)
      .replaceAll(SYSTEM_AUTHORITIES, join(folder, "ca.pem")),
  );
  const config = join(folder, "nginx.conf");
  await writeFile(config, mainConfiguration(folder));
  return ["nginx", "-e", join(folder, "error.log"), "-c", config];
}

/** What nginx.conf has around the file: Debian's has much the same. */
function mainConfiguration(folder: string): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (kind) => `  ${kind}_temp_path ${folder}/temporary/${kind};`,
  );
  return `daemon off;
user root;
pid ${folder}/nginx.pid;
events {}
http {
  access_log off;
${temporary.join("\n")}
  include ${folder}/servers.conf;
}
`;
}
