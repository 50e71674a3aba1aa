/** Who may see and change what the mirror holds: the holder of ADMIN_KEY, who sends it as a bearer token. */
import { RegistryError } from "../oci/errors.ts";
import { hashKey } from "./keys.ts";

/**
 * Only the Authorization header counts, which no page of another site can send. Hashes are compared, so that how long it takes
 * says nothing of what would have been right.
 * @param adminKey null: there is none, and every request is refused.
 * @throws RegistryError 401 or 403.
 */
export async function requireAdmin(headers: Headers, adminKey: string | null): Promise<void> {
  if (adminKey === null) {
    throw new RegistryError(
      403,
      "DENIED",
      "this mirror has no ADMIN_KEY: set it as a secret of 32 characters or more",
    );
  }
  const shown = /^Bearer +(\S+)$/i.exec(headers.get("Authorization") ?? "")?.[1] ?? "";
  if ((await hashKey(shown)) === (await hashKey(adminKey))) return;
  throw new RegistryError(401, "UNAUTHORIZED", "this takes the mirror's ADMIN_KEY, as a bearer token", {
    "WWW-Authenticate": 'Bearer realm="portolan-admin"',
  });
}
