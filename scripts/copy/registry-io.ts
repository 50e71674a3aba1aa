/** Registries as sources and targets of copies. */
import pLimit from "p-limit";
import type { Digest } from "../../src/oci/digest.ts";
import type { Descriptor, Manifest } from "../../src/oci/manifest.ts";
import type { RegistryClient } from "../registry/client.ts";
import { type Blob, blobBytes } from "../registry/download.ts";
import { RegistryFailure } from "../registry/failure.ts";
import type { RemoteRepository } from "../registry/remote.ts";
import { Uploader, type UploadOptions } from "../registry/upload.ts";
import type { BlobResult, ImageSource, ImageTarget, ManifestContent } from "./image-io.ts";
import { addReferrer } from "./referrers.ts";

/** What the copies of one run share. */
export class Registries {
  readonly client: RegistryClient;
  readonly uploader: Uploader;
  /** One list of referrers is written at a time: two that are read and written at once would lose one's entry. */
  readonly referrers = pLimit(1);
  /** By target registry and digest, a repository that has the blob. */
  readonly holders = new Map<string, string>();

  constructor(client: RegistryClient, options?: Partial<UploadOptions>) {
    this.client = client;
    this.uploader = new Uploader(client, options);
  }

  /** @param reference a tag or a digest. */
  source(remote: RemoteRepository, reference: string): ImageSource {
    return new RegistrySource(this.client, remote, reference);
  }

  /** @param remote must be `writable`. */
  target(remote: RemoteRepository): ImageTarget {
    return new RegistryTarget(this, remote);
  }
}

class RegistrySource implements ImageSource {
  readonly name: string;
  readonly remote: RemoteRepository;
  readonly #client: RegistryClient;
  readonly #reference: string;

  constructor(client: RegistryClient, remote: RemoteRepository, reference: string) {
    this.#client = client;
    this.remote = remote;
    this.#reference = reference;
    this.name = remote.repository;
  }

  root(): Promise<ManifestContent> {
    return this.#client.manifest(this.remote, this.#reference);
  }

  manifest(digest: Digest): Promise<ManifestContent> {
    return this.#client.manifest(this.remote, digest);
  }

  async tagged(tag: string): Promise<ManifestContent | null> {
    try {
      return await this.#client.manifest(this.remote, tag);
    } catch (error) {
      if (error instanceof RegistryFailure && error.status === 404) return null;
      throw error;
    }
  }

  blob(blob: Blob): AsyncIterable<Uint8Array> {
    return blobBytes(this.#client, this.remote, blob);
  }

  referrers(subject: Digest): Promise<Descriptor[]> {
    return this.#client.referrers(this.remote, subject);
  }
}

class RegistryTarget implements ImageTarget {
  readonly name: string;
  readonly id: string;
  readonly #shared: Registries;
  readonly #remote: RemoteRepository;

  constructor(shared: Registries, remote: RemoteRepository) {
    this.#shared = shared;
    this.#remote = remote;
    this.id = `${remote.endpoint.href} ${remote.repository}`;
    this.name = remote.repository;
  }

  async hasManifest(reference: string, digest: Digest): Promise<boolean> {
    const head = await unlessRefused(this.#shared.client.head(this.#remote, reference));
    return head?.digest === digest;
  }

  async hasBlob({ digest }: Blob): Promise<boolean> {
    const isThere = (await unlessRefused(this.#shared.client.hasBlob(this.#remote, digest))) !== null;
    if (isThere) this.#shared.holders.set(this.#holder(digest), this.#remote.repository);
    return isThere;
  }

  async putBlob(blob: Blob, source: ImageSource, open: () => AsyncIterable<Uint8Array>): Promise<BlobResult> {
    const { holders, uploader } = this.#shared;
    const holder = this.#holder(blob.digest);
    const isWithin = source.remote?.endpoint.href === this.#remote.endpoint.href;
    const mountFrom = isWithin && source.remote ? source.remote.repository : (holders.get(holder) ?? null);
    const result = await uploader.put(this.#remote, { blob, mountFrom, open });
    holders.set(holder, this.#remote.repository);
    return result;
  }

  async putManifest(content: ManifestContent, manifest: Manifest, tag: string | null): Promise<void> {
    const { client, uploader, referrers } = this.#shared;
    const { keepsReferrers } = await uploader.putManifest(this.#remote, tag ?? content.digest, content);
    if (manifest.subject === null || keepsReferrers) return;
    const subject = manifest.subject.digest;
    await referrers(() => addReferrer(client, uploader, this.#remote, subject, content, manifest));
  }

  /** Reads back what the registry now has. */
  async finish({ digest }: ManifestContent, tag: string | null): Promise<void> {
    const found = await this.#shared.client.manifest(this.#remote, tag ?? digest);
    if (found.digest === digest) return;
    const { endpoint, repository } = this.#remote;
    const message = `${endpoint.host} has ${found.digest} for ${repository} ${tag}, and was sent ${digest}`;
    throw new RegistryFailure(0, "DIGEST_INVALID", message);
  }

  #holder(digest: Digest): string {
    return `${this.#remote.endpoint.href} ${digest}`;
  }
}

/** Some registries refuse to say whether they have something, or a repository, that they don't have: null then. */
async function unlessRefused<Value>(request: Promise<Value>): Promise<Value | null> {
  try {
    return await request;
  } catch (error) {
    if (error instanceof RegistryFailure && [400, 403, 405].includes(error.status)) return null;
    throw error;
  }
}
