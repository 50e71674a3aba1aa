/** A gateway, a mirror with keys as it is deployed, and between them a proxy that refuses large bodies, as Cloudflare does. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type MirrorOptions, type RunningMirror, startMirror } from "../../../scripts/local/mirror.ts";
import { addKey } from "../../../src/access/key-changes.ts";
import { type Digest, digestOf } from "../../../src/oci/digest.ts";
import { type LimitingProxy, startLimitingProxy } from "../support/limiting-proxy.ts";

/** Bytes: a fifth of Cloudflare's, and more than the gateway's chunks have. */
export const LIMIT = 20_000_000;
export const TYPE = "application/vnd.oci.image.manifest.v1+json";

export type Bytes = Uint8Array<ArrayBuffer>;

export interface Scene {
  folder: string;
  far: RunningMirror;
  /** The key of the gateway: it may push to `hosted/team/*`, and delete from `hosted/team/tmp/*`. */
  key: string;
  proxy: LimitingProxy;
  gateway: RunningMirror;
  /** Replaces the gateway by another. */
  restart(options?: Partial<MirrorOptions>): Promise<void>;
  close(): Promise<void>;
}

export async function openScene(vars: Record<string, string> = {}): Promise<Scene> {
  const folder = await mkdtemp(join(tmpdir(), "portolan-gateway-"));
  const rights = { allow: [], deny: [], expires: null, rate: null };
  const { list, key } = await addKey([], "gateway", {
    ...rights,
    push: ["hosted/team/*"],
    delete: ["hosted/team/tmp/*"],
  });
  const start = (name: string, options: Partial<MirrorOptions>) =>
    startMirror({ port: 0, host: "127.0.0.1", data: join(folder, name), ...options });
  const far = await start("far", {
    vars: { ACCESS: "keys", ACCESS_KEYS: JSON.stringify(list), ...vars },
  });
  const proxy = await startLimitingProxy(() => far.url, LIMIT);
  const pushTo = { url: `http://${proxy.host}`, key };
  const scene: Scene = {
    folder,
    far,
    key,
    proxy,
    gateway: await start("gateway", { pushTo }),
    restart: async (options = {}) => {
      await scene.gateway.stop();
      scene.gateway = await start("gateway", { pushTo, ...options });
    },
    close: async () => {
      await scene.gateway.stop();
      proxy.close();
      await far.stop();
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
  return scene;
}

/** A client of the gateway's. */
export class GatewayClient {
  readonly #base: string;
  readonly #headers: Record<string, string>;

  constructor({ url }: RunningMirror, repository: string, headers: Record<string, string> = {}) {
    this.#base = `${url}/v2/hosted/${repository}/`;
    this.#headers = headers;
  }

  /** @param path below the repository, or as a Location has it. */
  send(method: string, path: string, init: RequestInit = {}): Promise<Response> {
    const headers = { ...this.#headers, ...(init.headers as Record<string, string>) };
    const duplex = init.body instanceof ReadableStream ? { duplex: "half" } : {};
    return fetch(new URL(path, this.#base), { redirect: "manual", ...init, ...duplex, method, headers });
  }

  /** @returns the path of a new upload. @throws Error with the body of a refusal. */
  async open(query = ""): Promise<string> {
    const response = await this.send("POST", `blobs/uploads/${query}`);
    if (response.status !== 202) throw new Error(`${response.status} ${await response.text()}`);
    return response.headers.get("Location") ?? "";
  }

  /** As containerd and dockerd from 29 on: the whole in one PUT. */
  async pushWhole(bytes: Bytes): Promise<Response> {
    const digest = await digestOf(bytes);
    return this.send("PUT", `${await this.open()}?digest=${digest}`, { body: bytes });
  }

  /** As older dockerd and podman: one PATCH without a length, and an empty PUT. */
  async pushStream(bytes: Bytes, digest?: Digest): Promise<Response> {
    const body = new Blob([bytes]).stream();
    const patch = await this.send("PATCH", await this.open(), { body });
    if (patch.status !== 202) return patch;
    const location = patch.headers.get("Location") ?? "";
    return this.send("PUT", `${location}?digest=${digest ?? (await digestOf(bytes))}`);
  }

  /** Pushes an image of one layer. @returns the manifest's digest. */
  async pushImage(tag: string, layer: Bytes): Promise<Digest> {
    const config = new TextEncoder().encode(`{"tag":"${tag}"}`) as Bytes;
    for (const blob of [config, layer]) {
      const { status } = await this.pushStream(blob);
      if (status !== 201) throw new Error(`a blob was answered ${status}`);
    }
    const body = await manifestOf(config, layer);
    const response = await this.send("PUT", `manifests/${tag}`, { body, headers: { "Content-Type": TYPE } });
    if (response.status !== 201) throw new Error(`${response.status} ${await response.text()}`);
    return digestOf(new TextEncoder().encode(body));
  }
}

export async function manifestOf(config: Bytes, layer: Bytes, more: object = {}): Promise<string> {
  const described = async (bytes: Bytes, mediaType: string) => {
    return { mediaType, digest: await digestOf(bytes), size: bytes.byteLength };
  };
  return JSON.stringify({
    schemaVersion: 2,
    mediaType: TYPE,
    config: await described(config, "application/vnd.oci.image.config.v1+json"),
    layers: [await described(layer, "application/vnd.oci.image.layer.v1.tar")],
    ...more,
  });
}

/** The code and message of an OCI error. */
export async function errorIn(
  response: Response,
): Promise<{ status: number; code: string; message: string }> {
  const { errors } = (await response.json()) as { errors: [{ code: string; message: string }] };
  return { status: response.status, ...errors[0] };
}
