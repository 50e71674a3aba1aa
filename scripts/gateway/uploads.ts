/** Uploads through the gateway: each is one of the far mirror's, which gets the bytes as they come, in chunks that a proxy lets through. */
import { createHash, type Hash, randomUUID } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { type Digest, parseDigest } from "../../src/oci/digest.ts";
import { Portions } from "../registry/chunks.ts";
import { inPieces } from "../registry/download.ts";
import { tryMount } from "../registry/upload.ts";
import { type UploadContext, UploadLost, UploadSession } from "../registry/upload-session.ts";
import { bytesOf, drain } from "./body.ts";
import type { FarMirror } from "./far-mirror.ts";
import type { KeptUpload, KeptUploads } from "./kept-uploads.ts";
import { type GatewayRequest, Refusal, sendEmpty } from "./respond.ts";
import { Turns } from "./turns.ts";

const MIB = 1024 * 1024;
/** Bytes of the largest request body: far below any limit of Cloudflare's. Two are in memory for each body that is received. */
const CHUNK = 16 * MIB;
/** Bodies that are received at a time; others wait for their turn. */
const BODIES = 6;
/** Unfinished uploads that are kept; beyond that number, the one that was untouched for longest is dropped. */
const UPLOADS = 1000;
/** Bytes of a blob that is looked for at the far mirror before it is sent there; a smaller one is sent sooner. */
const WORTH_A_LOOK = MIB;
/** Milliseconds before each retry after one that brought nothing: the client waits meanwhile, and would begin the layer again. */
const PAUSES = [500, 1_000, 2_000, 4_000, 8_000, 15_000, 30_000, 30_000];

interface Upload extends KeptUpload {
  /** Null for one of an earlier process until it is requested. */
  open: OpenUpload | null;
  /** The request that appends to it. */
  busy: Promise<void> | null;
}

interface OpenUpload {
  readonly id: string;
  readonly repository: string;
  readonly session: UploadSession;
  /** Of the bytes that the far mirror has; null where an earlier process sent some, so that only the far mirror verifies them. */
  readonly hash: Hash | null;
}

export class GatewayUploads {
  readonly #mirror: FarMirror;
  readonly #kept: KeptUploads;
  readonly #context: UploadContext;
  readonly #turns = new Turns(BODIES);
  /** By id, the longest untouched first. */
  readonly #uploads = new Map<string, Upload>();

  private constructor(mirror: FarMirror, kept: KeptUploads) {
    this.#mirror = mirror;
    this.#kept = kept;
    const portions = new Portions(CHUNK);
    this.#context = { client: mirror.client, portions, chunked: new Set(), pauses: PAUSES };
  }

  /** Goes on with those of an earlier process. */
  static async open(mirror: FarMirror, kept: KeptUploads): Promise<GatewayUploads> {
    const uploads = new GatewayUploads(mirror, kept);
    for (const upload of await kept.all()) {
      if (upload.location.host === mirror.host) uploads.#add({ ...upload, open: null, busy: null });
      else await kept.forget(upload.id);
    }
    return uploads;
  }

  /** Uploads that are neither ended nor given up. */
  get count(): number {
    return this.#uploads.size;
  }

  /** `POST`: a mount, a whole blob, or an upload. The far mirror refuses here what it doesn't take. @throws RegistryFailure, Refusal */
  async start(incoming: GatewayRequest): Promise<void> {
    const { search, response, repository, readsAll } = incoming;
    const remote = this.#mirror.repository(repository);
    const mount = digestIn(search, "mount");
    const named = search.get("from");
    const from = named === null || readsAll ? named : this.#mirror.repository(named).repository;
    const opened = mount === null ? "refused" : await tryMount(this.#context, remote, mount, from);
    if (mount !== null && opened === null) {
      this.#mirror.sent.present += 1;
      return created(incoming, mount);
    }
    const session =
      opened === "refused" || opened === null ? await UploadSession.open(this.#context, remote) : opened;
    const { location } = session;
    const open = { id: randomUUID(), repository, session, hash: createHash("sha256") };
    const upload = { id: open.id, repository, location, open, busy: null };
    this.#add(upload);
    const digest = digestIn(search, "digest");
    if (digest !== null) return this.#locked(upload, () => this.#end(incoming, open, digest));
    await this.#kept.keep(upload);
    const { least } = session.bounds;
    const bounds = least === null ? {} : { "OCI-Chunk-Min-Length": String(least) };
    sendEmpty(response, 202, { ...progress(incoming, open), ...bounds });
  }

  /** `GET`: how far an upload is. @throws Refusal */
  async status(incoming: GatewayRequest, id: string): Promise<void> {
    const upload = this.#find(incoming, id);
    await this.#locked(upload, async (open) => sendEmpty(incoming.response, 204, progress(incoming, open)));
  }

  /** `PATCH`: appends; the response says that the far mirror has it. @throws RegistryFailure, Refusal */
  async append(incoming: GatewayRequest, id: string): Promise<void> {
    const upload = this.#find(incoming, id);
    await this.#locked(upload, async (open) => {
      if (!(await isAtOffset(incoming, open))) return;
      await this.#pass(incoming.request, open);
      sendEmpty(incoming.response, 202, progress(incoming, open));
    });
  }

