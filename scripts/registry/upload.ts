/** Puts content into a registry (distribution-spec, "Pushing"): blobs by mount, whole or in chunks, and manifests. */
import type { Digest } from "../../src/oci/digest.ts";
import { Portions } from "./chunks.ts";
import type { FetchedManifest, RegistryClient } from "./client.ts";
import { type Blob, inPieces } from "./download.ts";
import { RegistryFailure } from "./failure.ts";
import { type RemoteRepository, scopedRepository } from "./remote.ts";
import type { UploadRecords } from "./upload-records.ts";
import { PAUSES, type UploadContext, UploadLost, UploadSession } from "./upload-session.ts";

export interface BlobSource {
  blob: Blob;
  /** Begins to read it from the start. What it throws ends the upload. */
  open: () => AsyncIterable<Uint8Array>;
  /** A repository of the same registry that has it, to be mounted from; null for none. */
  mountFrom: string | null;
  signal?: AbortSignal;
}

/** How often an upload is begun that a registry loses, or that ends in something wrong. */
const UPLOADS = 4;

export interface UploadOptions {
  /** Bytes of the largest request body that carries a blob; null for no limit but the registry's. */
  limit: number | null;
  /** Whether a blob without a repository to mount it from is mounted from any that the registry finds ("Mounting a blob" without `from`). */
  mountsFromAny: boolean;
  /** Where uploads in chunks are remembered for another process; null for nowhere. */
  records: UploadRecords | null;
  /** Called when an upload of another process is continued, with the bytes that the registry has. */
  onResumed: (blob: Blob, offset: number) => void;
}

const DEFAULTS: UploadOptions = { limit: null, mountsFromAny: false, records: null, onResumed: () => {} };

/** Puts content into registries; every place must be `writable`. */
export class Uploader {
  readonly #context: UploadContext;
  readonly #options: UploadOptions;

