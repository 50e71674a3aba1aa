/** A circuit breaker: closed, open for a while after failures in a row, half-open for one probe. */

/** Milliseconds for which a circuit opens first; each failed probe doubles it. */
const FIRST_PAUSE = 5_000;
const LONGEST_PAUSE = 5 * 60_000;
/** Milliseconds after which a probe is assumed to be lost; a little more than an upstream request may take. */
const PROBE = 11_000;

export class CircuitBreaker {
  readonly #threshold: number;
  readonly #now: () => number;
  /** Failures in a row. */
  #failures = 0;
  /** Milliseconds since the epoch; the circuit is half-open from then on. */
  #openUntil = 0;
  /** Whether a probe is under way. */
  #isProbed = false;

  /** @param threshold failures in a row that open the circuit. */
  constructor(threshold: number, now: () => number) {
    this.#threshold = threshold;
    this.#now = now;
  }

  get isClosed(): boolean {
    return this.#failures < this.#threshold;
  }

  /** Whether the circuit is half-open and no probe is under way: then the caller has to probe, and to report the result. */
  tryAcquireProbe(): boolean {
    if (this.isClosed || this.#openUntil > this.#now()) return false;
    this.#openUntil = this.#now() + PROBE;
    this.#isProbed = true;
    return true;
  }

  /** Seconds until the next probe; at least 1. */
  retryAfter(): number {
    return Math.max(1, Math.ceil((this.#openUntil - this.#now()) / 1000));
  }

  succeeded(): void {
    this.#failures = 0;
    this.#openUntil = 0;
    this.#isProbed = false;
  }

  failed(): void {
    // A request that was sent before the circuit opened says nothing new.
    if (!this.isClosed && !this.#isProbed) return;
    this.#failures++;
    const pause = Math.min(FIRST_PAUSE * 2 ** Math.max(0, this.#failures - this.#threshold), LONGEST_PAUSE);
    this.#openUntil = this.#now() + pause;
    this.#isProbed = false;
  }
}
