/** The Durable Object of some blobs' digests: keeps the leases of who fills them, and fills them by alarm if they don't. */
import { DurableObject } from "cloudflare:workers";
import { type Claim, type FillJob, type FillOutcome, Leases } from "../cache/leases.ts";
import { blobKey, DigestMismatch, type Sphere } from "../cache/store.ts";
import { type Digest, parseDigest } from "../oci/digest.ts";
import { parseContentRange } from "../oci/range.ts";
import { UpstreamError } from "../registry/failure.ts";
import type { WaitUntil } from "../registry/wait-until.ts";
import type { UpstreamRequest } from "../upstream/request.ts";
import { backgroundOf } from "./background.ts";
import { declaredLength, isEncoded, isStorable, lengthSent } from "./body.ts";
import { keep, readHeld } from "./holdings.ts";
import { type Env, type Mirror, mirrorOf } from "./mirror.ts";
import { placeIn, upstreamOf } from "./place.ts";
import { leadOn } from "./resume.ts";

export class BlobFill extends DurableObject<Env> {
  readonly #mirror: Mirror;
  readonly #leases: Leases;
  readonly #background: WaitUntil = backgroundOf(this.ctx);

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    this.#mirror = mirrorOf(env);
    this.#leases = new Leases(state.storage, this.#mirror.now, (job) => this.#isStored(job));
  }

  acquire(job: FillJob, patience: number): Promise<Claim> {
    return this.#leases.acquire(job, patience);
  }

  join(job: FillJob, patience: number): Promise<Claim> {
    return this.#leases.join(job, patience);
  }

  joinRange(job: FillJob, bytes: number, patience: number): Promise<Claim> {
    return this.#leases.joinRange(job, bytes, patience);
  }

  lookAgain(job: FillJob, holder: string, delay: number): Promise<void> {
    return this.#leases.lookAgain(job, holder, delay);
  }

  release(job: FillJob, holder: string): Promise<void> {
    return this.#leases.release(job, holder);
  }

  override alarm(): Promise<void> {
    return this.#leases.alarm((job) => this.#fill(job));
  }

  /** Brings the blob into the store; an object that is there already is left as it is. */
  async #fill(job: FillJob): Promise<FillOutcome> {
    const digest = parseDigest(job.digest);
    if (!digest) return "hopeless";
    try {
      if (await this.#isStored(job)) return "held";
      const question = this.#question(job, "GET");
      const response = await this.#ask({ ...question, isRaw: true });
      if (!isEncoded(response)) return await this.#store(job, digest, question, response);
      // Only the digest tells whether the label is true: first the bytes as they were sent, then what they decode to.
      const outcome = await this.#store(job, digest, question, response, lengthSent(response));
      if (outcome === "held") return outcome;
      return await this.#store(job, digest, question, await this.#ask(question));
    } catch (error) {
      const kind = error instanceof UpstreamError ? error.failure.kind : null;
      if (kind === "missing" || kind === "denied") return "hopeless";
      console.warn(`filling ${digest} failed: ${error}`);
      return "failed";
    }
  }

  async #store(
    job: FillJob,
    digest: Digest,
    question: UpstreamRequest,
    response: Response,
    declared = declaredLength(response),
  ): Promise<FillOutcome> {
    const length = declared ?? (await this.#measure(job, response));
    if (length === null || !isStorable(length) || !response.body) {
      await response.body?.cancel();
      return "hopeless";
    }
    const { body } = response;
    const source = { question, response, body, length, background: this.#background, signal: null };
    const { readable, pumped: pumping, answers } = await leadOn(this.#mirror, source);
    const keyOf = (sphere: Sphere) => blobKey(digest, sphere);
    const [pumped, stored] = await Promise.allSettled([
      pumping,
      keep(this.#mirror, placeIn(job.sphere, job), keyOf, readable, { digest }),
    ]);
    if (stored.status === "fulfilled") return "held";
    if (stored.reason instanceof DigestMismatch) {
      for (const answer of answers) this.#mirror.upstream.quarantine(answer, question.upstream);
    }
    const reason = pumped.status === "rejected" ? pumped.reason : stored.reason;
    console.warn(`filling ${digest} failed: ${reason}`);
    return "failed";
  }

  async #isStored(job: FillJob): Promise<boolean> {
    const digest = parseDigest(job.digest);
    if (!digest) return false;
    const { store } = this.#mirror;
    const keyOf = (sphere: Sphere) => blobKey(digest, sphere);
    const read = (key: string) => store.head(key);
    return (await readHeld(this.#mirror, placeIn(job.sphere, job), { digest }, keyOf, read)) !== null;
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
    const head = await this.#ask(this.#question(job, "HEAD"));
    const length = declaredLength(head);
    if (length !== null) return length;
    const byte = await this.#ask({ ...this.#question(job, "GET"), range: "bytes=0-0" });
    await byte.body?.cancel();
    return parseContentRange(byte.headers.get("Content-Range"))?.size ?? null;
  }

  #question(job: FillJob, method: UpstreamRequest["method"]): UpstreamRequest {
    const { repository, authority, via } = placeIn(job.sphere, job);
    const upstream = upstreamOf(this.#mirror, job);
    return { upstream, repository, identity: authority, via, method, path: `blobs/${job.digest}` };
  }

  #ask(question: UpstreamRequest): Promise<Response> {
    return this.#mirror.upstream.fetch(question, this.#background);
  }
}
