/** The Durable Object of one blob's digest: holds the lease of who fills it, and fills it by alarm if they don't. */
import { DurableObject } from "cloudflare:workers";
import { type FillJob, type FillOutcome, Lease } from "../cache/leases.ts";
import { blobKey, DigestMismatch, type Sphere } from "../cache/store.ts";
import { parseDigest } from "../oci/digest.ts";
import { parseContentRange } from "../oci/range.ts";
import { UpstreamError } from "../upstream/failure.ts";
import { declaredLength, isStorable, patience } from "./body.ts";
import { keep, readHeld } from "./holdings.ts";
import { type Env, type Mirror, mirrorOf } from "./mirror.ts";
import { placeIn, upstreamOf } from "./place.ts";

export class BlobFill extends DurableObject<Env> {
  readonly #mirror: Mirror;
  readonly #lease: Lease;

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    this.#mirror = mirrorOf(env);
    this.#lease = new Lease(state.storage, this.#mirror.now);
  }

  acquire(job: FillJob): Promise<boolean> {
    return this.#lease.acquire(job);
  }

  fillApart(job: FillJob): Promise<void> {
    return this.#lease.fillApart(job);
  }

  lookAgain(delay: number): Promise<void> {
    return this.#lease.lookAgain(delay);
  }

  release(): Promise<void> {
    return this.#lease.release();
  }

  override alarm(): Promise<void> {
    return this.#lease.alarm((job) => this.#fill(job));
  }

  /** Brings the blob into the store; an object that is there already is left as it is. */
  async #fill(job: FillJob): Promise<FillOutcome> {
    const digest = parseDigest(job.digest);
    if (!digest) return "hopeless";
    const { store } = this.#mirror;
    const place = placeIn(job.sphere, job);
    const keyOf = (sphere: Sphere) => blobKey(digest, sphere);
    try {
      if (await readHeld(this.#mirror, place, { digest }, keyOf, (key) => store.head(key))) return "held";
      const response = await this.#ask(job, "GET");
      const length = declaredLength(response) ?? (await this.#measure(job, response));
      if (length === null || !isStorable(length) || !response.body) {
        await response.body?.cancel();
        return "hopeless";
      }
      const { readable, writable } = new FixedLengthStream(length);
      const [pumped, stored] = await Promise.allSettled([
        response.body.pipeTo(writable, { signal: patience(length) }),
        keep(this.#mirror, place, keyOf, readable, { digest }),
      ]);
      if (stored.status === "fulfilled") return "held";
      if (stored.reason instanceof DigestMismatch) {
        this.#mirror.upstream.distrust(response, upstreamOf(this.#mirror, job));
      }
      const reason = pumped.status === "rejected" ? pumped.reason : stored.reason;
      console.warn(`filling ${digest} failed: ${reason}`);
      return "failed";
    } catch (error) {
      const kind = error instanceof UpstreamError ? error.failure.kind : null;
      if (kind === "missing" || kind === "denied") return "hopeless";
      console.warn(`filling ${digest} failed: ${error}`);
      return "failed";
    }
  }

  /**
   * The length of a blob that upstream sends without one, from a HEAD or else from a range of one byte.
   * @param waiting the answer it is needed for, which is let go if it can't be had.
   */
  async #measure(job: FillJob, waiting: Response): Promise<number | null> {
    try {
      return await this.#askLength(job);
    } catch (error) {
      await waiting.body?.cancel();
      throw error;
    }
  }

  async #askLength(job: FillJob): Promise<number | null> {
    const head = await this.#ask(job, "HEAD");
    const length = declaredLength(head);
    if (length !== null) return length;
    const byte = await this.#ask(job, "GET", "bytes=0-0");
    await byte.body?.cancel();
    return parseContentRange(byte.headers.get("Content-Range"))?.size ?? null;
  }

  #ask(job: FillJob, method: "GET" | "HEAD", range?: string): Promise<Response> {
    const { repository, authority } = placeIn(job.sphere, job);
    const question = {
      upstream: upstreamOf(this.#mirror, job),
      repository,
      authority,
      method,
      path: `blobs/${job.digest}`,
      ...(range === undefined ? {} : { range }),
    };
    return this.#mirror.upstream.ask(question, (work) => this.ctx.waitUntil(work));
  }
}
