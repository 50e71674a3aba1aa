/** ACCESS_KEYS, as it is written: by `portolan key` into a file, and from there into the secret. */
import * as v from "valibot";
import type { AccessKey } from "./keys.ts";
import { isPattern } from "./patterns.ts";

const PATTERN = "must be a pattern such as docker.io/library/* or ghcr.io/owner/image";

export const pattern = v.pipe(v.string(PATTERN), v.check(isPattern, PATTERN));

const NAME = "must be a name of letters, digits and . _ @ -";
const HASH = "must be a SHA-256 in hexadecimal";
const TIME = "must be a time such as 2027-01-31T00:00:00Z";
const RATE = "must be a whole number, 1 at least";
const PATTERNS = "must be a list of patterns";
const SHAPE = "must be a key as `portolan key` writes it, with a name and a hash";

/** One key as it is written. Every message is ours: the library's own would repeat what it is about, which may be a key. */
const writtenKey = v.strictObject(
  {
    name: v.pipe(v.string(NAME), v.regex(/^[A-Za-z0-9._@-]{1,64}$/, NAME)),
    /** SHA-256 in lower-case hexadecimal. */
    hash: v.pipe(v.string(HASH), v.regex(/^[0-9a-f]{64}$/, HASH)),
    allow: v.optional(v.array(pattern, PATTERNS)),
    deny: v.optional(v.array(pattern, PATTERNS)),
    push: v.optional(v.array(pattern, PATTERNS)),
    delete: v.optional(v.array(pattern, PATTERNS)),
    /** ISO 8601, in UTC. */
    expires: v.optional(v.pipe(v.string(TIME), v.isoTimestamp(TIME))),
    /** Requests a minute. */
    rate: v.optional(v.pipe(v.number(RATE), v.integer(RATE), v.minValue(1, RATE))),
  },
  SHAPE,
);

export type WrittenKey = v.InferOutput<typeof writtenKey>;

/** The list as it is written; names and hashes are unique. */
export const writtenKeys = v.pipe(
  v.array(writtenKey, "must be a list of keys, as `portolan key` writes it"),
  v.check((keys) => areUnique(keys.map(({ name }) => name)), "has a name twice"),
  v.check((keys) => areUnique(keys.map(({ hash }) => hash)), "has a key twice"),
);

/** A key as the gate uses it. */
export function readKey({
  name,
  hash,
  allow = [],
  deny = [],
  push = [],
  delete: deletes = [],
  expires,
  rate,
}: WrittenKey): AccessKey {
  return {
    name,
    hash,
    allow,
    deny,
    push,
    delete: deletes,
    expires: expires === undefined ? null : Date.parse(expires),
    rate: rate ?? null,
  };
}

function areUnique(texts: readonly string[]): boolean {
  return new Set(texts).size === texts.length;
}
