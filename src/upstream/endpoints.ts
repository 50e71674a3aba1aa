/** One isolate's record of each endpoint. */
import { boundedMap } from "../registry/bounded-map.ts";
import { MAXIMUM_NAMES } from "../registry/remembered.ts";
import { CircuitBreaker } from "./circuit-breaker.ts";
import { EndpointHealth, ping } from "./endpoint-health.ts";
import { Limits } from "./limits.ts";

export interface Endpoint {
  readonly url: URL;
  /** Whether it is up. */
  readonly health: EndpointHealth;
  /** Whether it is as fast as the upstream's other endpoints; a slow primary still resolves tags. */
  readonly pace: CircuitBreaker;
  /** Rate limits that it has reported to anonymous requests. */
  readonly limits: Limits;
}

export interface EndpointsOptions {
  fetch: typeof fetch;
  /** Milliseconds since the epoch. */
  now: () => number;
  /** This deployment's entry in the Via of every request. */
  via: string;
}

/** Requests in a row in which a fallback was faster, after which the fallbacks come first for a while. */
const SLOW = 3;

export class Endpoints {
  readonly #options: EndpointsOptions;
  /** By address: clients choose which members of a family of upstreams there are. */
  readonly #endpoints = boundedMap<string, Endpoint>(MAXIMUM_NAMES);

  constructor(options: EndpointsOptions) {
    this.#options = options;
  }

  all(): Endpoint[] {
    return [...this.#endpoints.values()];
  }

  of(url: URL): Endpoint {
    const known = this.#endpoints.get(url.href);
    if (known) return known;
    const { fetch, now, via } = this.#options;
    const endpoint: Endpoint = {
      url,
      health: new EndpointHealth({ ping: () => ping(url, fetch, via), now }),
      pace: new CircuitBreaker(SLOW, now),
      limits: new Limits(now),
    };
    this.#endpoints.set(url.href, endpoint);
    return endpoint;
  }
}
