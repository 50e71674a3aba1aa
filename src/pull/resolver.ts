/** What a repository's resolver does: all who ask for the same tag or manifest at the same time wait for one upstream request. */
import type { Digest } from "../oci/digest.ts";
import type { Failure } from "../registry/failure.ts";
import type { TagRecord } from "../store/tag-records.ts";
import type { RepositoryAccess } from "./repository-access.ts";

export interface StoredManifest {
  digest: Digest;
  mediaType: string;
  bytes: Uint8Array;
}

export type Resolution =
  | {
      ok: true;
      record: TagRecord;
      /** The manifest, if it had to be fetched anyway. */
      manifest: StoredManifest | null;
      /** What upstream said: nothing, because the record was fresh after all; the same as before; or something new. */
      said: "nothing" | "the same" | "something new";
    }
  /** `record` is what the tag meant when upstream last said so: what may be served stale. */
  | { ok: false; failure: Failure; record: TagRecord | null };

export type Fetched = { ok: true; manifest: StoredManifest } | { ok: false; failure: Failure };

/** `refetch`: by a GET of the tag whatever is remembered, because the content that the record names is nowhere to be had. */
export type ResolveMode = "GET" | "HEAD" | "refetch";

export interface Resolver {
  resolve(access: RepositoryAccess, tag: string, mode: ResolveMode): Promise<Resolution>;
  fetchManifest(access: RepositoryAccess, digest: Digest): Promise<Fetched>;
  /** Whether all of some blobs are stored. */
  areStored(access: RepositoryAccess, digests: Digest[]): Promise<boolean>;
}
