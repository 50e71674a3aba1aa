/** A proxy that refuses large request bodies before any of them is passed on, as Cloudflare does those above a zone's limit. */
import { once } from "node:events";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface ProxiedRequest {
  method: string;
  path: string;
  /** Of the request's body, as its headers say. */
  bytes: number;
}

export interface LimitingProxy {
  /** `127.0.0.1:12345` */
  host: string;
  requests: ProxiedRequest[];
  /** Whether the connection is cut instead of a response, after the request has been served. */
  cutsAnswer: (request: ProxiedRequest) => boolean;
  /** Whether the client gets no response at all, though the request has been served. */
  keepsAnswer: (request: ProxiedRequest) => boolean;
  /** Whether a bit of the response's body is turned. */
  altersAnswer: (request: ProxiedRequest) => boolean;
  close(): void;
}

/**
 * @param target the base URL that requests go on to.
 * @param limit bytes of the largest body; one without a length is refused as well.
 */
export async function startLimitingProxy(target: () => string, limit: number): Promise<LimitingProxy> {
  const server = createServer((incoming, response) => pass(incoming, response));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const proxy: LimitingProxy = {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: [],
    cutsAnswer: () => false,
    keepsAnswer: () => false,
    altersAnswer: () => false,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };

  function pass(incoming: IncomingMessage, response: ServerResponse): void {
    const { method = "", url = "", headers } = incoming;
    const seen: ProxiedRequest = { method, path: url, bytes: Number(headers["content-length"] ?? 0) };
    proxy.requests.push(seen);
    if (seen.bytes > limit || headers["transfer-encoding"] !== undefined) {
      // A client that is still sending when the connection closes may never read the response.
      incoming.resume();
      response.writeHead(413, { "Content-Type": "text/html" });
      response.end("<html><center><h1>413 Request Entity Too Large</h1></center></html>");
      return;
    }
    const sent = request(new URL(url, target()), { method, headers }, (answer) => {
      if (proxy.keepsAnswer(seen)) {
        answer.resume();
        return;
      }
      if (proxy.cutsAnswer(seen)) {
        incoming.socket.destroy();
        answer.resume();
        return;
      }
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      if (proxy.altersAnswer(seen)) answer.once("data", (chunk: Buffer) => chunk.set([(chunk[0] ?? 0) ^ 1]));
      answer.pipe(response);
    });
    sent.on("error", () => response.destroy());
    incoming.pipe(sent);
  }

  return proxy;
}
