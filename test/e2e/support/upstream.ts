// Stands between the mirror and docker-registry, passes everything on, writes down every request, can be stopped and
// started again on the same port, and can fail on purpose: the registry as the mirror sees it.
import { once } from "node:events";
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { pipeline, Transform } from "node:stream";

export interface UpstreamRequest {
  method: string;
  kind: "ping" | "manifest" | "blob" | "other";
  path: string;
  /** The digest that the registry declared; so a tag and the digest behind it count as one. */
  digest: string | null;
  range: string | null;
  /** Whether the request carried a credential. */
  authorized: boolean;
  /** The request's line and all its headers as they came. */
  text: string;
  /** 0 until there is a response. */
  status: number;
}

/** What to do to a request instead of passing it on, or to its response on the way back. */
export type Interference =
  | { status: number; headers?: Record<string, string> }
  /** Passes it on, and adds these to its response. */
  | { adds: Record<string, string> }
  /** Cuts the connection after so many bytes of the body. */
  | { cutAfter: number }
  /** Sends no more after so many bytes, and leaves the connection open. */
  | { stallAfter: number };

export interface Upstream {
  url: string;
  requests: UpstreamRequest[];
  /** Asked for every request; null lets it pass. */
  interfere: (request: UpstreamRequest) => Interference | null;
  /** Requests whose response has not been sent to its end. */
  underWay(): number;
  /** From here on connections are refused, and those that are open are cut. */
  stop(): Promise<void>;
  start(): Promise<void>;
}

export interface UpstreamOptions {
  host?: string;
  port?: number;
  /** PEM; without it plain HTTP is spoken. */
  tls?: { key: string; cert: string };
}

const PATH = /^\/v2\/(?:(?<repository>.+)\/(?<kind>manifests|blobs)\/(?<reference>[^/]+))?$/;

/** @param registry base URL of what the requests are passed on to */
export async function startUpstream(registry: string, options: UpstreamOptions = {}): Promise<Upstream> {
  const { host = "127.0.0.1", tls } = options;
  const target = new URL(registry);
  const requests: UpstreamRequest[] = [];
  let underWay = 0;
  let server: Server | null = null;
  let port = options.port ?? 0;

  const pass = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    const record = describeRequest(incoming);
    requests.push(record);
    underWay += 1;
    outgoing.once("close", () => {
      underWay -= 1;
    });
    const interference = upstream.interfere(record);
    if (interference && "status" in interference) {
      record.status = interference.status;
      refuse(outgoing, interference.status, interference.headers ?? {});
      return;
    }
    const { method, headers, url: path } = incoming;
    const onward = request(
      { host: target.hostname, port: target.port, method, path, headers },
      (response) => {
        record.status = response.statusCode ?? 0;
        const digest = response.headers["docker-content-digest"];
        if (typeof digest === "string") record.digest = digest;
        const added = interference && "adds" in interference ? interference.adds : {};
        outgoing.writeHead(record.status, { ...response.headers, ...added });
        if (interference && !("adds" in interference))
          pipeline(response, spoil(interference, outgoing), outgoing, () => undefined);
        else pipeline(response, outgoing, () => undefined);
      },
    );
    onward.once("error", () => outgoing.destroy());
    outgoing.once("close", () => onward.destroy());
    incoming.pipe(onward);
  };
  const upstream: Upstream = {
    url: "",
    requests,
    interfere: () => null,
    underWay: () => underWay,
    start: async () => {
      if (server !== null) return;
      server = tls ? createTlsServer(tls, pass) : createServer(pass);
      server.listen(port, host);
      await once(server, "listening");
      const address = server.address();
      if (address === null || typeof address === "string") throw new Error("no port");
      port = address.port;
    },
    stop: async () => {
      const running = server;
      if (running === null) return;
      server = null;
      const closed = once(running, "close");
      running.close();
      running.closeAllConnections();
      await closed;
    },
  };
  await upstream.start();
  upstream.url = `${tls ? "https" : "http"}://${host}:${port}`;
  return upstream;
}

function describeRequest(incoming: IncomingMessage): UpstreamRequest {
  const path = new URL(incoming.url ?? "/", "http://upstream").pathname;
  const { kind, reference = "" } = PATH.exec(path)?.groups ?? {};
  return {
    method: incoming.method ?? "",
    kind: kind === "manifests" ? "manifest" : kind === "blobs" ? "blob" : path === "/v2/" ? "ping" : "other",
    path,
    digest: reference.startsWith("sha256:") ? reference : null,
    range: incoming.headers.range ?? null,
    authorized: incoming.headers.authorization !== undefined,
    text: [`${incoming.method} ${incoming.url}`, ...incoming.rawHeaders].join("\n"),
    status: 0,
  };
}

function refuse(outgoing: ServerResponse, status: number, headers: Record<string, string>): void {
  const errors = [{ code: status === 429 ? "TOOMANYREQUESTS" : "UNKNOWN", message: "refused by the test" }];
  outgoing.writeHead(status, { "content-type": "application/json", ...headers });
  outgoing.end(JSON.stringify({ errors }));
}

function spoil(how: { cutAfter: number } | { stallAfter: number }, outgoing: ServerResponse): Transform {
  let left = "cutAfter" in how ? how.cutAfter : how.stallAfter;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const part = chunk.subarray(0, left);
      left -= part.length;
      this.push(part);
      if (left > 0) done();
      // Never done: a stall. What was pushed must be on its way before a cut, or nothing of it arrives.
      else if ("cutAfter" in how) setTimeout(() => outgoing.destroy(), 100);
    },
  });
}