  /** `PUT`: appends, and ends the upload; the response says that the blob is stored at the far mirror. @throws RegistryFailure, Refusal */
  async finish(incoming: GatewayRequest, id: string): Promise<void> {
    const digest = digestIn(incoming.search, "digest");
    if (digest === null) throw new Refusal(400, "DIGEST_INVALID", "the query has no digest");
    const upload = this.#find(incoming, id);
    await this.#locked(upload, (open) => this.#end(incoming, open, digest));
  }

  /** `DELETE`: gives an upload up. @throws Refusal */
  async cancel(incoming: GatewayRequest, id: string): Promise<void> {
    const upload = this.#find(incoming, id);
    await this.#locked(upload, (open) => this.#giveUp(open));
    sendEmpty(incoming.response, 204);
  }

  async #end(incoming: GatewayRequest, upload: OpenUpload, digest: Digest): Promise<void> {
    if (!(await isAtOffset(incoming, upload))) return;
    const isThere = await this.#isThere(incoming, upload, digest);
    await this.#pass(incoming.request, upload, isThere);
    const { session, hash, id } = upload;
    const actual = hash && `sha256:${hash.copy().digest("hex")}`;
    if (actual !== null && digest.startsWith("sha256:") && actual !== digest) {
      await this.#giveUp(upload);
      throw new Refusal(400, "DIGEST_INVALID", `the content is ${actual}, not ${digest}`);
    }
    if (isThere) {
      this.#mirror.sent.present += 1;
      await this.#giveUp(upload);
      return created(incoming, digest);
    }
    try {
      await session.commit({ digest, size: session.offset }, null);
    } catch (error) {
      await this.#giveUp(upload);
      throw error instanceof UploadLost ? error.cause : error;
    }
    this.#mirror.sent.blobs += 1;
    await this.#forget(id);
    created(incoming, digest);
  }

  /** Whether a whole blob needn't be sent: the repository has it, or it could be mounted from another one. */
  async #isThere(
    { request, readsAll }: GatewayRequest,
    { session, repository }: OpenUpload,
    digest: Digest,
  ): Promise<boolean> {
    const length = Number(request.headers["content-length"] ?? Number.NaN);
    // What isn't sent is verified here, and not there.
    if (session.offset > 0 || !(length > WORTH_A_LOOK) || !digest.startsWith("sha256:")) return false;
    const remote = this.#mirror.repository(repository);
    if ((await this.#mirror.client.hasBlob(remote, digest)) === length) return true;
    if (!readsAll) return false;
    const mounted = await tryMount(this.#context, remote, digest, null);
    if (mounted instanceof UploadSession) await mounted.cancel();
    return mounted === null;
  }

  /**
   * Sends a body on while it comes: the client is never more than two chunks ahead of the far mirror.
   * @param isThere whether the far mirror has it, so that it is only hashed.
   */
  async #pass(request: IncomingMessage, upload: OpenUpload, isThere = false): Promise<void> {
    const { session, hash } = upload;
    const { origin } = this.#mirror.repository(upload.repository).endpoint;
    const receive = async (bytes: AsyncIterable<Uint8Array>) => {
      const size = this.#context.portions.chunkFor(origin, Number.POSITIVE_INFINITY, session.bounds);
      for await (const piece of inPieces(bytes, size ?? CHUNK)) {
        if (!isThere) {
          await session.send(piece);
          this.#mirror.sent.bytes += piece.byteLength;
        }
        hash?.update(piece);
      }
    };
    try {
      // A turn ends with a chunk that may be smaller than the far mirror wants.
      await this.#turns.take(bytesOf(request), receive, session.bounds.least !== null);
    } catch (error) {
      if (request.destroyed && !request.complete) throw brokenOff();
      await this.#giveUp(upload);
      throw error instanceof UploadLost ? error.cause : error;
    }
  }

  /** One request at a time: what a client sends again after a lost connection comes after what it sent before. */
  async #locked(upload: Upload, run: (open: OpenUpload) => Promise<void>): Promise<void> {
    while (upload.busy) await upload.busy;
    const running = this.#opened(upload).then(run);
    upload.busy = running
      .catch(() => {})
      .finally(() => {
        upload.busy = null;
      });
    await running;
  }

  /** @throws Refusal for one that the far mirror doesn't have any more, RegistryFailure. */
  async #opened(upload: Upload): Promise<OpenUpload> {
    if (upload.open) return upload.open;
    const { id, repository, location } = upload;
    const session = await UploadSession.reopen(this.#context, this.#mirror.repository(repository), location);
    if (!session) {
      await this.#forget(id);
      throw unknownUpload();
    }
    const hash = session.offset === 0 ? createHash("sha256") : null;
    upload.open = { id, repository, session, hash };
    return upload.open;
  }

  /** @throws Refusal for one that isn't there, or is another repository's. */
  #find({ repository }: GatewayRequest, id: string): Upload {
    const upload = this.#uploads.get(id);
    if (upload?.repository !== repository) {
      throw unknownUpload();
    }
    this.#uploads.delete(id);
    this.#uploads.set(id, upload);
    return upload;
  }

  #add(upload: Upload): void {
    this.#uploads.set(upload.id, upload);
    if (this.#uploads.size <= UPLOADS) return;
    const longest = [...this.#uploads.values()].find(({ busy }) => !busy);
    if (!longest) return;
    // One of an earlier process expires at the far mirror.
    void (longest.open ? this.#giveUp(longest.open) : this.#forget(longest.id));
  }

  async #giveUp({ id, session }: OpenUpload): Promise<void> {
    await this.#forget(id);
    await session.cancel();
  }

  async #forget(id: string): Promise<void> {
    this.#uploads.delete(id);
    await this.#kept.forget(id);
  }
}

