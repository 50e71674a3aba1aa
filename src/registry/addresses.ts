/** Which hosts the mirror may connect to: the guard against server-side request forgery (SSRF). */
import ipaddr from "ipaddr.js";

/** Whether the URL's host is this very machine: `localhost`, 127.0.0.0/8 or `::1`. */
export function isLoopback(url: URL): boolean {
  const host = url.hostname.replace(/\.$/, "");
  return (
    host === "localhost" ||
    host.endsWith(".localhost") ||
    host === "[::1]" ||
    /^127\.\d+\.\d+\.\d+$/.test(host)
  );
}

/**
 * Whether the URL's host is a name or address outside the public Internet: private, link-local, loopback,
 * unspecified, multicast or reserved addresses, and names that only a local resolver knows.
 * The URL parser has already normalized every IPv4 notation (decimal, octal, hexadecimal, short) to the dotted form.
 */
export function isInternal(url: URL): boolean {
  const host = url.hostname.replace(/^\[|[\].]$/g, "");
  if (ipaddr.isValid(host)) return !isGlobalUnicast(ipaddr.parse(host));
  return (
    isLoopback(url) ||
    !host.includes(".") ||
    /\.(localdomain|local|internal|lan|home|corp|intranet|arpa)$/.test(host)
  );
}

/** Reserved for documentation by IANA, and not listed by the library (RFC 9637). */
const DOCUMENTATION = ipaddr.IPv6.parseCIDR("3fff::/20");
/** Everything allocated for the public Internet (RFC 4291 §2.4). */
const GLOBAL_UNICAST = ipaddr.IPv6.parseCIDR("2000::/3");

/** Not in a special-purpose block of IANA's, nor an IPv6 address that embeds an IPv4 address. */
function isGlobalUnicast(address: ipaddr.IPv4 | ipaddr.IPv6): boolean {
  if (address.range() !== "unicast") return false;
  return (
    !(address instanceof ipaddr.IPv6) || (address.match(GLOBAL_UNICAST) && !address.match(DOCUMENTATION))
  );
}

/**
 * Whether a registry is within the operator's own network: its content is private to this mirror's users, even where the
 * registry itself asks for no login.
 */
export function isWithinNetwork({ endpoints }: { endpoints: readonly URL[] }): boolean {
  return endpoints.some((endpoint) => isInternal(endpoint));
}
