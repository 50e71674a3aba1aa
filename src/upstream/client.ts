/**
 * Fetches from an upstream, step by step: which endpoint (here), which identity (`identities.ts`), which token
 * (`registry/authorized-fetch.ts`), then the request itself with redirects and one retry (`transport.ts`).
 */
import { digestOf } from "../oci/digest.ts";
import { isTransient, mayBeHeadAlone, UpstreamError } from "../registry/failure.ts";
import type { Credential } from "../registry/registry.ts";
import { Remembered } from "../registry/remembered.ts";
import { Tokens } from "../registry/tokens.ts";
import type { WaitUntil } from "../registry/wait-until.ts";
import { Endpoints } from "./endpoints.ts";
import { hedge } from "./hedge.ts";
import { Identities, isPage } from "./identities.ts";
import type { Upstream } from "./registries.ts";
import { ANONYMOUS, isContent, isForAnyEndpoint, type UpstreamRequest } from "./request.ts";
import { createTransport } from "./transport.ts";
import { UserLogins } from "./user-logins.ts";

export interface ClientOptions {
  fetch: typeof fetch;
  /** Milliseconds since the epoch. */
  now: () => number;
  /** The operator's logins by upstream. */
  credentials?: Readonly<Record<string, readonly Credential[]>>;
  /** This deployment's entry in the Via of every request. */
  via?: string;
  timing?: UpstreamTiming;
}

/** All in milliseconds. */
export interface UpstreamTiming {
  /** Until a response's headers must have arrived, whatever it takes; clients give a mirror about 15 s. */
  timeOut: number;
  /** After which a fallback is requested beside a slow primary. */
  patience: number;
  /** The longest pause before a request is retried; the shortest is a quarter of it. */
  retryPause: number;
}

export const UPSTREAM_TIMING: UpstreamTiming = { timeOut: 10_000, patience: 2_000, retryPause: 200 };

/** Milliseconds for which an identity that was authorized for a repository stays so. */
const AUTHORIZED = 5 * 60_000;

/** One isolate's client for the upstreams. */
export class UpstreamClient {
  /** Login pass-through. */
  readonly logins: UserLogins;
  readonly #endpoints: Endpoints;
  readonly #identities: Identities;
  readonly #authorized: Remembered;
  readonly #timing: UpstreamTiming;
  /** Which endpoint sent a response. */
  readonly #sourceOf = new WeakMap<Response, URL>();

