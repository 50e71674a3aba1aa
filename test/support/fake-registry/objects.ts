/** Objects: how the registry itself answers for a manifest or a blob, redirects to its storage included. */
import { ociError } from "./answers.ts";
import type { Bytes } from "./bytes.ts";
import { digestOf, streamOf, utf8 } from "./bytes.ts";
import type { Content, StoredManifest } from "./content.ts";
import { acceptNames, acceptsCurrent, DOCKER_SCHEMA1 } from "./media-types.ts";
import { requestedRange } from "./ranges.ts";
import type { Exchange } from "./routes.ts";
import type { RegistrySettings } from "./settings.ts";
import type { Storage } from "./storage.ts";

const DIGEST = /^(?:sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$/;

export function isDigest(text: string): boolean {
  return DIGEST.test(text);
}

export class Objects {
  readonly #settings: RegistrySettings;
  readonly #content: Content;
  readonly #storage: Storage;

  constructor(settings: RegistrySettings, content: Content, storage: Storage) {
    this.#settings = settings;
    this.#content = content;
    this.#storage = storage;
  }

  async manifest(exchange: Exchange, name: string, reference: string): Promise<Response> {
    if (reference.includes(":") && !isDigest(reference)) {
      return ociError(400, "DIGEST_INVALID", "provided digest did not match");
    }
    if (!this.#content.has(name))
      return ociError(404, "NAME_UNKNOWN", "repository name not known to registry");
    const redirect = this.#storage.manifestRedirect(exchange.url, name, reference);
    if (redirect !== null) return redirect;
    return answerManifest(this.#settings, this.#content, exchange, name, reference);
  }

  async blob(exchange: Exchange, name: string, digest: string): Promise<Response> {
    if (!isDigest(digest)) return ociError(400, "DIGEST_INVALID", "provided digest did not match");
    const bytes = this.#content.blob(name, digest);
    if (bytes === undefined) return ociError(404, "BLOB_UNKNOWN", "blob unknown to registry");
    const isRedirected = exchange.method === "GET" || this.#settings.redirectHead;
    const redirect = isRedirected ? await this.#storage.blobRedirect(digest) : null;
    return redirect ?? answerBlob(this.#settings, exchange, digest, bytes);
  }
}

/** A manifest by tag or digest, in the variant that Accept names, or as schema 1 where the settings say so. */
export async function answerManifest(
  settings: RegistrySettings,
  content: Content,
  exchange: Exchange,
  name: string,
  reference: string,
): Promise<Response> {
  const accept = exchange.request.headers.get("accept");
  const candidates = content.manifests(name, reference);
  const chosen = candidates.find(({ mediaType }) => acceptNames(accept, mediaType)) ?? candidates[0];
  if (chosen === undefined) return ociError(404, "MANIFEST_UNKNOWN", "manifest unknown to registry");
  const isSchema1 = settings.schema1WithoutAccept && !isDigest(reference) && !acceptsCurrent(accept);
  const manifest = isSchema1 ? await schema1(name, reference) : chosen;
  const body = exchange.method === "HEAD" ? null : counted(exchange, manifest.bytes);
  return new Response(body, {
    headers: {
      "content-type": manifest.mediaType,
      "content-length": String(manifest.size),
      "docker-distribution-api-version": "registry/2.0",
      etag: `"${manifest.digest}"`,
      ...(settings.digestHeader ? { "docker-content-digest": manifest.digest } : {}),
    },
  });
}

/** The whole blob, or the one range that is requested (RFC 9110, section 14). */
export function answerBlob(
  settings: RegistrySettings,
  exchange: Exchange,
  digest: string,
  bytes: Bytes,
): Response {
  const etag = settings.etag(digest);
  const headers = {
    "content-type": "application/octet-stream",
    ...(settings.digestHeader ? { "docker-content-digest": digest } : {}),
    ...(etag === null ? {} : { etag }),
    ...(settings.ranges ? { "accept-ranges": "bytes" } : {}),
  };
  const range =
    settings.ranges && exchange.method === "GET"
      ? requestedRange(exchange.request.headers, bytes.byteLength, etag)
      : null;
  if (range === "unsatisfiable") {
    const length = { "content-range": `bytes */${bytes.byteLength}`, "content-length": "0" };
    return new Response(null, { status: 416, headers: { ...headers, ...length } });
  }
  if (range !== null) {
    const part = bytes.slice(range.first, range.last + 1);
    const contentRange = `bytes ${range.first}-${range.last}/${bytes.byteLength}`;
    return new Response(counted(exchange, part), {
      status: 206,
      headers: { ...headers, "content-range": contentRange, "content-length": String(part.byteLength) },
    });
  }
  const body = exchange.method === "HEAD" ? null : counted(exchange, bytes);
  return new Response(body, { headers: { ...headers, "content-length": String(bytes.byteLength) } });
}

function counted(exchange: Exchange, bytes: Bytes): ReadableStream<Uint8Array> {
  return streamOf(bytes, exchange.request.signal, exchange.onSlice);
}

async function schema1(name: string, tag: string): Promise<StoredManifest> {
  const bytes = utf8(
    JSON.stringify(
      { schemaVersion: 1, name, tag, architecture: "amd64", fsLayers: [], history: [], signatures: [] },
      null,
      3,
    ),
  );
  return { digest: await digestOf(bytes), size: bytes.byteLength, mediaType: DOCKER_SCHEMA1, bytes };
}
