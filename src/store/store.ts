/** The store of content: what it must be able to do, whatever it is made of, and where things lie in it. */
import { type Digest, digestParts, parseDigest } from "../oci/digest.ts";
import type { ByteRange } from "../oci/range.ts";

export interface StoredHead {
  /** Bytes of the whole object. */
  size: number;
  /** As given to `put`, else null. */
  contentType: string | null;
}

export interface StoredObject extends StoredHead {
  body: ReadableStream<Uint8Array>;
  /** What of the object the body holds, where a range was requested. */
  range: { offset: number; length: number } | null;
}

export interface PutOptions {
  /** What the content must hash to, else nothing is stored; absent for parts of an upload, whose digest isn't known. */
  digest?: Digest;
  contentType?: string;
}

/** Says that a range lies outside an object of `size` bytes. */
export class RangeNotSatisfiable extends Error {
  override readonly name = "RangeNotSatisfiable";
  readonly size: number;
  constructor(size: number) {
    super(`the range lies outside ${size} bytes`);
    this.size = size;
  }
}

/** Says that content isn't what its digest says. */
export class DigestMismatch extends Error {
  override readonly name = "DigestMismatch";
  constructor(digest: Digest) {
    super(`the content is not ${digest}`);
  }
}

/** Says that the store has no room for content. */
export class StoreFull extends Error {
  override readonly name = "StoreFull";
  constructor() {
    super("the store has no room for it");
  }
}

/** Says that an upload has grown beyond its bound, and that nothing is left of it. */
export class BeyondBound extends Error {
  override readonly name = "BeyondBound";
  constructor() {
    super("the upload has more bytes than it may");
  }
}

/** Bytes of the largest object one put takes (R2: 5 GiB less 5 MiB). */
export const MAXIMUM_PUT = 5 * 1024 ** 3 - 5 * 1024 ** 2;

export interface StoredEntry {
  key: string;
  /** Bytes. */
  size: number;
  /** Milliseconds since the epoch. */
  stored: number;
}

/** An object that is being stored and can be read at the same time. */
export interface StoreFill {
  /**
   * Stores the object, as `put` does, whatever becomes of those who read it. The body is consumed or cancelled in every case.
   * @throws DigestMismatch, or another error if the content is cut short or can't be written.
   */
  write(body: ReadableStream<Uint8Array>): Promise<void>;
  /**
   * The whole, as it is written and at the reader's own pace. It breaks off if the fill fails, and before its last byte if the
   * content isn't what its digest says.
   */
  read(): Promise<ReadableStream<Uint8Array>>;
}

/** What `append` has added to an upload. */
export interface Appended {
  /** Where the upload's content is stored until it is published. */
  key: string;
  /** Bytes, of a body that broke off too. */
  size: number;
  /** What the body broke off with; null if all of it was appended. */
  failure: unknown;
}

/** An append on one machine that a body is awaited for. */
export interface BegunAppend {
  id: string;
  /** Whether the free space is so small that the body may fill the disk. */
  mayFillDisk: boolean;
}

/** What all appends of a group that are under way may bring together. */
export interface AppendBound {
  group: string;
  bytes: number;
}

/** Uploads that grow in place, in a store which can append. */
export interface GrowingUploads {
  /**
   * Appends a body to an upload, and discards what lies beyond `offset` first. An append that is under way ends.
   * @param upload a UUID.
   * @param offset bytes that the upload has.
   * @param length bytes of the body; null if it doesn't say.
   * @param bound null for none.
   * @returns null if another append has ended this one.
   * @throws StoreFull or BeyondBound; nothing is left of the upload then.
   */
  append(
    upload: string,
    offset: number,
    body: ReadableStream<Uint8Array>,
    length: number | null,
    bound: AppendBound | null,
  ): Promise<Appended | null>;
  /**
   * Makes an upload an object. The upload ends, unless it throws.
   * @param size bytes that the upload has.
   * @throws DigestMismatch
   */
  publish(upload: string, size: number, key: string, digest: Digest): Promise<void>;
}

/** A piece of an object that is too large for one put. */
export interface Piece {
  /** Bytes; the same for all pieces but the last. */
  length: number;
  /** Writes them, and closes the stream. */
  write(writable: WritableStream<Uint8Array>): Promise<void>;
}

export interface FillOptions {
  digest: Digest;
  /** Bytes, at least one. */
  size: number;
  /** Whether `head` and `get` give the object to other requests while it is being stored. */
  isShared: boolean;
}

