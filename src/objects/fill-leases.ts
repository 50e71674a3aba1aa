/**
 * Who fills which object, and what happens when they don't. One Durable Object keeps the leases of many digests, each in
 * its storage under an id of its holder: an object's memory lasts for seconds, and only the holder may end a lease.
 */

import type { Digest } from "../oci/digest.ts";
import type { Claim, FillJob, FillOutcome, FillState } from "../pull/fill-leases.ts";
import type { PullServices } from "../pull/services.ts";
import { boundedMap } from "../registry/bounded-map.ts";
import { linkKey } from "../store/store.ts";

interface Fill {
  job: FillJob;
  holder: string;
  /** Whether the holder is the alarm, which no client can slow down. */
  inBackground: boolean;
  /** Milliseconds since the epoch: until then the holder is at it, and others leave it alone. */
  leasedUntil: number;
  /** Milliseconds since the epoch: then the alarm looks whether the object came to be, and fills it if not. */
  due: number;
  /** Attempts by alarm that failed so far. */
  attempts: number;
}

/** Milliseconds. The longest a leader's stream is waited for before the alarm looks whether the object came to be. */
const LEASE = 15 * 60 * 1000;
/** Milliseconds to wait before each further attempt by alarm; after the last the fill is given up. */
const RETRY_AFTER = [2_000, 10_000, 60_000, 300_000];
/** Bytes of a blob that several ranges must have requested before the whole is filled. */
const GOOD_PART = 8 * 1024 * 1024;
/** Blobs whose ranges are counted at a time. */
const COUNTED = 10_000;
/** Failed attempts after which a fill in the background counts as failed, though there may be others. */
const HOPEFUL = 2;
/** Milliseconds for which a fill that was given up isn't requested again, and how many are remembered. */
const GIVEN_UP = 60_000;
const GIVEN_UP_COUNT = 1_000;

const PREFIX = "fill:";

/** `now` in milliseconds since the epoch; `fillLook` in milliseconds between two looks of those who wait, which they share. */
type Timing = Pick<PullServices, "now" | "fillLook">;

export class Leases {
  readonly #storage: DurableObjectStorage;
  readonly #timing: Timing;
  readonly #isStored: (job: FillJob) => Promise<boolean>;
  readonly #looks = new Map<string, Promise<boolean>>();
  /** Bytes requested by ranges. A count that is lost with the memory only delays a fill. */
  readonly #requested = boundedMap<string, number>(COUNTED);

  /** Fills that were given up lately: when, in milliseconds since the epoch. */
  readonly #givenUp = boundedMap<string, number>(GIVEN_UP_COUNT);

  constructor(storage: DurableObjectStorage, timing: Timing, isStored: (job: FillJob) => Promise<boolean>) {
    this.#storage = storage;
    this.#timing = timing;
    this.#isStored = isStored;
  }

