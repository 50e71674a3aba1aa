/** Which proxy a URL is to be reached through, by the variables that curl and Go's programs read. */
import ipaddr from "ipaddr.js";
import { isLoopback } from "./addresses.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

const SCHEMES = ["http:", "https:", "socks5:", "socks5h:"];

/** The variables that name proxies, in lower case. */
export const PROXY_VARIABLES = ["https_proxy", "http_proxy", "all_proxy", "no_proxy"];

/**
 * The proxy for a URL, from HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY in either case; null for none. This machine
 * itself is never requested through one.
 * @throws Error for a proxy that isn't a URL of a kind that is known here.
 */
export function proxyFor(url: URL, environment: Environment): URL | null {
  const own = url.protocol === "https:" ? "https_proxy" : "http_proxy";
  const name = [own, "all_proxy"].find((each) => variable(environment, each) !== "");
  if (name === undefined || isLoopback(url) || isExempt(url, variable(environment, "no_proxy"))) return null;
  const proxy = parseProxy(variable(environment, name));
  if (!proxy) throw new Error(`${name.toUpperCase()} ${PROXY_FORM}`);
  return proxy;
}

/** What is wrong with a text that `parseProxy` doesn't accept. */
export const PROXY_FORM = `must be a URL that begins with one of ${SCHEMES.map((scheme) => `${scheme}//`).join(", ")}`;

/** A proxy's URL, `http` where it names no scheme; null for what can't be one. */
export function parseProxy(text: string): URL | null {
  const proxy = URL.parse(/^[a-z0-9]+:\/\//i.test(text) ? text : `http://${text}`);
  return proxy && proxy.hostname !== "" && SCHEMES.includes(proxy.protocol) ? proxy : null;
}

/** A proxy's URL without its password, for messages. */
export function shownProxy({ protocol, username, host }: URL): string {
  return `${protocol}//${username === "" ? "" : `${username}:***@`}${host}`;
}

function variable(environment: Environment, name: string): string {
  return (environment[name] ?? environment[name.toUpperCase()] ?? "").trim();
}

/** NO_PROXY: names with all below them, addresses, blocks of addresses (`10.0.0.0/8`), each with a port or without; `*`. */
function isExempt(url: URL, list: string): boolean {
  const host = url.hostname.replace(/^\[|\]$|\.$/g, "");
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  return list.split(/[\s,]+/).some((entry) => {
    if (entry === "") return false;
    if (entry === "*" || isInBlock(host, entry)) return true;
    const [, bare = entry, only] = /^(\[.+\]|[^:]*):(\d+)$/.exec(entry) ?? [];
    if (only !== undefined && only !== port) return false;
    const name = bare.replace(/^\[|\]$|\.$/g, "").toLowerCase();
    const suffix = name.replace(/^\*?\.?/, ".");
    return host.endsWith(suffix) || (!name.startsWith("*") && host === suffix.slice(1));
  });
}

function isInBlock(host: string, entry: string): boolean {
  const [network = "", prefix, ...rest] = entry.split("/");
  if (prefix === undefined || rest.length > 0 || !/^\d{1,3}$/.test(prefix)) return false;
  if (!ipaddr.isValid(network) || !ipaddr.isValid(host)) return false;
  const [block, address] = [ipaddr.parse(network), ipaddr.parse(host)];
  const bits = block.kind() === "ipv4" ? 32 : 128;
  if (block.kind() !== address.kind() || Number(prefix) > bits) return false;
  return address.match(block, Number(prefix));
}
