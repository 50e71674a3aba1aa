/** Circuit breakers, one per endpoint: closed, open for a while after failures in a row, half-open for one probe. */
import { LRUCache } from "lru-cache";
import { MAXIMUM_NAMES } from "../registry/remembered.ts";

interface Circuit {
  /** Failures in a row. */
  failures: number;
  /** Milliseconds since the epoch; the circuit is half-open from then on. */
  openUntil: number;
  /** Whether a probe is under way. */
  isProbed: boolean;
}

/** Milliseconds for which a circuit opens first; each failed probe doubles it. */
const FIRST_PAUSE = 5_000;
const LONGEST_PAUSE = 5 * 60_000;
/** Milliseconds after which a probe is taken to be lost; a little more than an upstream request may take. */
const PROBE = 11_000;

export class CircuitBreaker {
  /** By address: of a family of upstreams, callers choose which there are. */
  readonly #circuits = new LRUCache<string, Circuit>({ max: MAXIMUM_NAMES });
  readonly #threshold: number;
  readonly #now: () => number;

  /** @param threshold failures in a row that open a circuit. */
  constructor(threshold: number, now: () => number) {
    this.#threshold = threshold;
    this.#now = now;
  }

  isClosed({ href }: URL): boolean {
    return (this.#circuits.get(href)?.failures ?? 0) < this.#threshold;
  }

  /** Whether the circuit is half-open and no probe is under way: then the caller has to probe, and to report how it went. */
  tryAcquireProbe(endpoint: URL): boolean {
    const circuit = this.#circuits.get(endpoint.href);
    if (!circuit || this.isClosed(endpoint) || circuit.openUntil > this.#now()) return false;
    Object.assign(circuit, { openUntil: this.#now() + PROBE, isProbed: true });
    return true;
  }

  /** Seconds until the next probe; at least 1. */
  retryAfter({ href }: URL): number {
    const openUntil = this.#circuits.get(href)?.openUntil ?? 0;
    return Math.max(1, Math.ceil((openUntil - this.#now()) / 1000));
  }

  succeeded({ href }: URL): void {
    this.#circuits.delete(href);
  }

  failed(endpoint: URL): void {
    const { href } = endpoint;
    const circuit = this.#circuits.get(href) ?? { failures: 0, openUntil: 0, isProbed: false };
    // A request that was sent before the circuit opened says nothing new.
    if (!this.isClosed(endpoint) && !circuit.isProbed) return;
    const failures = circuit.failures + 1;
    const pause = Math.min(FIRST_PAUSE * 2 ** Math.max(0, failures - this.#threshold), LONGEST_PAUSE);
    this.#circuits.set(href, { failures, openUntil: this.#now() + pause, isProbed: false });
  }
}