  constructor(client: RegistryClient, options: Partial<UploadOptions> = {}) {
    this.#options = { ...DEFAULTS, ...options };
    const portions = new Portions(this.#options.limit);
    this.#context = { client, portions, chunked: new Set(), pauses: PAUSES };
  }

  /**
   * Puts a blob that isn't there yet.
   * @returns whether it was sent, or mounted without being moved.
   * @throws RegistryFailure, and whatever reading it throws.
   */
  async put(remote: RemoteRepository, source: BlobSource): Promise<"sent" | "mounted"> {
    const { blob, mountFrom, signal } = source;
    for (let begun = 1; ; begun++) {
      const isFirst = begun === 1;
      const earlier = isFirst ? await this.#reopen(remote, blob, signal) : null;
      const mayMount = isFirst && (mountFrom !== null || this.#options.mountsFromAny);
      const session =
        earlier ??
        (mayMount
          ? await this.#mountOrOpen(remote, blob.digest, mountFrom, signal)
          : await UploadSession.open(this.#context, remote, signal));
      if (!session) return "mounted";
      try {
        await this.#send(remote, session, source);
        return "sent";
      } catch (error) {
        signal?.throwIfAborted();
        const canResume = error instanceof RegistryFailure && error.isTransient && session.offset > 0;
        if (this.#options.records && canResume) throw error;
        await this.#options.records?.forget(remote, blob.digest);
        await session.cancel();
        if (!(error instanceof UploadLost)) throw error;
        if (begun === UPLOADS) throw error.cause;
      }
    }
  }

  /**
   * Opens an upload and cancels it.
   * @throws RegistryFailure where the repository can't be pushed to: a refusal that comes before any content is read or sent.
   */
  async checkAccess(remote: RemoteRepository): Promise<void> {
    const session = await UploadSession.open(this.#context, remote);
    await session.cancel();
  }

  /**
   * Puts a manifest, whose content must be there already.
   * @param reference a tag, or its digest.
   * @returns whether the registry itself keeps account of what it refers to (its `subject`).
   */
  async putManifest(
    remote: RemoteRepository,
    reference: string,
    { bytes, mediaType }: Pick<FetchedManifest, "bytes" | "mediaType">,
  ): Promise<{ keepsReferrers: boolean }> {
    const at = `manifests/${reference}`;
    const response = await this.#context.client.exchange.send(remote, {
      method: "PUT",
      at,
      headers: { "Content-Type": mediaType },
      body: bytes,
      repeatable: true,
    });
    if (!response.ok) throw await this.#context.client.exchange.failure(remote, response, at);
    await response.body?.cancel();
    return { keepsReferrers: response.headers.has("OCI-Subject") };
  }

  /** @returns null if the blob was mounted. */
  async #mountOrOpen(
    remote: RemoteRepository,
    digest: Digest,
    mountFrom: string | null,
    signal: AbortSignal | undefined,
  ): Promise<UploadSession | null> {
    const mounted = await tryMount(this.#context, remote, digest, mountFrom, signal);
    return mounted === "refused" ? UploadSession.open(this.#context, remote, signal) : mounted;
  }

  /** The upload of a process that has ended, if the registry still has it. */
  async #reopen(
    remote: RemoteRepository,
    blob: Blob,
    signal: AbortSignal | undefined,
  ): Promise<UploadSession | null> {
    const { records, onResumed } = this.#options;
    const location = await records?.find(remote, blob.digest);
    if (!location) return null;
    const session = await UploadSession.reopen(this.#context, remote, location, signal);
    const isUseful = session && session.offset <= blob.size && this.#chunkFor(remote, session, blob) !== null;
    if (isUseful) {
      onResumed(blob, session.offset);
      return session;
    }
    await records?.forget(remote, blob.digest);
    await session?.cancel();
    return null;
  }

  #chunkFor({ endpoint: { origin } }: RemoteRepository, { bounds }: UploadSession, { size }: Blob) {
    return this.#context.portions.chunkFor(origin, size, bounds);
  }

  async #send(
    remote: RemoteRepository,
    session: UploadSession,
    { blob, open, signal }: BlobSource,
  ): Promise<void> {
    const size = this.#chunkFor(remote, session, blob);
    if (size === null) return session.commit(blob, open, signal);
    const { records } = this.#options;
    let kept = "";
    for await (const piece of inPieces(from(open(), session.offset), size)) {
      await session.send(piece, signal);
      const { href } = session.location;
      if (href !== kept) await records?.keep(remote, blob.digest, session.location);
      kept = href;
    }
    await session.commit(blob, null, signal);
    await records?.forget(remote, blob.digest);
  }
}

/**
 * Mounts a blob: one that a registry doesn't grant becomes an upload, one that it refuses altogether is done without.
 * @param from null for any repository that the registry finds.
 * @returns null if it was mounted.
 */
export async function tryMount(
  context: UploadContext,
  remote: RemoteRepository,
  digest: Digest,
  from: string | null,
  signal?: AbortSignal,
): Promise<UploadSession | null | "refused"> {
  const scopes = [...(remote.scopes ?? [])];
  if (from !== null) scopes.push(`repository:${scopedRepository({ ...remote, repository: from })}:pull`);
  try {
    const response = await context.client.exchange.send(remote, {
      method: "POST",
      at: "blobs/uploads/",
      search: { mount: digest, ...(from !== null && { from }) },
      scopes,
      ...(signal && { signal }),
    });
    if (response.status === 202) return await UploadSession.opened(context, remote, response);
    await response.body?.cancel();
    return response.status === 201 ? null : "refused";
  } catch (error) {
    if (error instanceof RegistryFailure) return "refused";
    throw error;
  }
}

/** What comes after an offset. */
async function* from(bytes: AsyncIterable<Uint8Array>, offset: number): AsyncGenerator<Uint8Array> {
  let skip = offset;
  for await (const piece of bytes) {
    const rest = piece.subarray(skip);
    skip -= piece.byteLength - rest.byteLength;
    if (rest.byteLength > 0) yield rest;
  }
}
