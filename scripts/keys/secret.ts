/** The list of access keys as a secret of a deployed Worker. */
import type { WrittenKey } from "../../src/access/key-list.ts";

/** Bytes that a secret of a Worker may have, as Cloudflare's limits for variables say. */
const MAXIMUM_SECRET = 5 * 1024;

/**
 * The list as the secret ACCESS_KEYS.
 * @throws Error if Cloudflare would not take it.
 */
export function asSecret(list: readonly WrittenKey[]): string {
  const text = JSON.stringify(list);
  const size = Buffer.byteLength(text);
  if (size <= MAXIMUM_SECRET) return text;
  throw new Error(
    `the list of keys has ${size} bytes, and a secret of a Worker may have ${MAXIMUM_SECRET}; revoke keys that have expired, or give several people one key`,
  );
}
