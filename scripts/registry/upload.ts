/** Puts content into a registry (distribution-spec, "Pushing"): blobs by mount, whole or in chunks, and manifests. */
import type { Digest } from "../../src/oci/digest.ts";
import { type ChunkBounds, chunkBoundsIn, Portions } from "./chunks.ts";
import type { FetchedManifest, RegistryClient } from "./client.ts";
import { type Blob, inPieces } from "./download.ts";
import { RegistryFailure, UNSAFE } from "./failure.ts";
import { type RemoteRepository, scopedRepository } from "./remote.ts";
import type { RegistryResponse } from "./response.ts";

/** An upload that a registry has opened. */
interface Upload {
  /** Where it goes on: changes with every answer. */
  location: URL;
  /** Bytes that the registry has. */
  offset: number;
  bounds: ChunkBounds;
}

export interface BlobSource {
  blob: Blob;
  /** Begins to read it from the start. What it throws ends the upload. */
  open: () => AsyncIterable<Uint8Array>;
  /** A repository of the same registry that has it, to be mounted from; null for none. */
  mountFrom: string | null;
  signal?: AbortSignal;
}

/** Milliseconds before each try after one that brought nothing. */
const PAUSES = [500, 1_000, 2_000, 4_000, 8_000];
/** How often an upload is begun that a registry loses, or that ends in something wrong. */
const UPLOADS = 4;
const BYTES = "application/octet-stream";

/** The registry has lost an upload, or has something else than was sent: only a new one can succeed. */
class UploadLost extends Error {
  override readonly cause: RegistryFailure;

  constructor(cause: RegistryFailure) {
    super(cause.message);
    this.cause = cause;
  }
}

export interface UploadOptions {
  /** Bytes of the largest request body that carries a blob; null for no limit but the registry's. */
  limit: number | null;
  /** Whether a blob without a repository to mount it from is mounted from any that the registry finds ("Mounting a blob" without `from`). */
  mountsFromAny: boolean;
}

/** Puts content into registries; every place must be `writable`. */
export class Uploader {
  readonly #client: RegistryClient;
  readonly #portions: Portions;
  readonly #mountsFromAny: boolean;
  /** Origins that have taken several chunks and made a blob of them. */
  readonly #chunked = new Set<string>();

  constructor(client: RegistryClient, options: UploadOptions = { limit: null, mountsFromAny: false }) {
    this.#client = client;
    this.#portions = new Portions(options.limit);
    this.#mountsFromAny = options.mountsFromAny;
  }

