/** What it means to the owner that a Durable Object fails: what it alone knows can't be had for a while. */
import { RegistryError } from "../oci/errors.ts";

/** @returns null for an error that no Durable Object has thrown: those are marked by the platform. */
export function unavailable(error: unknown): RegistryError | null {
  if (!(error instanceof Error) || !("remote" in error)) return null;
  console.warn(`the mirror's records can't be read: ${error}`);
  const message = "the mirror's records can't be read or changed at the moment: try again";
  return new RegistryError(503, "UNAVAILABLE", message, { "Retry-After": "5" });
}
