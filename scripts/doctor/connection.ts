/** The way to the mirror: its name, its port, its certificate. */
import { lookup } from "node:dns/promises";
import { once } from "node:events";
import { connect, isIP } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { isLoopback } from "../../src/registry/addresses.ts";
import { type Environment, proxyFor } from "../../src/registry/proxies.ts";
import { causeOf, codeOf } from "../registry/failure.ts";
import { connectionProblem } from "../terminal/connection-problem.ts";
import { span } from "../terminal/format.ts";
import { bad, type Check, good, skipped, warning } from "./check.ts";

/** Milliseconds for a connection. */
const DEADLINE = 5_000;
/** Seconds of a certificate's life below which it should have been renewed. */
const NEAR_END = 14 * 86_400;

const DEFAULT_PORTS: Readonly<Record<string, number>> = { "https:": 443, "socks5:": 1080, "socks5h:": 1080 };

/** What certificates are refused for (OpenSSL's names for it), and what helps. */
const CERTIFICATE_PROBLEMS: Readonly<Record<string, [says: string, advice: string]>> = {
  CERT_HAS_EXPIRED: [
    "its certificate has expired",
    "Renew it; with Caddy or certbot see why that didn't happen by itself.",
  ],
  CERT_NOT_YET_VALID: ["its certificate isn't valid yet", "Check this machine's clock with `date -u`."],
  ERR_TLS_CERT_ALTNAME_INVALID: [
    "its certificate is for another name",
    "Use the name that it is for. A wildcard covers one label only: docker.mirror.example.com isn't covered by *.example.com.",
  ],
  DEPTH_ZERO_SELF_SIGNED_CERT: [
    "its certificate is self-signed",
    "Have clients trust it (for Docker in /etc/docker/certs.d/HOST/ca.crt; here by NODE_EXTRA_CA_CERTS), or take one from a public CA.",
  ],
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: [
    "its certificate's chain is incomplete",
    "Have the server send the whole chain (fullchain.pem), or name your own CA in NODE_EXTRA_CA_CERTS.",
  ],
  SELF_SIGNED_CERT_IN_CHAIN: [
    "its certificate is from a CA that isn't known here",
    "If it is your own, name its file in NODE_EXTRA_CA_CERTS; if not, somebody stands between you and the mirror.",
  ],
};

/**
 * Looks at name, port and certificate, as far as the way goes.
 * @param elsewhere what to advise where nothing listens.
 */
export async function examineConnection(
  mirror: URL,
  env: Environment,
  elsewhere: () => Promise<string>,
): Promise<Check[]> {
  const proxy = proxyFor(mirror, env);
  if (proxy !== null) {
    return [await examineProxy(proxy, mirror)];
  }
  const name = await examineName(mirror);
  if (name.state === "bad") return [name];
  const port = await examinePort(mirror, elsewhere);
  if (port.state === "bad") return [name, port];
  return [name, port, await examineTls(mirror)];
}

/** Whether the proxy on the way is there: where it isn't, the mirror itself can't be reached. */
async function examineProxy(proxy: URL, { hostname }: URL): Promise<Check> {
  const error = await connecting(proxy);
  if (error === null) {
    return skipped("proxy", `goes through the proxy ${proxy.host}, which looks up the name and connects`);
  }
  return bad(
    "proxy",
    `the proxy ${proxy.host}, which the environment names, can't be reached: ${connectionProblem(error)}`,
    `Start it, or correct HTTPS_PROXY, HTTP_PROXY or ALL_PROXY. With ${hostname} in NO_PROXY the mirror is reached without it.`,
  );
}

/** Why `/v2/` got no response although something takes connections: the proxy's refusal, TLS where none was spoken, or silence. */
export async function examineSilence(mirror: URL, env: Environment, error: unknown): Promise<Check> {
  const proxy = proxyFor(mirror, env);
  const [, status] = /Proxy response \((\d+)\)/.exec(causeOf(error)) ?? [];
  if (proxy !== null && status === "407") {
    const login = `${proxy.protocol}//USER:PASSWORD@${proxy.host}`;
    return bad(
      "proxy",
      `the proxy ${proxy.host} wants a login (407)`,
      `Put one into the variable: ${login}.`,
    );
  }
  if (proxy !== null) {
    const what = status === undefined ? connectionProblem(error) : `it answers ${status}`;
    return bad(
      "proxy",
      `the proxy ${proxy.host} doesn't bring us to ${mirror.host}: ${what}`,
      `See whether it may connect to ${mirror.host}, in its own log. With ${mirror.hostname} in NO_PROXY the mirror is reached without it.`,
    );
  }
  const says = `/v2/: ${connectionProblem(error)}`;
  return (await examineHiddenTls(mirror, env)) ?? bad("response", says, "Look into the mirror's own log.");
}

