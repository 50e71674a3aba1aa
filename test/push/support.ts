/** Pushing to a mirror under test, request by request. */
import { digestOf } from "../../src/oci/digest.ts";
import { OCI_MANIFEST } from "../../src/oci/mediatypes.ts";
import type { MirrorResponse, TestMirror } from "../support/mirror.ts";

export interface Pushed {
  digest: string;
  bytes: Uint8Array;
}

/** A client that pushes, with its credential if it has one. */
export class Pusher {
  readonly #mirror: Pick<TestMirror, "request">;
  readonly #headers: Record<string, string>;

  constructor(mirror: Pick<TestMirror, "request">, headers: Record<string, string> = {}) {
    this.#mirror = mirror;
    this.#headers = headers;
  }

  /** The same client with another credential. */
  as(headers: Record<string, string>): Pusher {
    return new Pusher(this.#mirror, headers);
  }

  send(method: string, path: string, init: RequestInit = {}): Promise<MirrorResponse> {
    const { body } = init;
    const length = body instanceof Uint8Array ? { "Content-Length": String(body.byteLength) } : {};
    const headers = { ...this.#headers, ...length, ...(init.headers as Record<string, string>) };
    return this.#mirror.request(path, { ...init, method, headers });
  }

  /** @returns the path of a new upload. */
  async startUpload(repository: string): Promise<string> {
    const { headers } = await this.send("POST", `/v2/${repository}/blobs/uploads/`);
    return headers.get("Location") ?? "";
  }

  async pushBlob(repository: string, bytes: Uint8Array): Promise<Pushed> {
    const digest = await digestOf(bytes);
    const { status } = await this.send("POST", `/v2/${repository}/blobs/uploads/?digest=${digest}`, {
      body: bytes,
    });
    if (status !== 201) throw new Error(`pushing a blob was answered ${status}`);
    return { digest, bytes };
  }

  putManifest(repository: string, reference: string, manifest: object | Uint8Array, type = OCI_MANIFEST) {
    const body = manifest instanceof Uint8Array ? manifest : encode(manifest);
    return this.send("PUT", `/v2/${repository}/manifests/${reference}`, {
      body,
      headers: { "Content-Type": type },
    });
  }

  /** Pushes an image of a config and one layer. */
  async pushImage(
    repository: string,
    tag: string,
    seed = tag,
  ): Promise<Pushed & { config: Pushed; layer: Pushed }> {
    const config = await this.pushBlob(repository, encode({ os: "linux", architecture: "amd64", seed }));
    const layer = await this.pushBlob(repository, new TextEncoder().encode(`layer of ${seed}`));
    const manifest = encode(imageManifest(config, [layer]));
    const { status } = await this.putManifest(repository, tag, manifest);
    if (status !== 201) throw new Error(`pushing a manifest was answered ${status}`);
    return { digest: await digestOf(manifest), bytes: manifest, config, layer };
  }
}

/** A client on the mirror's own machine. */
export function localPusher(mirror: TestMirror): Pusher {
  return new Pusher({ request: (path, init) => mirror.request(path, { host: "127.0.0.1", ...init }) });
}

export function imageManifest(config: Pushed, layers: Pushed[], more: object = {}): object {
  return {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: descriptor(config, "application/vnd.oci.image.config.v1+json"),
    layers: layers.map((layer) => descriptor(layer, "application/vnd.oci.image.layer.v1.tar")),
    ...more,
  };
}

export function descriptor({ digest, bytes }: Pushed, mediaType: string): object {
  return { mediaType, digest, size: bytes.byteLength };
}

export function encode(value: object): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify(value)) as Uint8Array<ArrayBuffer>;
}

/** A body of unknown length, native as that of a request from outside is, and a function that ends it. */
export function openBody(...chunks: Uint8Array[]): {
  body: ReadableStream<Uint8Array>;
  end: (error?: Error) => void;
} {
  const { readable, writable } = new IdentityTransformStream();
  const writer = writable.getWriter();
  const written = (async () => {
    for (const chunk of chunks) await writer.write(chunk);
  })();
  written.catch(() => {});
  const end = (error?: Error) => {
    const ended = written.then(() => (error ? writer.abort(error) : writer.close()));
    ended.catch(() => {});
  };
  return { body: readable, end };
}

/** A body of unknown length. */
export function streamed(...chunks: Uint8Array[]): ReadableStream<Uint8Array> {
  const { body, end } = openBody(...chunks);
  end();
  return body;
}
