/** A registry to push to, over a real socket, in all the ways in which registries differ, and with faults on the way. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface PushSettings {
  location: "absolute" | "relative";
  /** Whether chunks are taken, or answered 405. */
  chunks: "taken" | "refused";
  /** Bytes that are taken of one chunk; null for all of them. */
  chunkMost: number | null;
  /** Whether Range says one byte more than there is, as some registries do. */
  countsWrong: boolean;
  /** OCI-Chunk-Min-Length; null for none. */
  chunkLeast: number | null;
  /** Bytes of the largest chunk: a larger one is served 416, as ghcr.io does; null for any. */
  chunkLimit: number | null;
  /** Whether the bound is declared when the upload is started (OCI-Chunk-Max-Length). */
  saysChunkLimit: boolean;
  /** Bytes of the largest body that a proxy before the registry lets through, else 413 before it is read; null for any. */
  bodyLimit: number | null;
  /** The status of a HEAD of a manifest that isn't there. */
  missingHead: number;
  /** Methods that are served 307 first. */
  redirected: readonly string[];
  mount: "granted" | "uploaded" | "refused";
  /** Whether OCI-Subject is served. */
  keepsReferrers: boolean;
}

export interface PushRequest {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: IncomingMessage["headers"];
  /** Of its body that arrived. */
  bytes: number;
  /** 0 where the connection was cut. */
  status: number;
}

/** What is to happen to a request instead of what it requests. */
export type Fault =
  | { status: number }
  /** The connection is cut once so many bytes of the body are kept. */
  | { cutAfter: number }
  /** All is done as requested, and then the connection is cut instead of a response. */
  | { cutAnswer: true };

export interface PushRegistry {
  host: string;
  settings: PushSettings;
  requests: PushRequest[];
  /** By digest, which repositories have it. */
  blobs: Map<string, { bytes: Buffer; repositories: Set<string> }>;
  /** By `repository reference`, a tag or a digest. */
  manifests: Map<string, { bytes: Buffer; mediaType: string }>;
  /** Uploads that were opened and neither ended nor taken back. */
  uploads: Map<string, Buffer>;
  /** Asked for each request; null lets it pass. */
  interfere: (request: PushRequest) => Fault | null;
  close(): Promise<void>;
}

