/** Shared by the tests of a keyed mirror: keys, and the headers with which clients present them. */
import { hashKey } from "../../src/access/keys.ts";

/** Permits everything. */
export const KEY = "k".repeat(32);
/** Permits `docker.io/library/*` except `docker.io/library/secret`. */
export const NARROW = "n".repeat(32);
/** Expired before any test. */
export const EXPIRED = "e".repeat(32);
/** One request a minute. */
export const SLOW = "s".repeat(32);
/** Isn't in the list of keys. */
export const UNKNOWN = "u".repeat(32);

export const KEYED = {
  ACCESS: "keys",
  DOMAIN: "example.com",
  SIGNING_SECRET: "signing-secret-of-32-characters!",
  ACCESS_KEYS: JSON.stringify([
    { name: "all", hash: await hashKey(KEY) },
    {
      name: "narrow",
      hash: await hashKey(NARROW),
      allow: ["docker.io/library/*"],
      deny: ["docker.io/library/secret"],
    },
    { name: "expired", hash: await hashKey(EXPIRED), expires: "2020-01-01T00:00:00Z" },
    { name: "slow", hash: await hashKey(SLOW), rate: 1 },
  ]),
};

export function basic(password: string, username = "portolan"): { Authorization: string } {
  return { Authorization: `Basic ${btoa(`${username}:${password}`)}` };
}

export function bearer(token: unknown): { Authorization: string } {
  return { Authorization: `Bearer ${token}` };
}
