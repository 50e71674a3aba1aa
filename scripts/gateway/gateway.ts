/** The gateway to another mirror's hosted repositories (`npm start -- --push-to`): the requests that the Worker passes on to it. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { FORWARDED_PATH, type Forwarded } from "../../src/ledger/forwarded.ts";
import { parseDigest } from "../../src/oci/digest.ts";
import { PATH_HEADER, READS_ALL_HEADER } from "../../src/push/forward.ts";
import { RegistryFailure } from "../registry/failure.ts";
import { list, listRepositories, putManifest, remove, serveBlob, serveManifest } from "./content.ts";
import { FarMirror, type FarMirrorOptions } from "./far-mirror.ts";
import { KeptUploads } from "./kept-uploads.ts";
import { type GatewayRequest, Refusal, sendError } from "./respond.ts";
import { GatewayUploads } from "./uploads.ts";

export interface Gateway {
  handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>;
  close(): Promise<void>;
}

export interface GatewayOptions extends FarMirrorOptions {
  /** For its files. */
  folder: string;
}

/** @throws Error for a URL that can't be used. */
export async function openGateway({ folder, ...options }: GatewayOptions): Promise<Gateway> {
  const mirror = new FarMirror(options);
  const uploads = await GatewayUploads.open(mirror, new KeptUploads(folder));
  return {
    close: () => mirror.close(),
    handle: async (request, response) => {
      const { method = "GET", headers } = request;
      try {
        const via = String(headers.via ?? "");
        await mirror.during(via, () => serve(mirror, uploads, request, response));
      } catch (error) {
        const isPush = !["GET", "HEAD"].includes(method);
        if (isPush && error instanceof RegistryFailure) mirror.sent.failed += 1;
        await sendError({ request, response, method }, error, isPush);
      }
    },
  };
}

async function serve(
  mirror: FarMirror,
  uploads: GatewayUploads,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { method = "GET", headers } = request;
  const { pathname, searchParams: search } = new URL(request.url ?? "/", "http://gateway");
  const path = String(headers[PATH_HEADER.toLowerCase()] ?? "");
  const readsAll = headers[READS_ALL_HEADER.toLowerCase()] !== undefined;
  const [, repository = "", kind = "", name = ""] =
    /^\/(.+)\/(blobs\/uploads|blobs|manifests|referrers|tags)\/([^/]*)$/.exec(pathname) ?? [];
  const incoming: GatewayRequest = { request, response, method, search, repository, path, readsAll };
  if (pathname === FORWARDED_PATH) return sendForwarded(response, mirror, uploads);
  if (pathname === "/_catalog") return listRepositories(mirror, incoming);
  const handler = handlersOf(mirror, uploads, incoming, kind, name)[method];
  if (!handler) throw new Refusal(405, "UNSUPPORTED", "the registry of one's own doesn't take that here");
  return handler();
}

function sendForwarded(
  response: ServerResponse,
  { host, url, sent }: FarMirror,
  { count }: GatewayUploads,
): void {
  const forwarded: Forwarded = { to: host, url, uploads: count, ...sent };
  response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(forwarded));
}

type Handlers = Partial<Record<string, () => Promise<void>>>;

function handlersOf(
  mirror: FarMirror,
  uploads: GatewayUploads,
  incoming: GatewayRequest,
  kind: string,
  name: string,
): Handlers {
  switch (kind) {
    case "blobs/uploads":
      if (name === "") return { POST: () => uploads.start(incoming) };
      return {
        GET: () => uploads.status(incoming, name),
        PATCH: () => uploads.append(incoming, name),
        PUT: () => uploads.finish(incoming, name),
        DELETE: () => uploads.cancel(incoming, name),
      };
    case "blobs": {
      const digest = parseDigest(name);
      if (!digest) return {};
      const read = () => serveBlob(mirror, incoming, digest);
      return { GET: read, HEAD: read, DELETE: () => remove(mirror, incoming, `blobs/${digest}`) };
    }
    case "manifests": {
      const read = () => serveManifest(mirror, incoming, name);
      return {
        GET: read,
        HEAD: read,
        PUT: () => putManifest(mirror, incoming, name),
        DELETE: () => remove(mirror, incoming, `manifests/${name}`),
      };
    }
    case "tags":
    case "referrers": {
      const read = () => list(mirror, incoming, `${kind}/${name}`);
      return { GET: read, HEAD: read };
    }
    default:
      return {};
  }
}
