/** Who fills an object, and what happens when they don't: one lease per digest, kept in its Durable Object. */

import type { Sphere } from "./store.ts";

/** Where an object is to be had, and for whom. */
export interface FillJob {
  upstream: string;
  repository: string;
  digest: string;
  sphere: Sphere;
}

/** How an attempt to fill ended: it lies in the store, it can't ever, or it may another time. */
export type FillOutcome = "held" | "hopeless" | "failed";

interface FillState {
  job: FillJob;
  /** Attempts by alarm that failed so far. */
  attempts: number;
}

/** Milliseconds. The longest a leader's stream is waited for before the alarm looks whether the object came to be. */
const LEASE = 15 * 60 * 1000;
/** Milliseconds to wait before each further attempt by alarm; after the last the fill is given up. */
const RETRY_AFTER = [2_000, 10_000, 60_000, 300_000];

const STATE = "fill";

export class Lease {
  readonly #storage: DurableObjectStorage;
  readonly #now: () => number;
  /**
   * Milliseconds since the epoch. Until then somebody is at it, and others leave it alone. It is kept in memory only: where
   * the object was ended, those it knew of were too, or will be looked after by the alarm; a doubled fill does no harm.
   */
  #leasedUntil = 0;

  constructor(storage: DurableObjectStorage, now: () => number) {
    this.#storage = storage;
    this.#now = now;
  }

  /** Makes the caller the one who fills, unless somebody already is. An alarm will look whether they did. */
  async acquire(job: FillJob): Promise<boolean> {
    if (this.#leasedUntil > this.#now()) return false;
    this.#leasedUntil = this.#now() + LEASE;
    await this.#schedule({ job, attempts: 0 }, LEASE);
    return true;
  }

  /** Has the object filled by alarm, unless somebody is already filling it. */
  async fillApart(job: FillJob): Promise<void> {
    if (await this.acquire(job)) await this.#storage.setAlarm(this.#now());
  }

  /** The leader can't finish, or can't be sure: the alarm looks after it `delay` milliseconds from now. */
  async lookAgain(delay: number): Promise<void> {
    if (await this.#storage.get<FillState>(STATE)) await this.#storage.setAlarm(this.#now() + delay);
  }

  /** The leader gives up for good: there is nothing to fill. */
  async release(): Promise<void> {
    this.#leasedUntil = 0;
    await this.#storage.deleteAlarm();
    await this.#storage.deleteAll();
  }

  /** Runs one attempt, and plans the next one if it fails. */
  async alarm(fill: (job: FillJob) => Promise<FillOutcome>): Promise<void> {
    const state = await this.#storage.get<FillState>(STATE);
    if (!state) return;
    this.#leasedUntil = this.#now() + LEASE;
    const outcome = await fill(state.job);
    const delay = RETRY_AFTER[state.attempts];
    if (outcome !== "failed" || delay === undefined) {
      if (outcome === "failed")
        console.warn(`gave up filling ${state.job.digest} from ${state.job.upstream}`);
      await this.release();
      return;
    }
    // Until then nobody is at it: whoever upstream gives the content to meanwhile may as well store it.
    this.#leasedUntil = 0;
    await this.#schedule({ ...state, attempts: state.attempts + 1 }, delay);
  }

  async #schedule(state: FillState, delay: number): Promise<void> {
    await this.#storage.put<FillState>(STATE, state);
    await this.#storage.setAlarm(this.#now() + delay);
  }
}
