/** A repository's resolver: simultaneous requests for the same tag or manifest share one upstream request. */
import type { Digest } from "../oci/digest.ts";
import type { Failure } from "../registry/failure.ts";
import type { TagRecord } from "../store/tag-records.ts";
import type { RepositoryAccess } from "./repository-access.ts";

export interface StoredManifest {
  digest: Digest;
  mediaType: string;
  bytes: Uint8Array;
}

/**
 * How a tag compares with its record: `unchecked` where the record was fresh and upstream wasn't requested; `deleted` where
 * upstream has it no more and KEEP keeps it.
 */
export type TagChange = "unchecked" | "unchanged" | "changed" | "deleted";

export type Resolution =
  | {
      ok: true;
      record: TagRecord;
      /** The manifest, if it had to be fetched anyway. */
      manifest: StoredManifest | null;
      change: TagChange;
      /** Whether the tag names another digest by now. */
      isPast?: boolean;
    }
  | {
      ok: false;
      failure: Failure;
      /** What the tag named when upstream last confirmed it, which may be served stale. */
      record: TagRecord | null;
      /** What it names by the agreement of other sources, which is no confirmation: it is never recorded. */
      agreed: AgreedManifest | null;
    };

/** A manifest on whose digest `votes` of `sources` agreed. */
export interface AgreedManifest {
  manifest: StoredManifest;
  votes: number;
  sources: number;
}

export type Fetched = { ok: true; manifest: StoredManifest } | { ok: false; failure: Failure };

/** `refetch`: by a GET of the tag whatever is remembered, because the content that the record names exists nowhere. */
export type ResolveMode = "GET" | "HEAD" | "refetch";

/** A tag to resolve. */
export interface TagRequest {
  tag: string;
  mode: ResolveMode;
  /** What it named at the end of a day (UTC) is meant: `2026-11-01`. Null for what is served today. */
  day: string | null;
}

export interface Resolver {
  resolve(
    access: RepositoryAccess,
    tag: string,
    mode: ResolveMode,
    day?: TagRequest["day"],
  ): Promise<Resolution>;
  fetchManifest(access: RepositoryAccess, digest: Digest): Promise<Fetched>;
  /** Whether all of some blobs are stored. */
  areStored(access: RepositoryAccess, digests: Digest[]): Promise<boolean>;
}
