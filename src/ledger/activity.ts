/** What the mirror does besides serving: requests to upstreams and fills, gathered in the isolate with the traffic. */
import type { FillOutcome } from "../pull/fill-leases.ts";

/** Requests to an endpoint that ended alike. */
export interface UpstreamCount {
  upstream: string;
  /** Its URL. */
  endpoint: string;
  /** As `upstream/observer.ts` has them. */
  outcome: string;
  requests: number;
  /** When the last of them ended; milliseconds since the epoch. */
  last: number;
}

/** What an upstream last said of a limit on pulls. */
export interface PullsRemaining {
  upstream: string;
  /** `anonymous`, or the place of the operator's login in its list: `#1`. */
  login: string;
  pulls: number;
  /** Milliseconds since the epoch. */
  at: number;
}

export interface FillCount {
  outcome: FillOutcome;
  fills: number;
}

export interface Activity {
  upstream: readonly UpstreamCount[];
  remaining: readonly PullsRemaining[];
  fills: readonly FillCount[];
}

export const NO_ACTIVITY: Activity = { upstream: [], remaining: [], fills: [] };

/** One isolate's activity that isn't in the ledger yet. */
export class GatheredActivity {
  #upstream = new Map<string, UpstreamCount>();
  #remaining = new Map<string, PullsRemaining>();
  #fills = new Map<FillOutcome, FillCount>();

  requested({ upstream, endpoint, outcome }: Omit<UpstreamCount, "requests" | "last">, at: number): void {
    const key = `${upstream} ${endpoint} ${outcome}`;
    const requests = (this.#upstream.get(key)?.requests ?? 0) + 1;
    this.#upstream.set(key, { upstream, endpoint, outcome, requests, last: at });
  }

  pullsRemaining(remaining: PullsRemaining): void {
    this.#remaining.set(`${remaining.upstream} ${remaining.login}`, remaining);
  }

  filled(outcome: FillOutcome): void {
    this.#fills.set(outcome, { outcome, fills: (this.#fills.get(outcome)?.fills ?? 0) + 1 });
  }

  /** All of it, which is gathered from nothing again; NO_ACTIVITY where there was none. */
  take(): Activity {
    if (this.#upstream.size + this.#remaining.size + this.#fills.size === 0) return NO_ACTIVITY;
    const taken = {
      upstream: [...this.#upstream.values()],
      remaining: [...this.#remaining.values()],
      fills: [...this.#fills.values()],
    };
    this.#upstream = new Map();
    this.#remaining = new Map();
    this.#fills = new Map();
    return taken;
  }
}
