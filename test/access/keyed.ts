/** What the tests of a keyed mirror share: keys, and the ways in which clients show them. */
import { hashKey } from "../../src/access/keys.ts";

/** Opens everything. */
export const KEY = "k".repeat(32);
/** Opens `docker.io/library/*` but for `docker.io/library/secret`. */
export const NARROW = "n".repeat(32);
/** Ended before any test. */
export const EXPIRED = "e".repeat(32);
/** One request a minute. */
export const SLOW = "s".repeat(32);
/** Was valid once, or never. */
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
