// The publisher's side: Debian's docker-registry as a process of its own, and a push into it over plain HTTP.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Descriptor, Image, Manifests } from "./image.ts";
import { freePort, startDaemon, workspace } from "./process.ts";

export interface Registry {
  url: string;
  /** The folder of its content. */
  storage: string;
  stop(): Promise<void>;
}

export interface RegistryOptions {
  /** The storage of another one that is running, to serve the same content in another way. */
  storage?: string;
  /** The section `auth` of docker-registry's configuration. */
  auth?: object;
}

export async function startRegistry(options: RegistryOptions = {}): Promise<Registry> {
  const { folder, remove } = await workspace("registry");
  const url = `http://127.0.0.1:${await freePort()}`;
  const storage = options.storage ?? join(folder, "storage");
  const config = {
    version: 0.1,
    log: { level: "warn", accesslog: { disabled: true } },
    storage: {
      filesystem: { rootdirectory: storage },
      maintenance: { uploadpurging: { enabled: false } },
    },
    http: { addr: new URL(url).host },
    ...(options.auth === undefined ? {} : { auth: options.auth }),
  };
  const file = join(folder, "config.yml");
  // JSON is YAML.
  await writeFile(file, JSON.stringify(config));
  const daemon = await startDaemon({
    name: "docker-registry",
    command: ["setpriv", "--pdeathsig", "KILL", "docker-registry", "serve", file],
    folder,
    ready: async () => [200, 401].includes((await fetch(`${url}/v2/`)).status),
  });
  return {
    url,
    storage,
    stop: async () => {
      await daemon.stop();
      await remove();
    },
  };
}

/** Gives what is already in the repository under a digest another tag. */
export async function tagAs(
  registry: string,
  repository: string,
  manifest: Descriptor,
  tag: string,
): Promise<void> {
  const base = `${registry}/v2/${repository}`;
  const headers = { accept: manifest.mediaType };
  const existing = await expectStatus(200, fetch(`${base}/manifests/${manifest.digest}`, { headers }));
  await pushManifest(base, tag, manifest.mediaType, Buffer.from(await existing.arrayBuffer()));
}

/** Pushes as distribution-spec "Pushing manifests" says: every blob, then each platform's manifest, then the index. */
export async function push(
  registry: string,
  repository: string,
  tag: string,
  { index, amd64, arm64 }: Manifests,
  content: Image["content"],
): Promise<void> {
  const base = `${registry}/v2/${repository}`;
  const bytes = ({ digest }: Descriptor): Buffer => {
    const found = content.get(digest);
    if (found === undefined) throw new Error(`not built: ${digest}`);
    return found;
  };
  for (const { manifest, config, layers } of [amd64, arm64]) {
    for (const blob of [config, ...layers]) await pushBlob(base, blob, bytes(blob));
    await pushManifest(base, manifest.digest, manifest.mediaType, bytes(manifest));
  }
  await pushManifest(base, tag, index.mediaType, bytes(index));
}

async function pushBlob(base: string, blob: Descriptor, content: Buffer): Promise<void> {
  const existing = await fetch(`${base}/blobs/${blob.digest}`, { method: "HEAD" });
  if (existing.ok) return;
  const opened = await expectStatus(202, fetch(`${base}/blobs/uploads/`, { method: "POST" }));
  const location = new URL(opened.headers.get("location") ?? "", base);
  location.searchParams.set("digest", blob.digest);
  const headers = { "content-type": "application/octet-stream" };
  await expectStatus(201, fetch(location, { method: "PUT", body: new Uint8Array(content), headers }));
}

async function pushManifest(
  base: string,
  reference: string,
  mediaType: string,
  content: Buffer,
): Promise<void> {
  const headers = { "content-type": mediaType };
  const body = new Uint8Array(content);
  await expectStatus(201, fetch(`${base}/manifests/${reference}`, { method: "PUT", body, headers }));
}

async function expectStatus(status: number, pending: Promise<Response>): Promise<Response> {
  const response = await pending;
  if (response.status === status) return response;
  throw new Error(
    `push: ${response.url} answered ${response.status}, not ${status}: ${await response.text()}`,
  );
}
