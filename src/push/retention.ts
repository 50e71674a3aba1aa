/** Which tags HOSTED_RETENTION keeps. */
import { matchesAny } from "../access/patterns.ts";
import type { HostedSettings } from "../hosted-settings.ts";
import type { Digest } from "../oci/digest.ts";
import type { Retention } from "../retention-settings.ts";

export interface TagTime {
  tag: string;
  digest: Digest;
  /** When it was pushed last; milliseconds since the epoch. */
  updated: number;
}

/** The rule for a repository; null where all is kept. Nothing is ever deleted from an immutable one. */
export function retentionFor(
  { path, immutable, retention }: Pick<HostedSettings, "path" | "immutable" | "retention">,
  repository: string,
): Retention | null {
  const name = `${path}/${repository}`;
  if (matchesAny(immutable, name)) return null;
  return retention.find(({ pattern }) => matchesAny([pattern], name)) ?? null;
}

/**
 * The tags that a rule doesn't keep. Signatures and the like, whose tags name another manifest (`sha256-….sig`), are kept as
 * long as that is, and count for nothing.
 */
export function expiredTags(
  tags: readonly TagTime[],
  { keep, younger, tags: patterns }: Retention,
  now: number,
): TagTime[] {
  return tags
    .filter(({ tag }) => subjectOf(tag) === null)
    .sort((one, other) => other.updated - one.updated || (one.tag < other.tag ? 1 : -1))
    .filter(({ tag, updated }, at) => at >= keep && now - updated >= younger && !matchesAny(patterns, tag));
}

/** The manifest that a tag says it belongs to, as cosign and the referrers tag schema write it. */
export function subjectOf(tag: string): Digest | null {
  const hex = /^sha256-([0-9a-f]{64})(\.[\w.-]+)?$/.exec(tag)?.[1];
  return hex === undefined ? null : (`sha256:${hex}` as Digest);
}
