/** ACCESS_KEYS, as it is written: by `portolan key` into a file, and from there into the secret. */
import * as v from "valibot";
import type { AccessKey } from "./keys.ts";
import { isPattern } from "./patterns.ts";

const PATTERN = "must be a pattern such as docker.io/library/* or ghcr.io/owner/image";

export const pattern = v.pipe(v.string(PATTERN), v.check(isPattern, PATTERN));

/** One key as it is written. */
const writtenKey = v.strictObject({
  name: v.pipe(
    v.string(),
    v.regex(/^[A-Za-z0-9._@-]{1,64}$/, "must be a name of letters, digits and . _ @ -"),
  ),
  /** SHA-256 in lower-case hexadecimal. */
  hash: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/, "must be a SHA-256 in hexadecimal")),
  allow: v.optional(v.array(pattern)),
  deny: v.optional(v.array(pattern)),
  /** ISO 8601, in UTC. */
  expires: v.optional(v.pipe(v.string(), v.isoTimestamp("must be a time such as 2027-01-31T00:00:00Z"))),
  /** Requests a minute. */
  rate: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1, "must be 1 at least"))),
});

export type WrittenKey = v.InferOutput<typeof writtenKey>;

/** The list as it is written; names and hashes are unique. */
export const writtenKeys = v.pipe(
  v.array(writtenKey, "must be a list of keys, as `portolan key` writes it"),
  v.check((keys) => areUnique(keys.map(({ name }) => name)), "has a name twice"),
  v.check((keys) => areUnique(keys.map(({ hash }) => hash)), "has a key twice"),
);

/** A key as the gate uses it. */
export function readKey({ name, hash, allow = [], deny = [], expires, rate }: WrittenKey): AccessKey {
  return {
    name,
    hash,
    allow,
    deny,
    expires: expires === undefined ? null : Date.parse(expires),
    rate: rate ?? null,
  };
}

function areUnique(texts: readonly string[]): boolean {
  return new Set(texts).size === texts.length;
}
