/** One upload that a registry has opened: its chunks in order, each until the registry has it, and the end (distribution-spec, "Pushing a blob in chunks"). */
import { type ChunkBounds, chunkBoundsIn, type Portions } from "./chunks.ts";
import type { RegistryClient } from "./client.ts";
import type { Blob } from "./download.ts";
import { RegistryFailure, UNSAFE } from "./failure.ts";
import type { RemoteRepository } from "./remote.ts";
import type { RegistryResponse } from "./response.ts";

/** What the uploads of one client share. */
export interface UploadContext {
  client: RegistryClient;
  portions: Portions;
  /** Origins that have taken several chunks and made a blob of them. */
  chunked: Set<string>;
  /** Milliseconds before each retry after one that brought nothing. */
  pauses: readonly number[];
}

/** Milliseconds before each retry after one that brought nothing. */
export const PAUSES = [500, 1_000, 2_000, 4_000, 8_000];

const BYTES = "application/octet-stream";

/** The registry has lost an upload, or has something else than was sent: only a new one can succeed. */
export class UploadLost extends Error {
  override readonly cause: RegistryFailure;

  constructor(cause: RegistryFailure) {
    super(cause.message);
    this.cause = cause;
  }
}

export class UploadSession {
  readonly #context: UploadContext;
  readonly #remote: RemoteRepository;
  /** Where it goes on: may change with every response. */
  #location: URL;
  /** Bytes that the registry has. */
  #offset: number;
  #bounds: ChunkBounds;

  private constructor(
    context: UploadContext,
    remote: RemoteRepository,
    at: { location: URL; offset: number; bounds: ChunkBounds },
  ) {
    this.#context = context;
    this.#remote = remote;
    this.#location = at.location;
    this.#offset = at.offset;
    this.#bounds = at.bounds;
  }

  get location(): URL {
    return this.#location;
  }

  get offset(): number {
    return this.#offset;
  }

  get bounds(): ChunkBounds {
    return this.#bounds;
  }

  /** @throws RegistryFailure */
  static async open(
    context: UploadContext,
    remote: RemoteRepository,
    signal?: AbortSignal,
  ): Promise<UploadSession> {
    const at = "blobs/uploads/";
    const { exchange } = context.client;
    const response = await exchange.send(remote, {
      method: "POST",
      at,
      repeatable: true,
      ...(signal && { signal }),
    });
    if (response.status !== 202) throw await exchange.failure(remote, response, at);
    return UploadSession.opened(context, remote, response);
  }

  /** The upload that a response with 202 has opened. @throws RegistryFailure where it doesn't say where. */
  static async opened(
    context: UploadContext,
    remote: RemoteRepository,
    response: RegistryResponse,
  ): Promise<UploadSession> {
    await response.body?.cancel();
    const location = locationIn(remote, response);
    if (location) {
      const bounds = chunkBoundsIn(response.headers);
      return new UploadSession(context, remote, { location, offset: 0, bounds });
    }
    const why = `${remote.endpoint.host} opened an upload without saying where`;
    throw new RegistryFailure(0, "UNAVAILABLE", why);
  }

  /**
   * Continues an upload that was opened earlier.
   * @returns null where the registry doesn't know it any more.
   * @throws RegistryFailure where it can't be reached, or gives no access.
   */
  static async reopen(
    context: UploadContext,
    remote: RemoteRepository,
    location: URL,
    signal?: AbortSignal,
  ): Promise<UploadSession | null> {
    const { exchange } = context.client;
    const response = await exchange.send(remote, {
      method: "GET",
      at: location,
      ...(signal && { signal }),
    });
    const offset = offsetIn(response);
    if (!response.ok || offset === null) {
      const failure = await exchange.failure(remote, response, "an upload");
      if (failure.isTransient || [401, 403].includes(failure.status)) throw failure;
      return null;
    }
    await response.body?.cancel();
    const at = locationIn(remote, response) ?? location;
    return new UploadSession(context, remote, {
      location: at,
      offset,
      bounds: chunkBoundsIn(response.headers),
    });
  }