  /**
   * Puts a blob that isn't there yet.
   * @returns whether it was sent, or mounted without being moved.
   * @throws RegistryFailure, and whatever reading it throws.
   */
  async put(remote: RemoteRepository, source: BlobSource): Promise<"sent" | "mounted"> {
    const { blob, open, mountFrom, signal } = source;
    for (let begun = 1; ; begun++) {
      const upload = await (begun === 1 && (mountFrom !== null || this.#mountsFromAny)
        ? this.#mountOrOpen(remote, blob.digest, mountFrom, signal)
        : this.#open(remote, signal));
      if (!upload) return "mounted";
      try {
        await this.#send(remote, upload, blob, open, signal);
        return "sent";
      } catch (error) {
        signal?.throwIfAborted();
        await this.#cancel(remote, upload);
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
    await this.#cancel(remote, await this.#open(remote, undefined));
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
    const response = await this.#client.exchange.send(remote, {
      method: "PUT",
      at,
      headers: { "Content-Type": mediaType },
      body: bytes,
      repeatable: true,
    });
    if (!response.ok) throw await this.#client.exchange.failure(remote, response, at);
    await response.body?.cancel();
    return { keepsReferrers: response.headers.has("OCI-Subject") };
  }

  /** @returns null if the blob was mounted. */
  async #mountOrOpen(
    remote: RemoteRepository,
    digest: Digest,
    mountFrom: string | null,
    signal: AbortSignal | undefined,
  ): Promise<Upload | null> {
    const mounted = await this.#tryMount(remote, digest, mountFrom, signal);
    return mounted === "refused" ? this.#open(remote, signal) : mounted;
  }

  async #open(remote: RemoteRepository, signal: AbortSignal | undefined): Promise<Upload> {
    const at = "blobs/uploads/";
    const response = await this.#client.exchange.send(remote, {
      method: "POST",
      at,
      repeatable: true,
      ...(signal && { signal }),
    });
    if (response.status !== 202) throw await this.#client.exchange.failure(remote, response, at);
    return this.#opened(remote, response);
  }

  /** A mount that a registry doesn't grant becomes an upload; one that it refuses altogether is done without. */
  async #tryMount(
    remote: RemoteRepository,
    digest: Digest,
    from: string | null,
    signal: AbortSignal | undefined,
  ): Promise<Upload | null | "refused"> {
    const scopes = [...(remote.scopes ?? [])];
    if (from !== null) scopes.push(`repository:${scopedRepository({ ...remote, repository: from })}:pull`);
    try {
      const response = await this.#client.exchange.send(remote, {
        method: "POST",
        at: "blobs/uploads/",
        search: { mount: digest, ...(from !== null && { from }) },
        scopes,
        ...(signal && { signal }),
      });
      if (response.status === 202) return await this.#opened(remote, response);
      await response.body?.cancel();
      return response.status === 201 ? null : "refused";
    } catch (error) {
      if (error instanceof RegistryFailure) return "refused";
      throw error;
    }
  }

  async #opened(remote: RemoteRepository, response: RegistryResponse): Promise<Upload> {
    await response.body?.cancel();
    const location = locationIn(remote, response);
    if (!location) {
      throw new RegistryFailure(
        0,
        "UNAVAILABLE",
        `${remote.endpoint.host} opened an upload without saying where`,
      );
    }
    return { location, offset: 0, bounds: chunkBoundsIn(response.headers) };
  }

  async #send(
    remote: RemoteRepository,
    upload: Upload,
    blob: Blob,
    open: BlobSource["open"],
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { origin } = remote.endpoint;
    const size = this.#portions.chunkFor(origin, blob.size, upload.bounds);
    if (size === null) return this.#commit(remote, upload, blob, open, signal);
    for await (const piece of inPieces(open(), size)) await this.#sendChunk(remote, upload, piece, signal);
    await this.#commit(remote, upload, blob, null, signal);
    this.#chunked.add(origin);
  }

  /** Sends one chunk, what is left of it again after a failure: the registry says how much it has. */
  async #sendChunk(
    remote: RemoteRepository,
    upload: Upload,
    chunk: Uint8Array<ArrayBuffer>,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const start = upload.offset;
    const end = start + chunk.byteLength;
    let most = chunk.byteLength;
    for (let vain = 0; upload.offset < end; ) {
      const before = upload.offset;
      const bytes = chunk.subarray(before - start, before - start + most);
      const failure = await this.#patch(remote, upload, bytes, signal);
      if (!failure) continue;
      const isTooLarge = failure.status === 413 || failure.status === 416;
      const pause = PAUSES[vain];
      if (!isTooLarge) {
        this.#refuseForGood(remote, failure);
        if (pause === undefined) throw failure;
        await this.#client.exchange.wait(pause, signal);
      }
      await this.#resume(remote, upload, failure, signal);
      if (upload.offset < start || upload.offset > end) throw new UploadLost(failure);
      if (upload.offset > before) vain = 0;
      else if (isTooLarge) most = this.#shrink(remote, upload, failure, bytes.byteLength);
      else vain += 1;
    }
  }

  /** @returns the bytes that are tried next. @throws what it comes to where there is no smaller chunk. */
  #shrink(
    { endpoint: { origin } }: RemoteRepository,
    upload: Upload,
    failure: RegistryFailure,
    refused: number,
  ): number {
    const smaller = this.#portions.shrink(origin, refused, upload.bounds.most);
    if (smaller !== null) return smaller;
    if (failure.status === 413) throw failure;
    // The registry expects another offset than the one it reported itself: it doesn't support chunks.
    this.#portions.refusesChunks(origin);
    throw new UploadLost(failure);
  }

  /** @throws what a chunk's failure comes to, if neither a moment nor asking how much has arrived can help. */
  #refuseForGood({ endpoint: { origin } }: RemoteRepository, failure: RegistryFailure): void {
    if (failure.isTransient) return;
    if (failure.status >= 500 || [0, 401, 403].includes(failure.status)) throw failure;
    // What has never worked here may not be supported; what has may have lost the upload.
    if (!this.#chunked.has(origin)) this.#portions.refusesChunks(origin);
    throw new UploadLost(failure);
  }

  /** @returns the failure, or null with the upload brought to what the registry now has. */
  async #patch(
    remote: RemoteRepository,
    upload: Upload,
    bytes: Uint8Array<ArrayBuffer>,
    signal: AbortSignal | undefined,
  ): Promise<RegistryFailure | null> {
    const { location, offset } = upload;
    try {
      const response = await this.#client.exchange.send(remote, {
        method: "PATCH",
        at: location,
        headers: { "Content-Type": BYTES, "Content-Range": `${offset}-${offset + bytes.byteLength - 1}` },
        body: bytes,
        ...(signal && { signal }),
      });
      const { most } = chunkBoundsIn(response.headers);
      if (most !== null) upload.bounds = { ...upload.bounds, most };
      if (!response.ok) return await this.#client.exchange.failure(remote, response, "an upload's chunk");
      await response.body?.cancel();
      upload.location = locationIn(remote, response) ?? location;
      const end = offset + bytes.byteLength;
      const received = offsetIn(response);
      // A registry may take less than it was sent. Some count wrong, so that anything else isn't believed.
      upload.offset = received !== null && received > offset && received < end ? received : end;
      return null;
    } catch (error) {
      if (error instanceof RegistryFailure) return error;
      throw error;
    }
  }

  /** Asks how much of an upload the registry has. @throws UploadLost if it has none any more. */
  async #resume(
    remote: RemoteRepository,
    upload: Upload,
    failure: RegistryFailure,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    let response: RegistryResponse;
    try {
      response = await this.#client.exchange.send(remote, {
        method: "GET",
        at: upload.location,
        ...(signal && { signal }),
      });
    } catch (error) {
      // It doesn't respond at all for now: what it had is requested after the next try.
      if (error instanceof RegistryFailure && error.isTransient) return;
      throw error;
    }
    await response.body?.cancel();
    const offset = offsetIn(response);
    if (!response.ok || offset === null) throw new UploadLost(failure);
    upload.location = locationIn(remote, response) ?? upload.location;
    upload.offset = offset;
  }

  /** Ends an upload: with the whole blob, or with nothing where its chunks are there. */
  async #commit(
    remote: RemoteRepository,
    upload: Upload,
    { digest, size }: Blob,
    open: BlobSource["open"] | null,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const url = new URL(upload.location);
    // Not by searchParams, which would rewrite what the registry has put there, and may have signed.
    url.search = `${url.search}${url.search === "" ? "?" : "&"}digest=${encodeURIComponent(digest)}`;
    // What reading throws would come back as the registry's failure.
    const source = open && watched(open);
    const length = source ? size : 0;
    let failure: RegistryFailure;
    try {
      const response = await this.#client.exchange.send(remote, {
        method: "PUT",
        at: url,
        headers: { "Content-Type": BYTES, "Content-Length": String(length) },
        body: source?.open ?? null,
        ...(signal && { signal }),
      });
      if (response.ok) {
        await response.body?.cancel();
        return;
      }
      failure = await this.#client.exchange.failure(remote, response, `the upload of ${digest}`);
    } catch (error) {
      source?.rethrow();
      if (!(error instanceof RegistryFailure)) throw error;
      failure = error;
    }
    if ([401, 403, 429].includes(failure.status) || failure.code === UNSAFE) throw failure;
    const { origin } = remote.endpoint;
    if (failure.status === 413) {
      if (this.#portions.shrink(origin, length, upload.bounds.most) === null) throw failure;
    } else {
      // The answer may have been lost, and not the upload.
      if ((await this.#client.hasBlob(remote, digest)) === size) return;
      if (source) this.#portions.brokeOff(origin);
    }
    throw new UploadLost(failure);
  }

  /** Cancels an upload, as far as the registry lets. */
  async #cancel(remote: RemoteRepository, { location }: Upload): Promise<void> {
    try {
      const response = await this.#client.exchange.send(remote, { method: "DELETE", at: location });
      await response.body?.cancel();
    } catch (error) {
      if (!(error instanceof RegistryFailure)) throw error;
    }
  }
}

/** Passes bytes on, and keeps what reading them throws. */
function watched(open: BlobSource["open"]): { open: BlobSource["open"]; rethrow(): void } {
  const thrown: unknown[] = [];
  return {
    open: async function* () {
      try {
        yield* open();
      } catch (error) {
        thrown.push(error);
        throw error;
      }
    },
    rethrow: () => {
      for (const error of thrown) throw error;
    },
  };
}

/** Where a response says an upload goes on: absolute, or relative to what was requested; null where it doesn't. */
function locationIn(remote: RemoteRepository, response: RegistryResponse): URL | null {
  const text = response.headers.get("Location");
  const url = text === null ? null : URL.parse(text, response.url);
  // A registry behind a proxy that ends TLS may not know of it.
  if (url?.host === remote.endpoint.host) url.protocol = remote.endpoint.protocol;
  return url;
}

/** How many bytes a response says that the registry has; null where it doesn't say. "0-0" is how registries write none. */
function offsetIn(response: RegistryResponse): number | null {
  const last = /^(?:bytes=)?0-(\d+)$/.exec(response.headers.get("Range") ?? "")?.[1];
  if (last === undefined) return null;
  return last === "0" ? 0 : Number(last) + 1;
}
