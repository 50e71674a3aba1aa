/** Which proxy a URL is to be reached through, by the variables that curl and Go's programs read. */
import { BlockList, isIP } from "node:net";
import { isLoopback } from "../../src/registry/addresses.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

const SCHEMES = ["http:", "https:", "socks5:", "socks5h:"];

/**
 * The proxy for a URL, from HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY in either case; null for none. This machine
 * itself is never requested through one.
 * @throws Error for a proxy that isn't a URL of a kind that is known here.
 */
export function proxyFor(url: URL, environment: Environment): URL | null {
  const own = url.protocol === "https:" ? "https_proxy" : "http_proxy";
  const name = [own, "all_proxy"].find((each) => variable(environment, each) !== "");
  if (name === undefined || isLoopback(url) || isExempt(url, variable(environment, "no_proxy"))) return null;
  const text = variable(environment, name);
  const proxy = URL.parse(/^[a-z0-9]+:\/\//i.test(text) ? text : `http://${text}`);
  if (!proxy || proxy.hostname === "" || !SCHEMES.includes(proxy.protocol)) {
    const kinds = SCHEMES.map((scheme) => `${scheme}//`).join(", ");
    throw new Error(`${name.toUpperCase()} must be a URL that begins with one of ${kinds}`);
  }
  return proxy;
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
  const [, network = "", prefix] = /^([^/]+)\/(\d{1,3})$/.exec(entry) ?? [];
  const family = isIP(network);
  if (family === 0 || isIP(host) !== family || Number(prefix) > (family === 4 ? 32 : 128)) return false;
  const kind = family === 4 ? "ipv4" : "ipv6";
  const block = new BlockList();
  block.addSubnet(network, Number(prefix), kind);
  return block.check(host, kind);
}
