/** What a gateway has sent to the mirror that has its hosted repositories, for its owner. */
import { RegistryError } from "../oci/errors.ts";
import type { Gateway, GatewayProcess } from "../push/forward.ts";

/** Since the gateway started. */
export interface Forwarded {
  /** Host of the other mirror. */
  to: string;
  /** Where its pages are: `https://mirror.example.com`. */
  url: string;
  /** Uploads that are neither ended nor given up. */
  uploads: number;
  /** Blobs that were sent. */
  blobs: number;
  /** Blobs that the other mirror had. */
  present: number;
  manifests: number;
  /** Of blobs, also of those that weren't ended. */
  bytes: number;
  /** Requests of pushes that the other mirror refused, or that didn't reach it. */
  failed: number;
}

/** Where the gateway's process says so. */
export const FORWARDED_PATH = "/_forwarded";

/** @throws Error if the gateway's process can't be read. */
export async function readForwarded(process: GatewayProcess): Promise<Forwarded> {
  const response = await process.fetch(`http://gateway${FORWARDED_PATH}`);
  if (!response.ok) throw new Error(`the gateway's process responded with ${response.status}`);
  return response.json();
}

/**
 * To be called before this mirror's own records of hosted repositories are shown or changed: a gateway's own contain nothing that
 * its clients see.
 * @throws RegistryError 409 at a gateway, which names the mirror to ask.
 */
export async function requireOwnHosted(gateway: Pick<Gateway, "process"> | null): Promise<void> {
  if (!gateway) return;
  const { url } = await readForwarded(gateway.process);
  throw new RegistryError(
    409,
    "UNSUPPORTED",
    `hosted repositories are at ${url} (--push-to): ask that mirror`,
  );
}
