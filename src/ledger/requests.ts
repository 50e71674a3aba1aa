/** What the owner's requests carry: checked against the schemas that `/_/openapi.json` shows. */
import type { Context } from "hono";
import * as v from "valibot";
import { DigestSchema } from "../oci/digest-schema.ts";
import { RegistryError } from "../oci/errors.ts";
import { isEvictable, isStoreKey } from "../store/store.ts";

/** Bytes of the largest request body. */
const LARGEST_BODY = 256 * 1024;

export const PageQuery = v.object({
  /** Of the page before. */
  cursor: v.optional(v.string()),
});
export const StatsQuery = v.object({
  hours: v.optional(v.pipe(v.string(), v.regex(/^[1-9]\d{0,5}$/), v.transform(Number)), "24"),
});
export const ManifestQuery = v.object({
  visibility: v.optional(v.picklist(["public", "private"]), "public"),
});
export const FeedQuery = v.object({
  /** By the Accept field if absent. */
  format: v.optional(v.picklist(["atom", "json"])),
});

/** Entries that one request removes. */
export const MOST_REMOVED = 100;
export const RemovalRequest = v.strictObject({
  images: v.pipe(v.array(v.pipe(v.string(), v.maxLength(512))), v.minLength(1), v.maxLength(MOST_REMOVED)),
  dryRun: v.optional(v.boolean(), false),
});

export const PurgeRequest = v.strictObject({
  tags: v.optional(
    v.pipe(
      v.array(
        v.strictObject({
          upstream: v.string(),
          repository: v.string(),
          tag: v.string(),
          visibility: v.picklist(["public", "private"]),
        }),
      ),
      v.maxLength(MOST_REMOVED),
    ),
    [],
  ),
  objects: v.optional(
    v.pipe(
      v.array(
        v.pipe(
          v.string(),
          v.check((key) => isStoreKey(key) && isEvictable(key)),
        ),
      ),
      v.maxLength(MOST_REMOVED),
    ),
    [],
  ),
});

const PLATFORM = /^[a-z0-9]+\/[a-z0-9_-]+(\/[a-z0-9.]+)?$/;

export const WarmRequest = v.strictObject({
  /** As in docker pull: `docker.io/library/alpine:3`. */
  image: v.string(),
  /** All if empty. */
  platforms: v.optional(v.pipe(v.array(v.pipe(v.string(), v.regex(PLATFORM))), v.maxLength(20)), []),
  /** Of the response before. */
  cursor: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0)), 0),
});

/** One line, of what any terminal can show. */
const Reason = v.pipe(v.string(), v.maxLength(200), v.regex(/^[^\p{C}\p{Zl}\p{Zp}]*$/u));
export const RecallRequest = v.strictObject({
  digest: DigestSchema,
  reason: v.optional(Reason, ""),
});

export const ReleaseRequest = v.strictObject({ image: v.string() });

export const PinRequest = v.strictObject({ pattern: v.pipe(v.string(), v.maxLength(512)) });

const Patterns = v.optional(v.array(v.string()), []);
const Expires = v.nullable(v.pipe(v.string(), v.isoTimestamp()));
const Terms = {
  allow: Patterns,
  deny: Patterns,
  push: Patterns,
  delete: Patterns,
  expires: v.optional(Expires, null),
  rate: v.optional(v.nullable(v.pipe(v.number(), v.integer(), v.minValue(1))), null),
};
export const MakeRequest = v.strictObject({ name: v.string(), ...Terms });
export const TermsRequest = v.strictObject(Terms);
/** Left out, it ends when the former one would. */
export const RotateRequest = v.strictObject({ expires: v.optional(Expires) });

/** @param message what the request has to be. @throws RegistryError 400 */
export function parsed<const Schema extends v.GenericSchema>(
  schema: Schema,
  given: unknown,
  message: string,
): v.InferOutput<Schema> {
  const result = v.safeParse(schema, given);
  if (result.success) return result.output;
  throw new RegistryError(400, "UNSUPPORTED", message);
}

/** @throws RegistryError 400 */
export function queryOf<const Schema extends v.GenericSchema>(
  { req }: Context,
  schema: Schema,
  message: string,
): v.InferOutput<Schema> {
  return parsed(schema, req.query(), message);
}

/** The page of a list that is requested; null for the first. */
export function cursorOf({ req }: Context): string | null {
  return parsed(PageQuery, req.query(), "cursor is that of the page before").cursor ?? null;
}

/** A body's JSON; null for any other. @throws RegistryError 413 */
export async function bodyOf({ req }: Context): Promise<unknown> {
  // A body of unknown length isn't read.
  const isSmall = Number(req.header("Content-Length") ?? Number.NaN) <= LARGEST_BODY;
  if (!isSmall) throw new RegistryError(413, "SIZE_INVALID", "the body is too large");
  return req.json().catch(() => null);
}
