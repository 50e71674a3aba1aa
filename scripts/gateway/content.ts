/** Manifests, blobs and lists through the gateway: read from the far mirror, and verified by digest where there is one. */
import type { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { IMMUTABLE, REVALIDATE } from "../../src/oci/content-response.ts";
import { type Digest, digestParts, parseDigest } from "../../src/oci/digest.ts";
import { formatLink, nextTarget } from "../../src/oci/link.ts";
import { MAXIMUM_MANIFEST } from "../../src/oci/manifest.ts";
import { readBounded } from "../../src/registry/bounded-read.ts";
import { digestOfBytes } from "../registry/client.ts";
import { blobBytes } from "../registry/download.ts";
import { RegistryFailure } from "../registry/failure.ts";
import type { RemoteRepository } from "../registry/remote.ts";
import type { RegistryResponse } from "../registry/response.ts";
import { bytesOf } from "./body.ts";
import type { FarMirror } from "./far-mirror.ts";
import { type GatewayRequest, Refusal, sendEmpty } from "./respond.ts";

/** Bytes of the largest list that is passed on. */
const MAXIMUM_LIST = 8 * 1024 * 1024;

/** `GET` and `HEAD` of a manifest. @throws RegistryFailure, Refusal */
export async function serveManifest(
  mirror: FarMirror,
  { repository, method, response }: GatewayRequest,
  reference: string,
): Promise<void> {
  const remote = mirror.readable(repository);
  const headersOf = (digest: Digest, mediaType: string, size: number) => ({
    "Content-Type": mediaType,
    "Content-Length": String(size),
    "Docker-Content-Digest": digest,
    "Cache-Control": REVALIDATE,
    ETag: `"${digest}"`,
  });
  if (method === "GET") {
    const { digest, mediaType, bytes } = await mirror.client.manifest(remote, reference);
    response.writeHead(200, headersOf(digest, mediaType, bytes.byteLength)).end(bytes);
    return;
  }
  const head = await mirror.client.head(remote, reference);
  const digest = head?.digest ?? null;
  if (!head || digest === null) {
    throw new Refusal(404, "MANIFEST_UNKNOWN", `${reference} is not in this repository`);
  }
  response.writeHead(200, headersOf(digest, head.mediaType, head.size ?? 0)).end();
}

/** `PUT` of a manifest: the response says that the far mirror has it. @throws RegistryFailure, Refusal */
export async function putManifest(
  mirror: FarMirror,
  { repository, request, response, search, path }: GatewayRequest,
  reference: string,
): Promise<void> {
  const remote = mirror.repository(repository);
  const bytes = await manifestIn(request);
  const named = parseDigest(reference);
  const digest = digestOfBytes(bytes, named ? digestParts(named).algorithm : "sha256");
  if (named !== null && digest !== named)
    throw new Refusal(400, "DIGEST_INVALID", `the manifest's digest is ${digest}`);
  const tags = new URLSearchParams(search.getAll("tag").map((tag) => ["tag", tag]));
  const at = `manifests/${reference}`;
  const { exchange } = mirror.client;
  const sent = await exchange.send(remote, {
    method: "PUT",
    at: tags.size === 0 ? at : withQuery(remote, at, tags),
    headers: { "Content-Type": request.headers["content-type"] ?? "" },
    body: bytes,
    repeatable: true,
  });
  if (!sent.ok) throw await exchange.failure(remote, sent, at);
  await sent.body?.cancel();
  const kept = sent.headers.get("Docker-Content-Digest");
  if (kept !== null && kept !== digest) {
    throw new RegistryFailure(0, "DIGEST_INVALID", `${mirror.host} has ${kept}, and was sent ${digest}`);
  }
  mirror.sent.manifests += 1;
  sendEmpty(response, 201, {
    Location: `${path}/manifests/${digest}`,
    "Docker-Content-Digest": digest,
    ...picked(sent, ["OCI-Subject", "OCI-Tag"]),
  });
}

/** `GET` and `HEAD` of a blob. @throws RegistryFailure, Refusal */
export async function serveBlob(
  mirror: FarMirror,
  { repository, method, request, response }: GatewayRequest,
  digest: Digest,
): Promise<void> {
  const remote = mirror.readable(repository);
  const headers = {
    "Content-Type": "application/octet-stream",
    "Docker-Content-Digest": digest,
    "Accept-Ranges": "bytes",
    "Cache-Control": IMMUTABLE,
    ETag: `"${digest}"`,
  };
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  const { range } = request.headers;
  if (method === "GET" && range !== undefined) {
    const part = await mirror.client.blob(remote, digest, { range, signal: gone.signal });
    const about = picked(part, ["Content-Length", "Content-Range"]);
    response.writeHead(part.status, { ...headers, ...about });
    await pipeline(Readable.from(part.body ?? []), response);
    return;
  }
  const size = await mirror.client.hasBlob(remote, digest);
  if (size === null) throw new Refusal(404, "BLOB_UNKNOWN", `${digest} is not in this repository`);
  response.writeHead(200, { ...headers, "Content-Length": String(size) });
  if (method === "HEAD") response.end();
  else
    await pipeline(Readable.from(blobBytes(mirror.client, remote, { digest, size }, gone.signal)), response);
}

/** `DELETE` of a manifest, tag or blob. @param at `manifests/latest` @throws RegistryFailure */
export async function remove(
  mirror: FarMirror,
  { repository, response }: GatewayRequest,
  at: string,
): Promise<void> {
  const name = mirror.repository(repository);
  // A token for pushing doesn't allow it.
  const remote = { ...name, scopes: [`repository:${name.repository}:pull,delete`] };
  const { exchange } = mirror.client;
  const removed = await exchange.send(remote, { method: "DELETE", at });
  if (!removed.ok) throw await exchange.failure(remote, removed, at);
  await removed.body?.cancel();
  sendEmpty(response, removed.status);
}

/** `GET` and `HEAD` of the tags or referrers. @param at `tags/list` @throws RegistryFailure */
export async function list(mirror: FarMirror, incoming: GatewayRequest, at: string): Promise<void> {
  const remote = mirror.readable(incoming.repository);
  const listed = await fetchList(mirror, remote, withQuery(remote, at, incoming.search));
  const body = JSON.parse(listed.text);
  // The name by which the client knows the repository.
  if (at === "tags/list") body.name = incoming.path.replace(/^.*?\/v2\//, "");
  sendList(incoming, body, `${incoming.path}/${at}`, listed.response);
}

/** `GET` of the names of all repositories: as the far mirror has them below its `hosted`. @throws RegistryFailure */
export async function listRepositories(mirror: FarMirror, incoming: GatewayRequest): Promise<void> {
  const { remote, at } = mirror.catalog();
  at.search = incoming.search.toString();
  const listed = await fetchList(mirror, remote, at);
  sendList(incoming, JSON.parse(listed.text), at.pathname, listed.response);
}

async function fetchList(mirror: FarMirror, remote: RemoteRepository, at: URL) {
  const { exchange } = mirror.client;
  const response = await exchange.send(remote, { method: "GET", at });
  if (!response.ok) throw await exchange.failure(remote, response, at.pathname);
  const bytes = await readBounded(response, MAXIMUM_LIST, at.pathname);
  return { response, text: new TextDecoder().decode(bytes) };
}

function sendList({ response, method }: GatewayRequest, body: object, path: string, from: RegistryResponse) {
  const text = JSON.stringify(body);
  const next = nextTarget(from.headers.get("Link"));
  const query = next === null ? "" : (URL.parse(next, from.url)?.search ?? "");
  response.writeHead(200, {
    "Content-Type": from.headers.get("Content-Type") ?? "application/json",
    "Content-Length": String(Buffer.byteLength(text)),
    "Cache-Control": REVALIDATE,
    ...(query !== "" && { Link: formatLink(path + query, "next") }),
    ...picked(from, ["OCI-Filters-Applied"]),
  });
  response.end(method === "HEAD" ? undefined : text);
}

function withQuery(remote: RemoteRepository, at: string, search: URLSearchParams): URL {
  const url = new URL(`/v2/${remote.repository}/${at}`, remote.endpoint);
  url.search = search.toString();
  return url;
}

function picked({ headers }: RegistryResponse, names: readonly string[]): Record<string, string> {
  const found = names.map((name): [string, string | null] => [name, headers.get(name)]);
  return Object.fromEntries(found.filter((each): each is [string, string] => each[1] !== null));
}

async function manifestIn(request: IncomingMessage): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of bytesOf(request)) {
    size += chunk.byteLength;
    if (size > MAXIMUM_MANIFEST) {
      throw new Refusal(413, "DENIED", `a manifest has ${MAXIMUM_MANIFEST} bytes at most`);
    }
    chunks.push(chunk);
  }
  return new Uint8Array(Buffer.concat(chunks));
}