  /**
   * Makes the caller the one who fills, unless somebody already is; then waits for them, `patience` milliseconds at most.
   * A leader who takes longer may only have a slow client: the object is then filled in the background.
   */
  async acquire(job: FillJob, patience: number): Promise<Claim> {
    const found = await this.#wait(job, patience);
    const state = this.#get(job);
    // Of many who have waited for a fill that failed, one alone takes its place.
    if (found === "free" && !this.#isLeased(state)) return this.#lease(job, false, LEASE);
    if (found === "late" && patience > 0 && state && !state.inBackground)
      await this.#put({ ...state, holder: crypto.randomUUID(), inBackground: true, due: this.#timing.now() });
    return { kind: found === "stored" ? found : "none" };
  }

  /** Waits for the fill that is running, if one is, and never fills. */
  async join(job: FillJob, patience: number): Promise<Claim> {
    return { kind: (await this.#wait(job, patience)) === "stored" ? "stored" : "none" };
  }

  /**
   * Waits for the fill that is running, for a range of so many bytes. The first range of a blob may be the only one; but who
   * asks for more of it, and for a good part with that, has the whole filled in the background, and waits for that.
   */
  async joinRange(job: FillJob, bytes: number, patience: number): Promise<Claim> {
    if (!this.#isLeased(this.#get(job))) {
      const id = idOf(job);
      const before = this.#requested.get(id) ?? 0;
      this.#requested.set(id, before + bytes);
      if (before === 0 || before + bytes < GOOD_PART) return { kind: "none" };
      this.#requested.delete(id);
      await this.#lease(job, true, 0);
    }
    return this.join(job, patience);
  }

  /** Has the whole filled in the background, unless a fill is running, another attempt is planned, or it was given up lately. */
  async requestFill(job: FillJob): Promise<FillState> {
    const state = this.#get(job);
    if (state) return state.attempts < HOPEFUL ? "filling" : "failed";
    const givenUp = this.#givenUp.get(idOf(job));
    if (givenUp !== undefined && this.#timing.now() - givenUp < GIVEN_UP) return "failed";
    await this.#lease(job, true, 0);
    return "filling";
  }

  /** The leader can't finish, or can't be sure: the alarm looks after it `delay` milliseconds from now. */
  async scheduleCheck(job: FillJob, holder: string, delay: number): Promise<void> {
    const state = this.#get(job);
    if (state?.holder === holder) await this.#put({ ...state, due: this.#timing.now() + delay });
  }

  /** The leader gives up for good: there is nothing to fill. */
  async release(job: FillJob, holder: string): Promise<void> {
    const state = this.#get(job);
    if (state?.holder === holder) await this.#delete(job);
  }

  /** Makes an attempt at all that is due, and plans the next one of those that fail. */
  async alarm(fill: (job: FillJob) => Promise<FillOutcome>): Promise<void> {
    const states = this.#all();
    const latest = Math.max(this.#timing.now(), earliest(states));
    const due = states.filter((state) => state.due <= latest);
    const attempts = await Promise.allSettled(due.map((state) => this.#attempt(state, fill)));
    for (const attempt of attempts) if (attempt.status === "rejected") throw attempt.reason;
  }

  async #attempt(before: Fill, fill: (job: FillJob) => Promise<FillOutcome>): Promise<void> {
    const { job, attempts } = before;
    const { holder } = await this.#lease(job, true, LEASE, attempts);
    const outcome = await fill(job);
    const state = this.#get(job);
    if (state?.holder !== holder) return;
    const delay = RETRY_AFTER[attempts];
    if (outcome === "failed" && delay !== undefined) {
      // Until then no fill runs: a request that gets the content from upstream meanwhile may as well store it.
      await this.#put({ ...state, leasedUntil: 0, attempts: attempts + 1, due: this.#timing.now() + delay });
      return;
    }
    if (outcome !== "stored") this.#givenUp.set(idOf(job), this.#timing.now());
    if (outcome === "failed") console.warn(`gave up filling ${job.digest} from ${job.upstream}`);
    await this.#delete(job);
  }

  /**
   * Waits for the fill that is running. `late` is one that takes longer, `failed` one whose lease another has now: that one
   * isn't waited for, or many would fail one after the other.
   */
  async #wait(job: FillJob, patience: number): Promise<"free" | "stored" | "late" | "failed"> {
    const deadline = this.#timing.now() + patience;
    const first = this.#get(job);
    if (!this.#isLeased(first)) return "free";
    let isStored = await this.#isStored(job);
    for (;;) {
      const state = this.#get(job);
      if (isStored) return "stored";
      // A fill in the background that has ended well has ended its lease, too.
      if (!this.#isLeased(state)) return (await this.#isStored(job)) ? "stored" : "free";
      if (state?.holder !== first?.holder && !state?.inBackground) return "failed";
      if (this.#timing.now() >= deadline) return "late";
      isStored = await this.#look(job);
    }
  }

  #look(job: FillJob): Promise<boolean> {
    const id = idOf(job);
    const look =
      this.#looks.get(id) ??
      new Promise((resolve) => setTimeout(resolve, this.#timing.fillLook))
        .then(() => this.#isStored(job))
        .finally(() => this.#looks.delete(id));
    this.#looks.set(id, look);
    return look;
  }

  async #lease(job: FillJob, inBackground: boolean, due: number, attempts = 0) {
    const holder = crypto.randomUUID();
    const now = this.#timing.now();
    await this.#put({ job, holder, inBackground, leasedUntil: now + LEASE, due: now + due, attempts });
    return { kind: "leader", holder } as const;
  }

  #isLeased(state: Fill | undefined): boolean {
    return state !== undefined && state.leasedUntil > this.#timing.now();
  }

  // The storage answers at once: between a look at a lease and its change nothing else can happen.

  #get(job: FillJob): Fill | undefined {
    return this.#storage.kv.get<Fill>(idOf(job));
  }

  #put(state: Fill): Promise<void> {
    this.#storage.kv.put(idOf(state.job), state);
    return this.#setAlarm();
  }

  #delete(job: FillJob): Promise<void> {
    this.#storage.kv.delete(idOf(job));
    return this.#setAlarm();
  }

  async #setAlarm(): Promise<void> {
    const next = earliest(this.#all());
    if (next < Number.POSITIVE_INFINITY) await this.#storage.setAlarm(next);
    else await this.#storage.deleteAlarm();
  }

  #all(): Fill[] {
    return [...this.#storage.kv.list<Fill>({ prefix: PREFIX })].map(([, state]) => state);
  }
}

function earliest(states: Fill[]): number {
  return Math.min(...states.map(({ due }) => due));
}

/** Public content is filled once for all; private content for each repository that it is linked to. */
function idOf({ upstream, repository, digest, visibility }: FillJob): string {
  return PREFIX + (visibility === "public" ? digest : linkKey(upstream, repository, digest as Digest));
}