  constructor(options: ClientOptions) {
    const { fetch, now, credentials = {}, via = "1.1 portolan", timing = UPSTREAM_TIMING } = options;
    this.#timing = timing;
    this.#endpoints = new Endpoints({ fetch, now, via });
    this.#identities = new Identities({
      transport: createTransport({ fetch, now, via, retryPause: timing.retryPause }),
      tokens: new Tokens({ fetch, now, via }),
      credentials,
      now,
    });
    this.logins = new UserLogins({ fetch, now, via });
    this.#authorized = new Remembered(AUTHORIZED, now);
  }

  /**
   * Fetches from the primary, which alone resolves tags; content by digest is fetched from the fallbacks too when the
   * primary fails or is slow, because its digest verifies it.
   *
   * @returns a response of status 200, 206 or 416, its body unread.
   * @throws UpstreamError for every other one.
   */
  async fetch(request: UpstreamRequest, waitUntil: WaitUntil): Promise<Response> {
    const [primary] = request.upstream.endpoints;
    const candidates = this.#candidates(request);
    const decisive = candidates.findIndex(({ href }) => href === primary?.href);
    const inTime = new AbortController();
    const timer = setTimeout(() => inTime.abort(), this.#timing.timeOut);
    const attempts = candidates.map((url) => (overtaken: AbortSignal) => {
      const signal = AbortSignal.any([inTime.signal, overtaken]);
      return this.#fetchFrom(url, request, signal, waitUntil);
    });
    try {
      return await hedge(attempts, {
        patience: this.#timing.patience,
        decisive,
        isFinal: (error) => !(error instanceof UpstreamError && isTransient(error.failure.kind)),
        // A fallback was requested because the primary was slow, and was faster.
        overtaken: (index) => {
          if (index === decisive && primary) this.#endpoints.of(primary).pace.failed();
        },
        discard: (response) => waitUntil(response.body?.cancel() ?? Promise.resolve()),
      });
    } finally {
      // It is for the headers alone: a body takes the time it takes.
      clearTimeout(timer);
    }
  }

  /** Whether a repository is public, found out by an anonymous HEAD of what is requested where it isn't known. */
  async isPublic(request: Omit<UpstreamRequest, "method">, waitUntil: WaitUntil): Promise<boolean> {
    const [primary] = request.upstream.endpoints;
    if (!primary) return false;
    const endpoint = this.#endpoints.of(primary);
    const signal = AbortSignal.timeout(this.#timing.timeOut);
    return this.#identities.isPublic({ ...request, method: "HEAD", endpoint, signal, waitUntil });
  }

  /**
   * Makes sure that a request's identity may have what is requested: by a HEAD of it, remembered for a few minutes. An
   * identity that was given a manifest or a blob may pull from the repository; one that was given a listing may list, and no
   * more.
   * @throws UpstreamError if it may not, or if that can't be found out.
   */
  async authorize(request: Omit<UpstreamRequest, "method">, waitUntil: WaitUntil): Promise<void> {
    const { upstream, repository, identity = ANONYMOUS } = request;
    const who = identity.kind === "user" ? await fingerprint(identity.authorization) : identity.kind;
    const right = isContent(request) ? "pull" : request.path;
    const key = [who, upstream.name, repository, right].join(" ");
    if (this.#authorized.has(key)) return;
    let response: Response;
    try {
      response = await this.fetch({ ...request, method: "HEAD" }, waitUntil);
    } catch (error) {
      if (!mayBeHeadAlone(error)) throw error;
      response = await this.fetch({ ...request, method: "GET" }, waitUntil);
      await response.body?.cancel();
    }
    if (isPage(response)) {
      throw new UpstreamError("unavailable", `${upstream.name} answered with a page`, response.status);
    }
    this.#authorized.add(key);
  }

  /**
   * A response's content doesn't match its digest: the fallback that sent it isn't used for a while. The primary still is:
   * nothing new could be fetched without it, and each of its responses is verified anyway.
   */
  quarantine(response: Response, { endpoints }: Upstream): void {
    const source = this.#sourceOf.get(response);
    if (source && source.href !== endpoints[0]?.href) this.#endpoints.of(source).health.quarantine();
  }

  /** Fetches from one endpoint, unless its circuit is open. */
  async #fetchFrom(
    url: URL,
    request: UpstreamRequest,
    signal: AbortSignal,
    waitUntil: WaitUntil,
  ): Promise<Response> {
    const endpoint = this.#endpoints.of(url);
    if (!(await endpoint.health.admits())) {
      const wait = endpoint.health.retryAfter();
      const message = `${url.host} is down and gets no requests for another ${wait} s`;
      throw new UpstreamError("unavailable", message, 0, wait);
    }
    const ifRange = this.#ifRange(request, url);
    const response = await this.#identities.fetch({ ...request, ...ifRange, endpoint, signal, waitUntil });
    this.#sourceOf.set(response, url);
    endpoint.pace.succeeded();
    return response;
  }

  /** The endpoints to try, in order: the primary first, unless its fallbacks have been faster for a while. */
  #candidates(request: UpstreamRequest): readonly URL[] {
    const [primary, ...fallbacks] = request.upstream.endpoints;
    if (!primary) return [];
    if (!isForAnyEndpoint(request)) return [primary];
    const isFast = fallbacks.length === 0 || this.#isFast(primary);
    const order = isFast ? [primary, ...fallbacks] : [...fallbacks, primary];
    const broken = request.continues?.at(-1);
    const last = broken && this.#sourceOf.get(broken);
    return last ? [...order.filter((endpoint) => endpoint !== last), last] : order;
  }

  /** Whether a primary comes before its fallbacks, if only for a probe that finds out whether it is fast again. */
  #isFast(primary: URL): boolean {
    const { pace } = this.#endpoints.of(primary);
    return pace.isClosed || pace.tryAcquireProbe();
  }

  /** The ETag that an endpoint sent with the first part of the content, if it is a strong one. */
  #ifRange({ continues = [] }: UpstreamRequest, endpoint: URL): { ifRange?: string } {
    const first = continues.find((response) => this.#sourceOf.get(response) === endpoint);
    const tag = first?.headers.get("ETag");
    return tag?.startsWith('"') ? { ifRange: tag } : {};
  }
}

/** Distinguishes a user's login from others without storing it. */
function fingerprint(authorization: string): Promise<string> {
  return digestOf(new TextEncoder().encode(authorization));
}
