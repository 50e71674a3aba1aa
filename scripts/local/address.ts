/** The address that the mirror listens on, in the forms for workerd, URLs and people. */
import { lookup } from "node:dns/promises";
import { once } from "node:events";
import { type AddressInfo, createServer, type Server } from "node:net";
import { networkInterfaces } from "node:os";

/** Addresses that mean all of a machine's addresses. */
const ALL = ["0.0.0.0", "::"];

/** The host and port can't be listened on; `code` is the system's error code. */
export class AddressError extends Error {
  override readonly name = "AddressError";
  readonly code: string;
  constructor(cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  }
}

/**
 * The address to listen on, after testing it: workerd's own error names neither the port nor a remedy.
 * @param host a name or address of this machine.
 * @throws AddressError
 */
export async function addressToListen(host: string, port: number): Promise<string> {
  const probe = await listenOn(host, port);
  const { address } = probe.address() as AddressInfo;
  await new Promise((done) => probe.close(done));
  return `${bracketed(address)}:${port}`;
}

/**
 * A server that drops what it accepts: it is there to be closed, or to hand its socket on.
 * @param host a name or address of this machine.
 * @throws AddressError
 */
export async function listenOn(host: string, port: number): Promise<Server> {
  try {
    const { address } = await lookup(host);
    const server = createServer((connection) => connection.destroy()).listen(port, address);
    await once(server, "listening");
    return server;
  } catch (error) {
    throw new AddressError(error);
  }
}

export type Scheme = "http" | "https";

export function urlOf(host: string, port: number, scheme: Scheme = "http"): string {
  return `${scheme}://${bracketed(host)}:${port}`;
}

/** The URLs by which a mirror is reached that listens on a host: for `0.0.0.0` and `::`, one for each of the machine's addresses. */
export function reachableUrls(host: string, port: number, scheme: Scheme = "http"): string[] {
  if (!ALL.includes(host)) return [urlOf(host, port, scheme)];
  const addresses = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    // A link-local address is useless without its zone.
    .filter(({ family, scopeid }) => (family === "IPv4" || host === "::") && !scopeid)
    // Loopback first: Docker uses plain HTTP for it by default.
    .sort((one, other) => Number(other.internal) - Number(one.internal));
  return addresses.map(({ address }) => urlOf(address, port, scheme));
}

function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}
