/** Whether a mirror holds what it was requested, by what it says of its response. */

/**
 * Reads Cache-Status (RFC 9211): `hit` means that no registry had to be requested. Of several caches the first is the one
 * nearest to the registry. Null for a mirror that doesn't say.
 */
export function isStored(headers: Headers): boolean | null {
  const [nearest] = headers.get("cache-status")?.split(",") ?? [];
  if (nearest === undefined) return null;
  const [, ...parameters] = nearest.split(";").map((part) => part.trim());
  return parameters.includes("hit");
}
