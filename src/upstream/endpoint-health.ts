/**
 * Which endpoints are up. Requests that fail only raise the suspicion, because one object or one repository may be all that
 * is broken; whether the endpoint itself is down, a request for its `/v2/` tells.
 */
import { LRUCache } from "lru-cache";
import { MAXIMUM_NAMES, Remembered } from "../registry/remembered.ts";
import type { WaitUntil } from "../registry/wait-until.ts";
import { CircuitBreaker } from "./circuit-breaker.ts";

export interface EndpointHealthOptions {
  /** Whether an endpoint answers a request for its `/v2/` with anything but a server error. */
  ping: (endpoint: URL) => Promise<boolean>;
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

/** One isolate's experience with every endpoint. */
export class EndpointHealth {
  readonly #options: EndpointHealthOptions;
  /** Fed by pings alone. */
  readonly #breaker: CircuitBreaker;
  /** By address, failed requests in a row. */
  readonly #failures = new LRUCache<string, number>({ max: MAXIMUM_NAMES });
  readonly #pinged: Remembered;
  /** By address, milliseconds since the epoch. */
  readonly #quarantinedUntil = new LRUCache<string, number>({ max: MAXIMUM_NAMES });

  constructor(options: EndpointHealthOptions) {
    this.#options = options;
    this.#breaker = new CircuitBreaker(1, options.now);
    this.#pinged = new Remembered(PINGED, options.now);
  }

  /**
   * Whether a request may be sent to the endpoint. When its circuit is half-open, the first caller waits for a ping; the
   * others are refused until its result is known.
   */
  async admits(endpoint: URL): Promise<boolean> {
    if ((this.#quarantinedUntil.get(endpoint.href) ?? 0) > this.#options.now()) return false;
    if (this.#breaker.isClosed(endpoint)) return true;
    return this.#breaker.tryAcquireProbe(endpoint) && this.#ping(endpoint);
  }

  /** Seconds until a request may be sent to the endpoint again. */
  retryAfter(endpoint: URL): number {
    const quarantine = (this.#quarantinedUntil.get(endpoint.href) ?? 0) - this.#options.now();
    return Math.max(this.#breaker.retryAfter(endpoint), Math.ceil(quarantine / 1000));
  }

  /** The endpoint itself answered, and not as a gateway in front of it that can't reach it. */
  succeeded({ href }: URL): void {
    this.#failures.delete(href);
  }

  /** The endpoint itself couldn't be reached, took too long, or only its gateway answered. */
  failed(endpoint: URL, background: WaitUntil): void {
    const { href } = endpoint;
    if (!this.#breaker.isClosed(endpoint)) return;
    const failures = (this.#failures.get(href) ?? 0) + 1;
    this.#failures.set(href, failures);
    if (failures < SUSPICIOUS || this.#pinged.has(href)) return;
    this.#pinged.add(href);
    background(this.#ping(endpoint));
  }

  /** The endpoint sent something else than the digest that it was asked for. */
  quarantine({ href }: URL): void {
    this.#quarantinedUntil.set(href, this.#options.now() + QUARANTINE);
  }

  async #ping(endpoint: URL): Promise<boolean> {
    const isUp = await this.#options.ping(endpoint).catch(() => false);
    this.#failures.delete(endpoint.href);
    if (isUp) this.#breaker.succeeded(endpoint);
    else this.#breaker.failed(endpoint);
    return isUp;
  }
}

/** Whether an endpoint answers a request for its `/v2/` with anything but a server error: a 401 or a redirect will do. */
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
