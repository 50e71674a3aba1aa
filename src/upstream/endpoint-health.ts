/**
 * Whether an endpoint is up. Failed requests only raise the suspicion, because a single object or repository may be broken;
 * a request for the endpoint's `/v2/` tells whether the endpoint itself is down.
 */
import type { WaitUntil } from "../registry/wait-until.ts";
import { CircuitBreaker } from "./circuit-breaker.ts";

export interface EndpointHealthOptions {
  /** Whether the endpoint responds to a request for its `/v2/` with anything but a server error. */
  ping: () => Promise<boolean>;
  /** Milliseconds since the epoch. */
  now: () => number;
}

/** Failed requests in a row after which an endpoint is pinged: a few may be chance. */
const SUSPICIOUS = 3;
/** Milliseconds for which a ping isn't repeated, so that a broken repository causes few of them. */
const PINGED = 5_000;
/** Milliseconds for which an endpoint that sent wrong bytes isn't used, whatever else it does. */
const QUARANTINE = 10 * 60_000;
/** Milliseconds that a ping may take. */
const PING_TIME_OUT = 5_000;

export class EndpointHealth {
  readonly #options: EndpointHealthOptions;
  /** Fed by pings alone. */
  readonly #breaker: CircuitBreaker;
  /** Failed requests in a row. */
  #failures = 0;
  /** Milliseconds since the epoch; no ping is repeated before. */
  #pingedUntil = 0;
  /** Milliseconds since the epoch. */
  #quarantinedUntil = 0;

  constructor(options: EndpointHealthOptions) {
    this.#options = options;
    this.#breaker = new CircuitBreaker(1, options.now);
  }

  /**
   * Whether a request may be sent to the endpoint. When its circuit is half-open, the first caller waits for a ping; the
   * others are refused until its result is known.
   */
  async admits(): Promise<boolean> {
    if (this.#quarantinedUntil > this.#options.now()) return false;
    if (this.#breaker.isClosed) return true;
    return this.#breaker.tryAcquireProbe() && this.#ping();
  }

  /** Seconds until a request may be sent to the endpoint again. */
  retryAfter(): number {
    const quarantine = this.#quarantinedUntil - this.#options.now();
    return Math.max(this.#breaker.retryAfter(), Math.ceil(quarantine / 1000));
  }

  /** The same, for a report; 0 while requests are sent. */
  downFor(): number {
    const isUp = this.#breaker.isClosed && this.#quarantinedUntil <= this.#options.now();
    return isUp ? 0 : this.retryAfter();
  }

  /** The endpoint itself responded, and not as a gateway in front of it that can't reach it. */
  succeeded(): void {
    this.#failures = 0;
  }

  /** The endpoint itself couldn't be reached, took too long, or only its gateway responded. */
  failed(waitUntil: WaitUntil): void {
    if (!this.#breaker.isClosed) return;
    this.#failures++;
    if (this.#failures < SUSPICIOUS || this.#pingedUntil > this.#options.now()) return;
    this.#pingedUntil = this.#options.now() + PINGED;
    waitUntil(this.#ping());
  }

  /** The endpoint sent bytes that don't match the requested digest. */
  quarantine(): void {
    this.#quarantinedUntil = this.#options.now() + QUARANTINE;
  }

  async #ping(): Promise<boolean> {
    const isUp = await this.#options.ping().catch(() => false);
    this.#failures = 0;
    if (isUp) this.#breaker.succeeded();
    else this.#breaker.failed();
    return isUp;
  }
}

/** Whether an endpoint responds to a request for its `/v2/` with anything but a server error: a 401 or a redirect will do. */
export async function ping(endpoint: URL, fetcher: typeof fetch, via: string): Promise<boolean> {
  const inTime = new AbortController();
  const timer = setTimeout(() => inTime.abort(), PING_TIME_OUT);
  try {
    const headers = new Headers({ "User-Agent": "portolan", Via: via });
    const init: RequestInit = { headers, redirect: "manual", signal: inTime.signal };
    const response = await fetcher(new URL("/v2/", endpoint).href, init);
    await response.body?.cancel();
    return response.status < 500;
  } finally {
    clearTimeout(timer);
  }
}