export async function startPushRegistry(given: Partial<PushSettings> = {}): Promise<PushRegistry> {
  const settings: PushSettings = {
    location: "relative",
    chunks: "taken",
    chunkMost: null,
    countsWrong: false,
    chunkLeast: null,
    chunkLimit: null,
    saysChunkLimit: false,
    bodyLimit: null,
    missingHead: 404,
    redirected: [],
    mount: "granted",
    keepsReferrers: false,
    ...given,
  };
  const server = createServer((incoming, outgoing) => {
    response(registry, incoming, outgoing).catch(() => outgoing.destroy());
  });
  const registry: PushRegistry = {
    host: "",
    settings,
    requests: [],
    blobs: new Map(),
    manifests: new Map(),
    uploads: new Map(),
    interfere: () => null,
    close: async () => {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  registry.host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return registry;
}

interface Asked {
  registry: PushRegistry;
  request: PushRequest;
  body: Buffer;
  repository: string;
  name: string;
}

interface MirrorResponse {
  status: number;
  headers?: Record<string, string>;
  body?: Buffer;
}

async function response(
  registry: PushRegistry,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const url = new URL(incoming.url ?? "/", "http://registry");
  const request: PushRequest = {
    method: incoming.method ?? "",
    path: url.pathname,
    query: url.searchParams,
    headers: incoming.headers,
    bytes: 0,
    status: 0,
  };
  registry.requests.push(request);
  const { settings } = registry;
  if (settings.redirected.includes(request.method) && !url.searchParams.has("redirected")) {
    url.searchParams.set("redirected", "");
    const location = url.pathname + url.search;
    incoming.resume();
    return send(outgoing, request, { status: 307, headers: { location } });
  }
  const declared = Number(incoming.headers["content-length"] ?? 0);
  if (settings.bodyLimit !== null && declared > settings.bodyLimit) {
    incoming.resume();
    return send(outgoing, request, { status: 413, headers: { connection: "close" } });
  }
  const fault = registry.interfere(request);
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) {
    chunks.push(chunk);
    request.bytes += chunk.length;
    if (fault && "cutAfter" in fault && request.bytes >= fault.cutAfter) break;
  }
  let body = Buffer.concat(chunks);
  if (fault && "cutAfter" in fault) body = body.subarray(0, fault.cutAfter);
  const [, repository = "", kind = "", name = ""] =
    /^\/v2\/(.+)\/(blobs\/uploads|blobs|manifests|referrers)\/([^/]*)$/.exec(url.pathname) ?? [];
  if (fault && "status" in fault) return send(outgoing, request, { status: fault.status });
  const requested: Asked = { registry, request, body, repository, name };
  const handler = { "blobs/uploads": upload, blobs: blob, manifests: manifest }[kind];
  const answered = handler ? handler(requested) : { status: url.pathname === "/v2/" ? 200 : 404 };
  if (fault) outgoing.destroy();
  else send(outgoing, request, answered);
}

function send(
  outgoing: ServerResponse,
  request: PushRequest,
  { status, headers = {}, body }: MirrorResponse,
): void {
  request.status = status;
  const length = body === undefined ? {} : { "content-length": String(body.length) };
  outgoing.writeHead(status, { ...length, ...headers });
  outgoing.end(request.method === "HEAD" ? undefined : body);
}

let counter = 0;

function upload({ registry, request, body, repository, name }: Asked): MirrorResponse {
  const { settings, uploads, blobs } = registry;
  const { method, query, headers } = request;
  const at = (id: string): string => {
    counter += 1;
    // Changes with every response, and has a query that must come back as it is.
    const path = `/v2/${repository}/blobs/uploads/${id}?_state=a%2Fb%20${counter}`;
    return settings.location === "absolute" ? `http://${registry.host}${path}` : path;
  };
  const progress = (id: string): Record<string, string> => ({
    location: at(id),
    range: `0-${Math.max(0, (uploads.get(id)?.length ?? 0) - (settings.countsWrong ? 0 : 1))}`,
  });
  if (method === "POST") {
    const mounted = blobs.get(query.get("mount") ?? "");
    const from = query.get("from");
    if (from !== null && settings.mount === "refused") return { status: 405 };
    if (mounted && from !== null && mounted.repositories.has(from) && settings.mount === "granted") {
      mounted.repositories.add(repository);
      return { status: 201, headers: { location: `/v2/${repository}/blobs/${query.get("mount")}` } };
    }
    counter += 1;
    const id = `upload-${counter}`;
    uploads.set(id, Buffer.alloc(0));
    const { chunkLeast: least, chunkLimit, saysChunkLimit } = settings;
    return {
      status: 202,
      headers: {
        location: at(id),
        ...(least === null ? {} : { "oci-chunk-min-length": String(least) }),
        ...(saysChunkLimit && chunkLimit !== null ? { "oci-chunk-max-length": String(chunkLimit) } : {}),
      },
    };
  }
  const stored = uploads.get(name);
  if (!stored || !query.get("_state")?.startsWith("a/b ")) return { status: 404 };
  if (method === "GET") return { status: 204, headers: progress(name) };
  if (method === "DELETE") {
    uploads.delete(name);
    return { status: 204 };
  }
  if (method === "PATCH") {
    if (settings.chunks === "refused") return { status: 405 };
    const [, first] = /^(\d+)-\d+$/.exec(headers["content-range"] ?? "") ?? [];
    if (Number(first) !== stored.length || body.length > (settings.chunkLimit ?? body.length)) {
      return { status: 416, headers: progress(name) };
    }
    uploads.set(name, Buffer.concat([stored, body.subarray(0, settings.chunkMost ?? body.length)]));
    return { status: 202, headers: progress(name) };
  }
  const whole = Buffer.concat([stored, body]);
  const digest = query.get("digest") ?? "";
  uploads.delete(name);
  if (digestOf(whole) !== digest) return { status: 400 };
  const known = blobs.get(digest) ?? { bytes: whole, repositories: new Set<string>() };
  known.repositories.add(repository);
  blobs.set(digest, known);
  return { status: 201, headers: { location: `/v2/${repository}/blobs/${digest}` } };
}

function blob({ registry, repository, name }: Asked): MirrorResponse {
  const stored = registry.blobs.get(name);
  if (!stored?.repositories.has(repository)) return { status: 404 };
  return { status: 200, body: stored.bytes };
}

function manifest({ registry, request, body, repository, name }: Asked): MirrorResponse {
  if (request.method === "PUT") {
    const mediaType = request.headers["content-type"] ?? "";
    const { config, layers = [], manifests = [], subject } = JSON.parse(body.toString("utf8"));
    const isThere = ({ digest }: { digest: string }) =>
      registry.blobs.get(digest)?.repositories.has(repository);
    const isListed = ({ digest }: { digest: string }) => registry.manifests.has(`${repository} ${digest}`);
    const isWhole = [...(config ? [config] : []), ...layers].every(isThere) && manifests.every(isListed);
    if (!isWhole) return { status: 400 };
    for (const reference of [name, digestOf(body)]) {
      registry.manifests.set(`${repository} ${reference}`, { bytes: body, mediaType });
    }
    const keeps = subject !== undefined && registry.settings.keepsReferrers;
    return { status: 201, headers: keeps ? { "oci-subject": subject.digest } : {} };
  }
  const stored = registry.manifests.get(`${repository} ${name}`);
  if (!stored) return { status: request.method === "HEAD" ? registry.settings.missingHead : 404 };
  const headers = { "content-type": stored.mediaType, "docker-content-digest": digestOf(stored.bytes) };
  return { status: 200, headers, body: stored.bytes };
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}
