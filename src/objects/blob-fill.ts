/** The Durable Object of some blobs' fills: it keeps their leases, and fills by alarm what the holders of leases don't. */
import { DurableObject } from "cloudflare:workers";
import { fillBlob, isBlobStored } from "../pull/fill.ts";
import type { Claim, FillJob, FillLeases, FillState } from "../pull/fill-leases.ts";
import { waitUntilOf } from "../pull/wait-until.ts";
import { type Env, servicesOf } from "../services.ts";
import { Leases } from "./fill-leases.ts";

export class BlobFill extends DurableObject<Env> implements FillLeases {
  readonly #services = servicesOf(this.env);
  readonly #leases: Leases;

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    this.#leases = new Leases(state.storage, this.#services, (job) => isBlobStored(this.#services, job));
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

  requestFill(job: FillJob): Promise<FillState> {
    return this.#leases.requestFill(job);
  }

  scheduleCheck(job: FillJob, holder: string, delay: number): Promise<void> {
    return this.#leases.scheduleCheck(job, holder, delay);
  }

  release(job: FillJob, holder: string): Promise<void> {
    return this.#leases.release(job, holder);
  }

  override alarm(): Promise<void> {
    const waitUntil = waitUntilOf(this.ctx);
    return this.#leases.alarm(async (job) => {
      const outcome = await fillBlob(this.#services, job, waitUntil);
      if (outcome !== "stored") this.#services.onFillFailed(outcome, waitUntil);
      return outcome;
    });
  }
}
