/** The servers that are compared, each with its own storage in front of the same upstream. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePort, type Running, requireProgram, type Workshop } from "./processes.ts";

/** `direct` is the upstream itself, without a mirror in front. */
export type ServerName = "portolan" | "bare" | "registry" | "nginx" | "direct";

export interface Server {
  name: ServerName;
  port: number;
  pid: number;
  stop(): Promise<void>;
}

export async function startPortolan(
  workshop: Workshop,
  upstream: string,
  name = "portolan",
  proxy?: string,
): Promise<Server> {
  const settings = { upstream, data: join(workshop.folder, `${name}-data`), ...(proxy ? { proxy } : {}) };
  const running = await workshop.startScript(name, script("portolan-host.ts"), settings);
  return { name: "portolan", ...running };
}

export async function startBare(workshop: Workshop, upstream: string): Promise<Server> {
  const settings = { upstream, data: join(workshop.folder, "bare-data") };
  const running = await workshop.startScript("bare", script("bare-host.ts"), settings);
  return { name: "bare", ...running };
}

/** Debian's docker-registry: the upstream itself, or a mirror of it in its proxy mode. */
export async function startRegistry(workshop: Workshop, upstream: string | null): Promise<Server> {
  const program = await requireProgram("docker-registry", "docker-registry");
  const name = upstream === null ? "direct" : "registry";
  const port = await freePort();
  const config = {
    version: 0.1,
    // The upstream's requests are counted from its access log.
    log: { level: "error", accesslog: { disabled: upstream !== null } },
    storage: {
      filesystem: { rootdirectory: join(workshop.folder, `${name}-data`), maxthreads: 200 },
      cache: { blobdescriptor: "inmemory" },
      maintenance: { uploadpurging: { enabled: false } },
    },
    http: { addr: `127.0.0.1:${port}`, secret: "benchmark" },
    ...(upstream === null ? {} : { proxy: { remoteurl: upstream } }),
  };
  const file = join(workshop.folder, `${name}.yml`);
  // JSON is YAML.
  await writeFile(file, JSON.stringify(config));
  const running = await workshop.start(name, [program, "serve", file], () => serves(port));
  return served(name, port, running);
}

export async function startNginx(workshop: Workshop, upstream: string): Promise<Server> {
  const program = await requireProgram("nginx", "nginx");
  const prefix = join(workshop.folder, "nginx-data");
  await mkdir(prefix);
  const port = await freePort();
  const file = join(workshop.folder, "nginx.conf");
  await writeFile(file, nginxConfig(prefix, port, new URL(upstream).host));
  const command = [program, "-e", "stderr", "-p", prefix, "-c", file];
  const running = await workshop.start("nginx", command, () => serves(port));
  return served("nginx", port, running);
}

/** As an operator would set it up for this: tags for five minutes like Portolan's, digests for long, one fill at a time. */
function nginxConfig(prefix: string, port: number, upstream: string): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  return `
daemon off;
${process.getuid?.() === 0 ? "user root;" : ""}
worker_processes 2;
pid ${prefix}/nginx.pid;
error_log stderr error;
events { worker_connections 2048; }
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 100000000;
  keepalive_timeout 600s;
${temporary.map((kind) => `  ${kind}_temp_path ${prefix}/${kind};`).join("\n")}
  proxy_cache_path ${prefix}/cache levels=1:2 keys_zone=mirror:10m max_size=50g inactive=24h use_temp_path=off;
  upstream registry { server ${upstream}; keepalive 32; }
  server {
    listen 127.0.0.1:${port};
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_cache mirror;
    proxy_cache_key $uri;
    proxy_cache_lock on;
    proxy_cache_lock_age 60s;
    proxy_cache_lock_timeout 60s;
    location / { proxy_pass http://registry; proxy_cache_valid 200 5m; }
    location ~ sha256: { proxy_pass http://registry; proxy_cache_valid 200 24h; }
  }
}
`;
}

async function serves(port: number): Promise<boolean> {
  const response = await fetch(`http://127.0.0.1:${port}/v2/`);
  await response.arrayBuffer();
  return response.ok;
}

function served(name: ServerName, port: number, running: Running): Server {
  return { name, port, ...running };
}

function script(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}