/** @returns false, after a response with 416, where the content begins at another byte than the upload ends at. */
async function isAtOffset(incoming: GatewayRequest, upload: OpenUpload): Promise<boolean> {
  const header = incoming.request.headers["content-range"];
  if (header === undefined) return true;
  const start = /^(?:bytes )?(\d+)-\d+(?:\/.*)?$/.exec(header)?.[1];
  if (start === undefined) {
    throw new Refusal(400, "BLOB_UPLOAD_INVALID", "Content-Range must have the form 0-1023");
  }
  if (Number(start) === upload.session.offset) return true;
  await drain(incoming.request, incoming.response);
  sendEmpty(incoming.response, 416, progress(incoming, upload));
  return false;
}

function digestIn(search: URLSearchParams, name: string): Digest | null {
  const text = search.get(name);
  if (text === null) return null;
  const digest = parseDigest(text);
  if (!digest) throw new Refusal(400, "DIGEST_INVALID", `${name} is not a sha256 or sha512 digest`);
  return digest;
}

function progress({ path }: GatewayRequest, { id, session }: OpenUpload): Record<string, string> {
  return {
    Location: `${path}/blobs/uploads/${id}`,
    Range: `0-${Math.max(0, session.offset - 1)}`,
    "Docker-Upload-UUID": id,
  };
}

function created({ response, path }: GatewayRequest, digest: Digest): void {
  sendEmpty(response, 201, { Location: `${path}/blobs/${digest}`, "Docker-Content-Digest": digest });
}

function unknownUpload(): Refusal {
  return new Refusal(404, "BLOB_UPLOAD_UNKNOWN", "there is no such upload here: push again");
}

/** The client can't read it. */
function brokenOff(): Refusal {
  return new Refusal(400, "BLOB_UPLOAD_INVALID", "the request's body broke off");
}
