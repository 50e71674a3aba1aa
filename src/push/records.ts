/**
 * The records of hosted repositories: which content each has, its tags, its referrers, and the uploads that are under way.
 * `objects/hosted-records.ts` keeps them in one Durable Object, so that every change is atomic and all see it at once.
 */
import type { Digest } from "../oci/digest.ts";
import type { AppendBound, ContentKind } from "../store/store.ts";
import type { Reference } from "./target.ts";

export interface ManifestRecord {
  digest: Digest;
  mediaType: string;
  /** Bytes. */
  size: number;
}

/** A manifest that is being pushed. */
export interface NewManifest extends ManifestRecord {
  /** The content that it needs: an image's config and layers, an index's manifests. */
  references: readonly { kind: ContentKind; digest: Digest }[];
  subject: Digest | null;
  artifactType: string | null;
  annotations: Record<string, string>;
}

/** A descriptor in a list of referrers (distribution-spec, "Listing Referrers"). */
export interface Referrer {
  mediaType: string;
  digest: Digest;
  size: number;
  artifactType?: string;
  annotations?: Record<string, string>;
}

/** A page of a list of referrers, the earliest pushed first. */
export interface ReferrersPage {
  /** Null for all types. */
  artifactType: string | null;
  /** The last one of the page before; null for the first page. */
  after: ReferrerPlace | null;
}

/** Where a referrer stands in the list, which doesn't change when another one is deleted. */
export interface ReferrerPlace {
  /** Milliseconds since the epoch. */
  pushed: number;
  digest: Digest;
}

/** The rules of the configuration that apply to one repository. */
export interface Policy {
  /** A tag, once pushed, names this manifest for ever, and nothing is deleted. */
  isImmutable: boolean;
  /** Whether a manifest may reference content that isn't here. */
  allowsSparse: boolean;
  /**
   * Bytes that all repositories of a pattern may have together, what they had included until it is collected; null for no quota.
   */
  quota: { pattern: string; bytes: number } | null;
}

export type PutManifestResult =
  | { kind: "stored" }
  /** The first of them. */
  | { kind: "missing"; references: NewManifest["references"] }
  | { kind: "immutable"; tag: string }
  | { kind: "over-quota" };

export type DeleteResult = "deleted" | "unknown" | "immutable";

/** Part of an upload, stored under a key of its own; what exceeds `size` of it is padding. */
export interface Part {
  key: string;
  /** Bytes. */
  size: number;
}

/** An upload counts for the quota as far as it has come. */
export type StartedUpload =
  | { kind: "started"; id: string }
  | { kind: "over-quota" }
  /** The repository has as many as it may have at a time. */
  | { kind: "too-many" };

export type PartClaim =
  /** @property bound what the quota leaves for the uploads that are under way; null without a quota. */
  | { kind: "claimed"; holder: string; offset: number; bound: AppendBound | null }
  | { kind: "unknown" }
  | { kind: "over-quota" }
  /** The part doesn't begin where the upload ends. */
  | { kind: "out-of-order"; offset: number };

export type AddedPart =
  /** @property offset bytes that the upload has now. */
  | { kind: "added"; offset: number }
  /** The claim has ended. */
  | { kind: "taken" }
  /** The upload has ended, and what it had is deleted. */
  | { kind: "over-quota" };

/** A page of names in lexical order, those after `last`. */
export interface Page {
  last: string | null;
  limit: number;
}

/** What garbage collection frees, or would free. */
export interface Collected {
  /** Tags that HOSTED_RETENTION doesn't keep. */
  tags: number;
  /** Blobs that no manifest of their repository references. */
  unlinked: number;
  /** Stored objects that no repository has. */
  deleted: number;
  /** Bytes of those. */
  freed: number;
  /** Uploads that were given up. */
  uploads: number;
  /** Bytes that no tag, manifest or push needs any more, and that are freed once they have been so for a day or two. */
  waiting: number;
  /** Whether there is more to free at once. */
  hasMore: boolean;
}

export interface HostedRecords {
  /** Bytes of a blob that the repository has; null if it hasn't. */
  findBlob(repository: string, digest: Digest): Promise<number | null>;
  /** Some repositories that have a blob. */
  repositoriesWith(digest: Digest): Promise<string[]>;
  findManifest(repository: string, reference: Reference): Promise<ManifestRecord | null>;
  /** Null for an unknown repository. */
  listTags(repository: string, page: Page): Promise<{ names: string[]; hasMore: boolean } | null>;
  listRepositories(page: Page): Promise<{ names: string[]; hasMore: boolean }>;
  /** As many as a page has, at least one where there is one. @property last null after the last page. */
  listReferrers(
    repository: string,
    subject: Digest,
    page: ReferrersPage,
  ): Promise<{ referrers: Referrer[]; last: ReferrerPlace | null }>;

  /** Records a manifest whose content is stored, and lets tags name it. */
  putManifest(
    repository: string,
    manifest: NewManifest,
    tags: readonly string[],
    policy: Policy,
  ): Promise<PutManifestResult>;
  deleteTag(repository: string, tag: string, policy: Policy): Promise<DeleteResult>;
  deleteManifest(repository: string, digest: Digest, policy: Policy): Promise<DeleteResult>;
  deleteBlob(repository: string, digest: Digest, policy: Policy): Promise<DeleteResult>;

  startUpload(repository: string, policy: Policy): Promise<StartedUpload>;
  /** Bytes that an upload has; null for one that is unknown or has expired. */
  findUpload(repository: string, id: string): Promise<number | null>;
  cancelUpload(repository: string, id: string): Promise<boolean>;
  /**
   * Makes the caller the one who appends. A later claim ends an earlier one, whose client may be gone without a trace.
   * @param body the byte at which the caller's content begins, its bytes, and the digest of the whole; null where it doesn't say.
   */
  claimUpload(
    repository: string,
    id: string,
    body: { start: number | null; length: number | null; digest: Digest | null },
    policy: Policy,
  ): Promise<PartClaim>;
  addPart(id: string, holder: string, part: Part, policy: Policy): Promise<AddedPart>;
  /** The parts in their order; null if the claim has ended. */
  partsOf(id: string, holder: string): Promise<readonly Part[] | null>;

  /** Protects content that is about to be stored from garbage collection, and waits for one that deletes it just now. */
  reserve(kind: ContentKind, digest: Digest): Promise<void>;
  /** As `reserve`, for a manifest that is to be put. @returns false, without reserving it, if it exceeds the quota. */
  reserveManifest(
    repository: string,
    manifest: { digest: Digest; size: number },
    policy: Policy,
  ): Promise<boolean>;
  /** Whether a repository may have a blob more, all running uploads counted. */
  hasRoom(blob: { digest: Digest; size: number }, policy: Policy): Promise<boolean>;
  /**
   * Gives a repository a blob that is stored.
   * @param upload the upload that it came from, which ends; null for none.
   * @returns false if that exceeds the quota: the blob counts for it until it is collected.
   */
  linkBlob(
    repository: string,
    blob: { digest: Digest; size: number },
    upload: string | null,
    policy: Policy,
  ): Promise<boolean>;

  /**
   * Deletes the tags that aren't to be kept, and frees what isn't referenced, a day after it was last.
   * @param isDryRun whether it is only counted.
   */
  collect(isDryRun: boolean): Promise<Collected>;
}
