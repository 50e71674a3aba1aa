/** Whose address a request comes from. */
import { isInternal } from "../registry/addresses.ts";

/**
 * Cloudflare says it in CF-Connecting-IP. On one machine the runtime knows who has connected; the header is then taken
 * from a peer on this machine or in a private network, where a proxy in front may stand, and from no other.
 * @returns null where it isn't known.
 */
export function clientAddress({ headers, cf }: Request): string | null {
  const named = headers.get("CF-Connecting-IP");
  const peer = peerOf((cf as { clientIp?: string } | undefined)?.clientIp);
  if (peer === null) return named;
  const host = peer.includes(":") ? `[${peer}]` : peer;
  return named !== null && isInternal(new URL(`http://${host}`)) ? named : peer;
}

/** `127.0.0.1:8787`, `[::1]:8787`, or an IPv4 address as IPv6 sockets write it, without the port and what stands around it. */
function peerOf(clientIp: string | undefined): string | null {
  return /^\[?(?:::ffff:(?=\d+\.))?(.+?)\]?:\d+$/.exec(clientIp ?? "")?.[1] ?? null;
}
