/** Which hosts the mirror may be sent to: the guard against being used to reach its own network (SSRF). */

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
 * Whether the URL's host is a name or address that is no part of the public Internet: private, link-local, loopback,
 * unspecified, multicast or reserved addresses, and names that only a local resolver knows.
 * The URL parser has already brought every IPv4 spelling (decimal, octal, hexadecimal, short) into dotted form.
 */
export function isInternal(url: URL): boolean {
  const host = url.hostname.replace(/\.$/, "");
  if (host.startsWith("[")) return isInternalIPv6(host.slice(1, -1));
  const octets = host.split(".").map(Number);
  if (octets.length === 4 && octets.every((octet) => Number.isInteger(octet))) return isInternalIPv4(octets);
  return (
    isLoopback(url) ||
    !host.includes(".") ||
    /\.(localdomain|local|internal|lan|home|corp|intranet|arpa)$/.test(host)
  );
}

/** The blocks of the IANA special-purpose registry that no public registry can live in. */
function isInternalIPv4([a = 0, b = 0, c = 0]: number[]): boolean {
  if (a === 0 || a === 10 || a === 127 || a >= 224) return true;
  if (a === 100 && b >= 64 && b <= 127) return true;
  if (a === 169 && b === 254) return true;
  if (a === 172 && b >= 16 && b <= 31) return true;
  if (a === 192 && (b === 168 || (b === 0 && (c === 0 || c === 2)))) return true;
  if (a === 198 && (b === 18 || b === 19 || (b === 51 && c === 100))) return true;
  return a === 203 && b === 0 && c === 113;
}

/** Only global unicast (2000::/3) is public; of that, what embeds an IPv4 address or documents is refused as well. */
function isInternalIPv6(address: string): boolean {
  const first = Number.parseInt(address, 16);
  if (!(first >= 0x2000 && first <= 0x3fff)) return true;
  return /^(2001:(0?:|db8:)|2002:|3fff:)/.test(address);
}

/**
 * Whether an upstream lies within the operator's own network: what it serves is for whom the operator lets in, also where
 * the registry itself asks for no login.
 */
export function isWithinNetwork({ endpoints }: { endpoints: readonly URL[] }): boolean {
  return endpoints.some((endpoint) => isInternal(endpoint));
}
