/** The Durable Object of some blobs' digests: keeps the leases of who fills them, and fills them by alarm if they don't. */
import { DurableObject } from "cloudflare:workers";
import { type Digest, parseDigest } from "../oci/digest.ts";
import { parseContentRange } from "../oci/range.ts";
import { declaredLength, isEncoded, isStorable, lengthSent } from "../pull/body.ts";
import { accessForFill, upstreamOf } from "../pull/repository-access.ts";
import { streamWithResume } from "../pull/resume.ts";
import { waitUntilOf } from "../pull/wait-until.ts";
import { UpstreamError } from "../registry/failure.ts";
import type { WaitUntil } from "../registry/wait-until.ts";
import { type Env, type Services, servicesOf } from "../services.ts";
import { blobKey, DigestMismatch, type Visibility } from "../store/store.ts";
import { readVisible, storeVisible } from "../store/visible-content.ts";
import type { UpstreamRequest } from "../upstream/request.ts";
import { type Claim, type FillJob, type FillOutcome, Leases } from "./fill-leases.ts";

export class BlobFill extends DurableObject<Env> {
  readonly #services: Services;
  readonly #leases: Leases;
  readonly #waitUntil: WaitUntil = waitUntilOf(this.ctx);

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    this.#services = servicesOf(env);
    this.#leases = new Leases(state.storage, this.#services.now, (job) => this.#isStored(job));
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

  scheduleCheck(job: FillJob, holder: string, delay: number): Promise<void> {
    return this.#leases.scheduleCheck(job, holder, delay);
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
    if (!digest) return "permanent";
    try {
      if (await this.#isStored(job)) return "held";
      const upstreamRequest = this.#upstreamRequest(job, "GET");
      const response = await this.#ask({ ...upstreamRequest, isRaw: true });
      if (!isEncoded(response)) return await this.#store(job, digest, upstreamRequest, response);
      // Only the digest tells whether the label is true: first the bytes as they were sent, then what they decode to.
      const outcome = await this.#store(job, digest, upstreamRequest, response, lengthSent(response));
      if (outcome === "held") return outcome;
      return await this.#store(job, digest, upstreamRequest, await this.#ask(upstreamRequest));
    } catch (error) {
      const kind = error instanceof UpstreamError ? error.failure.kind : null;
      if (kind === "missing" || kind === "denied") return "permanent";
      console.warn(`filling ${digest} failed: ${error}`);
      return "failed";
    }
  }

  async #store(
    job: FillJob,
    digest: Digest,
    upstreamRequest: UpstreamRequest,
    response: Response,
    declared = declaredLength(response),
  ): Promise<FillOutcome> {
    const length = declared ?? (await this.#measure(job, response));
    if (length === null || !isStorable(length) || !response.body) {
      await response.body?.cancel();
      return "permanent";
    }
    const { body } = response;
    const source = { upstreamRequest, response, body, length, waitUntil: this.#waitUntil, signal: null };
    const { readable, pumped: pumping, answers } = await streamWithResume(this.#services, source);
    const keyOf = (visibility: Visibility) => blobKey(digest, visibility);
    const [pumped, stored] = await Promise.allSettled([
      pumping,
      storeVisible(this.#services, accessForFill(job.visibility, job), keyOf, readable, { digest }),
    ]);
    if (stored.status === "fulfilled") return "held";
    if (stored.reason instanceof DigestMismatch) {
      for (const answer of answers) this.#services.upstream.quarantine(answer, upstreamRequest.upstream);
    }
    const reason = pumped.status === "rejected" ? pumped.reason : stored.reason;
    console.warn(`filling ${digest} failed: ${reason}`);
    return "failed";
  }

  async #isStored(job: FillJob): Promise<boolean> {
    const digest = parseDigest(job.digest);
    if (!digest) return false;
    const { store } = this.#services;
    const keyOf = (visibility: Visibility) => blobKey(digest, visibility);
    const read = (key: string) => store.head(key);
    return (
      (await readVisible(this.#services, accessForFill(job.visibility, job), { digest }, keyOf, read)) !==
      null
    );
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
    const head = await this.#ask(this.#upstreamRequest(job, "HEAD"));
    const length = declaredLength(head);
    if (length !== null) return length;
    const byte = await this.#ask({ ...this.#upstreamRequest(job, "GET"), range: "bytes=0-0" });
    await byte.body?.cancel();
    return parseContentRange(byte.headers.get("Content-Range"))?.size ?? null;
  }

  #upstreamRequest(job: FillJob, method: UpstreamRequest["method"]): UpstreamRequest {
    const { repository, identity, via } = accessForFill(job.visibility, job);
    const upstream = upstreamOf(this.#services, job);
    return { upstream, repository, identity: identity, via, method, path: `blobs/${job.digest}` };
  }

  #ask(upstreamRequest: UpstreamRequest): Promise<Response> {
    return this.#services.upstream.fetch(upstreamRequest, this.#waitUntil);
  }
}
