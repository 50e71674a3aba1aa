/** Which endpoints are worth asking: one that is down or lies is left alone for a while, so that it costs nobody a wait. */

import { Bounded } from "./remembered.ts";

interface State {
  /** Failures in a row. */
  failures: number;
  /** Milliseconds since the epoch until which nobody asks. */
  restsUntil: number;
  /** Whether somebody is asking, now that a rest was over. */
  isProbed: boolean;
}

/** Failures in a row after which an endpoint rests: a few may be chance. */
const TOLERATED = 3;
/** Milliseconds of the first rest; each failed probe doubles it. */
const FIRST_REST = 5_000;
const LONGEST_REST = 5 * 60_000;
/** Milliseconds that a probe has before the next one may be sent; a little more than a question may take. */
const PROBE = 11_000;
/** Milliseconds for which an endpoint that sent wrong bytes is left alone, however it fares otherwise. */
const DISTRUST = 10 * 60_000;

/** One isolate's experience with every endpoint. */
export class Health {
  /** By address: of a family of upstreams, callers choose which there are. */
  readonly #states = new Bounded<State>();
  /** Milliseconds since the epoch. */
  readonly #distrustedUntil = new Bounded<number>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /**
   * Whether the endpoint may be asked; to be called only by whoever then asks. When a rest is over one caller may, and the
   * others go without until it is known how that went.
   */
  mayAsk({ href }: URL): boolean {
    const now = this.#now();
    const distrustedUntil = this.#distrustedUntil.get(href);
    if (distrustedUntil !== undefined) {
      if (distrustedUntil > now) return false;
      this.#distrustedUntil.delete(href);
      this.#states.set(href, { failures: TOLERATED, restsUntil: now, isProbed: false });
    }
    const state = this.#states.get(href);
    if (!state || state.failures < TOLERATED) return true;
    if (state.restsUntil > now) return false;
    Object.assign(state, { restsUntil: now + PROBE, isProbed: true });
    return true;
  }

  /** Seconds until the endpoint is asked again. */
  restOf({ href }: URL): number {
    const until = Math.max(this.#states.get(href)?.restsUntil ?? 0, this.#distrustedUntil.get(href) ?? 0);
    return Math.max(1, Math.ceil((until - this.#now()) / 1000));
  }

  /** It answered, whatever it said. */
  succeeded({ href }: URL): void {
    this.#states.delete(href);
  }

  /** It couldn't be reached, took too long, or failed by itself. */
  failed({ href }: URL): void {
    const state = this.#states.get(href) ?? { failures: 0, restsUntil: 0, isProbed: false };
    // What was under way when the rest began tells nothing new.
    if (state.failures >= TOLERATED && !state.isProbed) return;
    const failures = state.failures + 1;
    const rest = Math.min(FIRST_REST * 2 ** Math.max(0, failures - TOLERATED), LONGEST_REST);
    this.#states.set(href, { failures, restsUntil: this.#now() + rest, isProbed: false });
  }

  /** What it sent was not what its digest said. */
  distrust({ href }: URL): void {
    this.#distrustedUntil.set(href, this.#now() + DISTRUST);
  }
}