  /**
   * Sends one chunk, and what is left of it again after a failure: the registry says how much it has.
   * @throws RegistryFailure, or UploadLost
   */
  async send(chunk: Uint8Array<ArrayBuffer>, signal?: AbortSignal): Promise<void> {
    const start = this.#offset;
    const end = start + chunk.byteLength;
    let most = chunk.byteLength;
    for (let vain = 0; this.#offset < end; ) {
      const before = this.#offset;
      const bytes = chunk.subarray(before - start, before - start + most);
      const failure = await this.#patch(bytes, signal);
      if (!failure) continue;
      const isTooLarge = failure.status === 413 || failure.status === 416;
      const pause = this.#context.pauses[vain];
      if (!isTooLarge) {
        this.#refuseForGood(failure);
        if (pause === undefined) throw failure;
        await this.#context.client.exchange.wait(pause, signal);
      }
      await this.#resume(failure, signal);
      if (this.#offset < start || this.#offset > end) throw new UploadLost(failure);
      if (this.#offset > before) vain = 0;
      else if (isTooLarge) most = this.#shrink(failure, bytes.byteLength);
      else vain += 1;
    }
  }

  /**
   * Ends it: with the whole blob, or with nothing where all its chunks are there.
   * @param open begins to read the blob from the start; null where it was sent in chunks.
   * @throws RegistryFailure, UploadLost, and whatever reading it throws.
   */
  async commit(
    blob: Blob,
    open: (() => AsyncIterable<Uint8Array>) | null,
    signal?: AbortSignal,
  ): Promise<void> {
    const { client, portions, chunked, pauses } = this.#context;
    const { origin } = this.#remote.endpoint;
    for (let vain = 0; ; vain++) {
      const failure = await this.#finish(blob, open, signal);
      if (!failure) break;
      if ([401, 403, 429].includes(failure.status) || failure.code === UNSAFE) throw failure;
      if (failure.status === 413) {
        if (portions.shrink(origin, open ? blob.size : 0, this.#bounds.most) === null) throw failure;
        throw new UploadLost(failure);
      }
      // The response may have been lost, and not the upload.
      if ((await client.hasBlob(this.#remote, blob.digest)) === blob.size) break;
      if (open) portions.brokeOff(origin);
      const pause = pauses[vain];
      // Chunks that are there needn't be sent again because the registry was busy for a moment.
      if (open || !failure.isTransient || pause === undefined) throw new UploadLost(failure);
      await client.exchange.wait(pause, signal);
    }
    if (!open) chunked.add(origin);
  }

  /** Cancels it, as far as the registry lets. */
  async cancel(): Promise<void> {
    const { exchange } = this.#context.client;
    try {
      const response = await exchange.send(this.#remote, { method: "DELETE", at: this.#location });
      await response.body?.cancel();
    } catch (error) {
      if (!(error instanceof RegistryFailure)) throw error;
    }
  }

  /** @returns the bytes that are tried next. @throws what it comes to where there is no smaller chunk. */
  #shrink(failure: RegistryFailure, refused: number): number {
    const { portions } = this.#context;
    const { origin } = this.#remote.endpoint;
    const smaller = portions.shrink(origin, refused, this.#bounds.most);
    if (smaller !== null) return smaller;
    if (failure.status === 413) throw failure;
    // The registry expects another offset than the one it reported itself: it doesn't support chunks.
    portions.refusesChunks(origin);
    throw new UploadLost(failure);
  }

  /** @throws what a chunk's failure comes to, if neither a moment nor asking how much has arrived can help. */
  #refuseForGood(failure: RegistryFailure): void {
    if (failure.isTransient) return;
    if (failure.status >= 500 || [0, 401, 403].includes(failure.status)) throw failure;
    const { chunked, portions } = this.#context;
    const { origin } = this.#remote.endpoint;
    // What has never worked here may not be supported; what has may have lost the upload.
    if (!chunked.has(origin)) portions.refusesChunks(origin);
    throw new UploadLost(failure);
  }

  /** @returns the failure, or null with the upload brought to what the registry now has. */
  async #patch(
    bytes: Uint8Array<ArrayBuffer>,
    signal: AbortSignal | undefined,
  ): Promise<RegistryFailure | null> {
    const { exchange } = this.#context.client;
    const location = this.#location;
    const offset = this.#offset;
    const end = offset + bytes.byteLength;
    try {
      const response = await exchange.send(this.#remote, {
        method: "PATCH",
        at: location,
        headers: { "Content-Type": BYTES, "Content-Range": `${offset}-${end - 1}` },
        body: bytes,
        ...(signal && { signal }),
      });
      const { most } = chunkBoundsIn(response.headers);
      if (most !== null) this.#bounds = { ...this.#bounds, most };
      if (!response.ok) return await exchange.failure(this.#remote, response, "an upload's chunk");
      await response.body?.cancel();
      this.#location = locationIn(this.#remote, response) ?? location;
      const received = offsetIn(response);
      // A registry may take less than it was sent. Some count wrong, so that anything else isn't believed.
      this.#offset = received !== null && received > offset && received < end ? received : end;
      return null;
    } catch (error) {
      if (error instanceof RegistryFailure) return error;
      throw error;
    }
  }

  /** Asks how much of it the registry has. @throws UploadLost if it has none any more. */
  async #resume(failure: RegistryFailure, signal: AbortSignal | undefined): Promise<void> {
    let response: RegistryResponse;
    try {
      response = await this.#context.client.exchange.send(this.#remote, {
        method: "GET",
        at: this.#location,
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
    this.#location = locationIn(this.#remote, response) ?? this.#location;
    this.#offset = offset;
  }

  /** @returns the failure, or null for a blob that is stored. */
  async #finish(
    { digest, size }: Blob,
    open: (() => AsyncIterable<Uint8Array>) | null,
    signal: AbortSignal | undefined,
  ): Promise<RegistryFailure | null> {
    const { exchange } = this.#context.client;
    const url = new URL(this.#location);
    // Not by searchParams, which would rewrite what the registry has put there, and may have signed.
    url.search = `${url.search}${url.search === "" ? "?" : "&"}digest=${encodeURIComponent(digest)}`;
    // What reading throws would come back as the registry's failure.
    const source = open && watched(open);
    try {
      const response = await exchange.send(this.#remote, {
        method: "PUT",
        at: url,
        headers: { "Content-Type": BYTES, "Content-Length": String(source ? size : 0) },
        body: source?.open ?? null,
        ...(signal && { signal }),
      });
      if (!response.ok) return await exchange.failure(this.#remote, response, `the upload of ${digest}`);
      await response.body?.cancel();
      return null;
    } catch (error) {
      source?.rethrow();
      if (error instanceof RegistryFailure) return error;
      throw error;
    }
  }
}

/** Passes bytes on, and keeps what reading them throws. */
function watched(open: () => AsyncIterable<Uint8Array>): {
  open: () => AsyncIterable<Uint8Array>;
  rethrow(): void;
} {
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
