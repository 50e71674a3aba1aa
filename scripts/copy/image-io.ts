/** What an image is copied from and to: a registry, an OCI layout, an archive or Docker itself. */
import type { Digest } from "../../src/oci/digest.ts";
import type { Descriptor, Manifest } from "../../src/oci/manifest.ts";
import type { FetchedManifest } from "../registry/client.ts";
import type { Blob } from "../registry/download.ts";
import type { RemoteRepository } from "../registry/remote.ts";

/** A manifest or an index; the digest is that of the bytes. */
export type ManifestContent = Omit<FetchedManifest, "headers">;

/** One image, and what is stored beside it. All methods throw for what they can't return. */
export interface ImageSource {
  /** As it is called in messages: `docker.io/library/alpine`, `oci:images`. */
  readonly name: string;
  /** A registry's repository, from which a target in the same registry can mount; null for anything else. */
  readonly remote: RemoteRepository | null;
  /** What the image's name leads to. */
  root(): Promise<ManifestContent>;
  /** A manifest by its digest, verified. */
  manifest(digest: Digest): Promise<ManifestContent>;
  /** What another tag leads to, or null if there is no such tag. */
  tagged(tag: string): Promise<ManifestContent | null>;
  /** A blob's bytes from the start. The last of them come only once all are verified. */
  blob(blob: Blob): AsyncIterable<Uint8Array>;
  referrers(subject: Digest): Promise<Descriptor[]>;
}

/** How a blob came into a target. */
export type BlobResult = "sent" | "mounted";

export interface ImageTarget {
  /** As it is called in messages. */
  readonly name: string;
  /** The same for targets that share their blobs. */
  readonly id: string;
  /** Whether it has a manifest, and all that the manifest leads to, under a tag or a digest. */
  hasManifest(reference: string, digest: Digest): Promise<boolean>;
  hasBlob(blob: Blob): Promise<boolean>;
  /**
   * Stores a blob that isn't there yet.
   * @param open begins to read it from the start; may be called again after a failure.
   */
  putBlob(blob: Blob, source: ImageSource, open: () => AsyncIterable<Uint8Array>): Promise<BlobResult>;
  /**
   * Stores a manifest, after all that it leads to.
   * @param tag null: it is stored by its digest alone.
   */
  putManifest(content: ManifestContent, manifest: Manifest, tag: string | null): Promise<void>;
  /** Ends the copy of an image. @throws Error if the target doesn't have what was copied. */
  finish(root: ManifestContent, tag: string | null): Promise<void>;
}
