/** Distinguishes failures of a proxy from those of a registry. */
import { causeOf, codeOf, RegistryFailure } from "./failure.ts";

/** Our own code for a proxy that won't do it a moment later either. */
const PROXY = "PROXY";

/** Codes of connections that broke, or weren't made in time: another may do. */
const TRANSIENT = [
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "EAI_AGAIN",
  "UND_ERR_SOCKET",
  "UND_ERR_CONNECT_TIMEOUT",
];
/** Codes of connections that can't be made. */
const UNREACHABLE = ["ECONNREFUSED", "ENOTFOUND", "EHOSTUNREACH", "ENETUNREACH"];

/**
 * The failure that is a proxy's own, for a request that went through it; null for any other.
 * @param url what was requested.
 */
export function proxyFailure(proxy: URL, url: URL, error: unknown): RegistryFailure | null {
  const cause = causeOf(error);
  const code = codeOf(error);
  const fails = (why: string, isTransient = false) =>
    new RegistryFailure(0, isTransient ? "UNAVAILABLE" : PROXY, `the proxy ${proxy.host} ${why}`);
  const tunnel = /^Proxy response \((\d{3})\)/.exec(cause)?.[1];
  if (tunnel === "407" || /\(407\)|authentication/i.test(cause)) {
    const login = proxy.username === "" ? "wants a login" : "refuses its login";
    return fails(`${login}: set HTTPS_PROXY to ${proxy.protocol}//user:password@${proxy.host}`);
  }
  if (tunnel !== undefined) {
    return fails(`answered ${tunnel} to CONNECT ${url.host}`, tunnel.startsWith("5"));
  }
  if (code.startsWith("UND_ERR_SOCKS5")) return fails(`can't connect to ${url.host}: ${cause}`);
  if (UNREACHABLE.includes(code)) return fails(`can't be reached: ${cause}; check HTTPS_PROXY and ALL_PROXY`);
  return TRANSIENT.includes(code) ? fails(`broke off the connection to ${url.host}: ${cause}`, true) : null;
}