export interface Store {
  /** Begins a fill; absent, or null, where objects can't be read before they are stored: `put` then. */
  openFill?(key: string, options: FillOptions): Promise<StoreFill | null>;
  /** Absent where objects can't be appended to. */
  uploads?: GrowingUploads;
  head(key: string): Promise<StoredHead | null>;
  /** @throws RangeNotSatisfiable */
  get(key: string, range?: ByteRange): Promise<StoredObject | null>;
  /**
   * Publishes an object whole or not at all. A stream must be of known length (a FixedLengthStream's readable side or
   * a branch of it); it is consumed or cancelled in every case.
   * @throws DigestMismatch, or another error if the content is cut short or can't be written.
   */
  put(key: string, body: ReadableStream<Uint8Array> | Uint8Array, options: PutOptions): Promise<void>;
  /** Bytes of the largest object that `put` takes. */
  readonly maximumPut: number;
  /** Publishes a larger one, whole or not at all. Its content isn't checked: it must have been before. */
  putPieces(key: string, pieces: readonly Piece[]): Promise<void>;
  /**
   * Copies an object within the store; no byte of it passes JavaScript.
   * @param digest what it must hash to.
   * @returns false where there is no such object.
   */
  copy(from: string, to: string, digest: Digest): Promise<boolean>;
  /** Deletes 1,000 objects at most. */
  delete(keys: string[]): Promise<void>;
  /** What lies under a prefix, ordered by key, a page at a time; `cursor` is null after the last. */
  list(prefix: string, cursor?: string): Promise<{ entries: StoredEntry[]; cursor: string | null }>;
}

/** The key of no object: it is looked up to see whether the store can be reached. */
export const HEALTH_KEY = "health";

/**
 * Whom content is for: `public` is what anybody could have had from upstream, `private` what they could not. The two
 * lie under different keys, so that nothing which looks for public content can come upon the other.
 */
export type Visibility = "public" | "private";

export type ContentKind = "blobs" | "manifests";

export function contentKey(kind: ContentKind, digest: Digest, visibility: Visibility): string {
  const { algorithm, hex } = digestParts(digest);
  const prefix = visibility === "private" ? "private/" : "";
  return `${prefix}${kind}/${algorithm}/${hex.slice(0, 2)}/${hex}`;
}

/**
 * The link record of a repository and a digest: an empty object that says that upstream gave this content out of this
 * repository. `_` can't be part of a repository's name, so no name can be taken for the end of another.
 */
export function linkKey(upstream: string, repository: string, digest: Digest): string {
  const { algorithm, hex } = digestParts(digest);
  return `${linksOf(upstream, repository)}${algorithm}/${hex}`;
}

/**
 * The key of a page of a listing. One that is private lies among the repository's link records, so that it is deleted
 * with them.
 * @param request a hash of what was requested.
 */
export function listingKey(
  upstream: string,
  repository: string,
  request: string,
  visibility: Visibility,
): string {
  const access =
    visibility === "public" ? listingsOf(upstream, repository) : `${linksOf(upstream, repository)}listings/`;
  return `${access}${request}`;
}

/** The prefix of all of a repository's public listings. */
export function listingsOf(upstream: string, repository: string): string {
  return `listings/${upstream}/${repository}/_/`;
}

/** Where all link records of a repository lie, and no others. */
export function linksOf(upstream: string, repository: string): string {
  return `links/${upstream}/${repository}/_/`;
}

/** The key of content that was pushed to this registry. It is never evicted, only collected once nothing references it. */
export function hostedKey(kind: ContentKind, digest: Digest): string {
  return `hosted/${contentKey(kind, digest, "public")}`;
}

/** The prefix of all that is stored for uploads. */
export const UPLOADS = "uploads/";

/** The prefix of an upload's parts. @param id a UUID. */
export function uploadPrefix(id: string): string {
  return `${UPLOADS}${id}/`;
}

/** The key of an upload that grows in place. @param id a UUID. */
export function uploadKey(id: string): string {
  return uploadPrefix(id) + id;
}

const UPLOAD_KEY = /^uploads\/([0-9a-f-]{36})\/[0-9a-f-]{36}$/;

/** The upload that a key belongs to; null for other keys. */
export function uploadOf(key: string): string | null {
  return UPLOAD_KEY.exec(key)?.[1] ?? null;
}

const CONTENT_KEY = /^(private\/|hosted\/)?(blobs|manifests)\/sha(256|512)\/[0-9a-f]{2}\/[0-9a-f]+$/;
const SCOPED_KEY =
  /^(links|listings)(\/[A-Za-z0-9][A-Za-z0-9._-]*)+\/_\/((sha256|sha512|listings)\/)?[0-9a-f]+$/;

/** The digest in a key of `contentKey`; null for any other key. */
export function digestIn(key: string): Digest | null {
  const [, algorithm, hex] =
    /^(?:private\/)?(?:blobs|manifests)\/([a-z0-9]+)\/[0-9a-f]{2}\/([0-9a-f]+)$/.exec(key) ?? [];
  return parseDigest(`${algorithm}:${hex}`);
}

/** Whether an object is cached, so that it counts for CACHE_LIMIT and may be evicted. */
export function isEvictable(key: string): boolean {
  return !key.startsWith("hosted/") && !key.startsWith("uploads/");
}

/** Whether a text is a key that the functions above make. None has a component that starts with a dot. */
export function isStoreKey(key: string): boolean {
  return CONTENT_KEY.test(key) || SCOPED_KEY.test(key) || UPLOAD_KEY.test(key);
}