/** Whether a port that was spoken to without TLS speaks it; null if not. */
export async function examineHiddenTls(mirror: URL, env: Environment): Promise<Check | null> {
  if (mirror.protocol !== "http:" || proxyFor(mirror, env) !== null) return null;
  const speaks = bad(
    "tls",
    "the port speaks TLS, and was spoken to without",
    `Write https://${mirror.host}.`,
  );
  const socket = startTls(mirror);
  try {
    await once(socket, "secureConnect", { signal: AbortSignal.timeout(DEADLINE) });
    return speaks;
  } catch (error) {
    // An alert is TLS too: of a server that wants another name, or a client's certificate.
    return /_ALERT_/.test(codeOf(error)) ? speaks : null;
  } finally {
    socket.destroy();
  }
}

async function examineName({ hostname }: URL): Promise<Check> {
  const host = bare(hostname);
  if (isIP(host)) return good("name", `${host} is an address, nothing to look up`);
  try {
    const found = await lookup(host, { all: true });
    return good("name", `${host} is ${found.map(({ address }) => address).join(", ")}`);
  } catch (error) {
    return bad(
      "name",
      `${host}: ${connectionProblem(error)}`,
      `Check its spelling. If \`getent hosts ${host}\` finds nothing either, it is missing in the DNS, or this machine's resolver doesn't work.`,
    );
  }
}

async function examinePort(mirror: URL, elsewhere: () => Promise<string>): Promise<Check> {
  const error = await connecting(mirror);
  if (error === null) return good("port", `${portOf(mirror)} takes connections`);
  const isRefused = codeOf(error) === "ECONNREFUSED";
  const says = isRefused
    ? `nothing listens on ${mirror.host}`
    : `${mirror.host}: ${connectionProblem(error)}`;
  const advice = isRefused
    ? await elsewhere()
    : "A firewall may stand between. Try from the mirror's own machine, and open the port.";
  return bad("port", says, advice);
}

/** Why no connection to a URL's port comes about; null if one does. */
async function connecting(url: URL): Promise<unknown> {
  const socket = connect({ host: bare(url.hostname), port: portOf(url) });
  try {
    await once(socket, "connect", { signal: AbortSignal.timeout(DEADLINE) });
    return null;
  } catch (error) {
    return error;
  } finally {
    socket.destroy();
  }
}

/** What is to be said of a mirror whose URL is http. */
export function judgePlain(mirror: URL): Check {
  if (isLoopback(mirror)) return good("tls", "none, and none is needed on this machine");
  return warning(
    "tls",
    "none: anyone between here and the mirror can read the traffic, and change what isn't named by a digest",
    `Give the mirror a certificate, or put TLS in front of it (docs/serve.md). Docker accepts http:// under registry-mirrors as it is; to log in or to pull by the mirror's name, it needs ${mirror.host} under insecure-registries.`,
  );
}

async function examineTls(mirror: URL): Promise<Check> {
  if (mirror.protocol === "http:") return judgePlain(mirror);
  const socket = startTls(mirror);
  try {
    await once(socket, "secureConnect", { signal: AbortSignal.timeout(DEADLINE) });
    return judgeCertificate(socket);
  } catch (error) {
    const isPlain = /wrong version number|packet length too long/i.test(String(error));
    if (isPlain) {
      return bad(
        "tls",
        "the port speaks http without TLS",
        `Write http://${mirror.host}, or put TLS in front.`,
      );
    }
    return bad(
      "tls",
      `no TLS comes about: ${connectionProblem(error)}`,
      "Look into the log of what ends TLS for the mirror.",
    );
  } finally {
    socket.destroy();
  }
}

function startTls(url: URL): TLSSocket {
  const host = bare(url.hostname);
  return connectTls({
    ...{ host, port: portOf(url), rejectUnauthorized: false },
    ...(isIP(host) ? {} : { servername: host }),
  });
}

function judgeCertificate(socket: TLSSocket): Check {
  const { valid_to: until } = socket.getPeerCertificate();
  // A name's mismatch is an Error with a code, any other reason a code alone, whatever the types say.
  const reason = socket.authorizationError as unknown;
  if (!socket.authorized) {
    const code = reason instanceof Error ? codeOf(reason) : String(reason);
    const [says, advice] = CERTIFICATE_PROBLEMS[code] ?? [
      `its certificate isn't accepted: ${code}`,
      "Clients won't take it either. Look at it with `openssl s_client -connect`.",
    ];
    return bad("tls", says, advice);
  }
  const left = (Date.parse(until) - Date.now()) / 1000;
  if (left < NEAR_END) {
    return warning("tls", `its certificate ends in ${span(left)}`, "See that it is renewed by itself.");
  }
  return good("tls", `its certificate holds for ${span(left)}`);
}

function portOf({ port, protocol }: URL): number {
  return Number(port || (DEFAULT_PORTS[protocol] ?? 80));
}

function bare(hostname: string): string {
  return hostname.replace(/^\[|\]$/g, "");
}
