/** Sends the Worker's requests through proxies, which workerd can't. Bodies are streamed, and redirects are left to the Worker. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import { rootCertificates } from "node:tls";
import type { Dispatcher } from "undici";
import { shownProxy } from "../../src/registry/proxies.ts";
import { PROXY_FAILURE_HEADER, PROXY_HEADER, TARGET_HEADER } from "../../src/upstream/egress.ts";
import { proxyFailure } from "../registry/proxy-failure.ts";

export interface Forwarder {
  handle(request: IncomingMessage, response: ServerResponse): Promise<void>;
  close(): Promise<void>;
}

/** Headers of one connection only (RFC 9110 §7.6.1), and those that are for the forwarder. */
const OWN_HEADERS = [
  "host",
  "connection",
  "keep-alive",
  "transfer-encoding",
  "upgrade",
  "te",
  "trailer",
].concat([TARGET_HEADER, PROXY_HEADER, PROXY_FAILURE_HEADER].map((name) => name.toLowerCase()));

/** @param certificates authorities that are trusted in addition to the public ones, in PEM. */
export function createForwarder(certificates: readonly string[]): Forwarder {
  const authorities = certificates.length === 0 ? undefined : [...rootCertificates, ...certificates];
  const proxies = new Map<string, Dispatcher>();
  const dispatcherOf: DispatcherOf = async (proxy) => {
    // Loaded by the first request: most mirrors have no proxy, and all of undici takes 15 MB of memory.
    const { openProxy } = await import("../registry/open-proxy.ts");
    const known = proxies.get(proxy.href);
    if (known) return known;
    // How long a response may take is for the Worker to decide.
    const opened = openProxy(proxy, { bodyTimeout: 0, headersTimeout: 0, allowH2: false }, authorities);
    proxies.set(proxy.href, opened);
    return opened;
  };
  return {
    handle: (request, response) => forward(request, response, dispatcherOf),
    close: async () => {
      await Promise.all([...proxies.values()].map((each) => each.destroy()));
    },
  };
}

type DispatcherOf = (proxy: URL) => Promise<Dispatcher>;

async function forward(
  request: IncomingMessage,
  response: ServerResponse,
  dispatcherOf: DispatcherOf,
): Promise<void> {
  const target = URL.parse(headerOf(request, TARGET_HEADER));
  const proxy = URL.parse(headerOf(request, PROXY_HEADER));
  if (!target || !proxy) {
    response.writeHead(400).end();
    return;
  }
  const left = new AbortController();
  response.once("close", () => left.abort());
  try {
    const { request: send } = await import("undici");
    const { statusCode, headers, body } = await send(target, {
      method: (request.method ?? "GET") as Dispatcher.HttpMethod,
      headers: withoutOwn(request.headers),
      body: request.headers["content-length"] || request.headers["transfer-encoding"] ? request : null,
      signal: left.signal,
      dispatcher: await dispatcherOf(proxy),
    });
    response.writeHead(statusCode, withoutOwn(headers));
    await pipeline(body, response);
  } catch (error) {
    if (left.signal.aborted) return;
    if (response.headersSent) response.destroy();
    else response.writeHead(502, { [PROXY_FAILURE_HEADER]: reasonOf(proxy, target, error) }).end();
  }
}

/** Why there is no response, fit for a header. The proxy's password is no part of it. */
function reasonOf(proxy: URL, target: URL, error: unknown): string {
  const reason =
    proxyFailure(proxy, target, error)?.message ??
    `${target.host} can't be reached through ${shownProxy(proxy)}: ${error instanceof Error ? error.message : error}`;
  return reason.replace(/[^\x20-\x7e]/g, "?");
}

function headerOf({ headers }: IncomingMessage, name: string): string {
  return String(headers[name.toLowerCase()] ?? "");
}

function withoutOwn<Value>(headers: NodeJS.Dict<Value>): Record<string, Value> {
  const kept = Object.entries(headers).filter(
    ([name, value]) => value !== undefined && !OWN_HEADERS.includes(name),
  );
  return Object.fromEntries(kept) as Record<string, Value>;
}
