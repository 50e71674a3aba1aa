/**
 * Fetches from an upstream, step by step: which endpoint (here), which identity (`identities.ts`), which token
 * (`registry/authorized-fetch.ts`), then the request itself with redirects and one retry (`transport.ts`).
 */
import { digestOf } from "../oci/digest.ts";
import { MANIFEST_ACCEPT } from "../oci/mediatypes.ts";
import { isTransient, mayBeHeadAlone, UpstreamError } from "../registry/failure.ts";
import type { Credential } from "../registry/registry.ts";
import { Remembered } from "../registry/remembered.ts";
import { Tokens } from "../registry/tokens.ts";
import { passesOf } from "../registry/via.ts";
import type { WaitUntil } from "../registry/wait-until.ts";
import { Endpoints } from "./endpoints.ts";
import { hedge } from "./hedge.ts";
import { Identities, isPage } from "./identities.ts";
import { UNOBSERVED, type UpstreamObserver } from "./observer.ts";
import { type Agreement, findAgreement, type TagQuorum } from "./quorum.ts";
import type { Upstream } from "./registries.ts";
import { endpointAt, type Relay, relaysFor } from "./relays.ts";
import {
  ANONYMOUS,
  type EndpointRequest,
  isContent,
  isForAnyEndpoint,
  type UpstreamRequest,
} from "./request.ts";
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
  relays?: readonly Relay[];
  /** By upstream's name. */
  quorums?: Readonly<Record<string, TagQuorum>>;
  timing?: UpstreamTiming;
  observer?: UpstreamObserver;
}

/** All in milliseconds. */
export interface UpstreamTiming {
  /** Until a response's headers must have arrived, whatever it takes; clients give a mirror about 15 s. */
  timeOut: number;
  /** After which a fallback is requested beside a slow primary. */
  patience: number;
  /** Until a source of a quorum must have voted: the primary may have taken its own time before. */
  vote: number;
  /** The longest pause before a request is retried; the shortest is a quarter of it. */
  retryPause: number;
}

export const UPSTREAM_TIMING: UpstreamTiming = {
  timeOut: 10_000,
  patience: 2_000,
  vote: 3_000,
  retryPause: 200,
};

/** Milliseconds for which an identity that was authorized for a repository stays so. */
const AUTHORIZED = 5 * 60_000;

/** Where a request can be sent: a relay's endpoint, one of the upstream's own, or a source of its quorum. */
interface Candidate {
  url: URL;
  relay: Relay | null;
  isSource?: boolean;
}

/** One isolate's client for the upstreams. */
export class UpstreamClient {
  /** Login pass-through. */
  readonly logins: UserLogins;
  readonly #endpoints: Endpoints;
  readonly #identities: Identities;
  readonly #authorized: Remembered;
  readonly #timing: UpstreamTiming;
  readonly #relays: readonly Relay[];
  readonly #quorums: Readonly<Record<string, TagQuorum>>;
  readonly #via: string;
  /** Which endpoint sent a response. */
  readonly #sourceOf = new WeakMap<Response, URL>();

  constructor(options: ClientOptions) {
    const { fetch, now, credentials = {}, via = "1.1 portolan", relays = [] } = options;
    const { quorums = {}, timing = UPSTREAM_TIMING, observer = UNOBSERVED } = options;
    this.#timing = timing;
    this.#relays = relays;
    this.#quorums = quorums;
    this.#via = via;
    this.#endpoints = new Endpoints({ fetch, now, via });
    this.#identities = new Identities({
      transport: createTransport({ fetch, now, via, retryPause: timing.retryPause, observer }),
      tokens: new Tokens({ fetch, now, via }),
      credentials,
      now,
      observer,
    });
    this.logins = new UserLogins({ fetch, now, via });
    this.#authorized = new Remembered(AUTHORIZED, now);
  }

  /**
   * Fetches from the primary or a relay, which alone resolve tags; content by digest is fetched from the others too when
   * they fail or are slow, because its digest verifies it.
   *
   * @returns a response of status 200, 206 or 416, its body unread.
   * @throws UpstreamError for every other one.
   */
  async fetch(request: UpstreamRequest, waitUntil: WaitUntil): Promise<Response> {
    const [primary] = request.upstream.endpoints;
    const candidates = this.#candidates(request);
    const isPrimary = ({ url }: Candidate) => url.href === primary?.href;
    const decisive = candidates.flatMap((each, index) => (each.relay || isPrimary(each) ? [index] : []));
    const inTime = new AbortController();
    const timer = setTimeout(() => inTime.abort(), this.#timing.timeOut);
    const attempts = candidates.map((candidate) => (overtaken: AbortSignal) => {
      const signal = AbortSignal.any([inTime.signal, overtaken]);
      return this.#fetchFrom(candidate, request, signal, waitUntil);
    });
    try {
      return await hedge(attempts, {
        patience: this.#timing.patience,
        decisive,
        isFinal: (error) => !(error instanceof UpstreamError && isTransient(error.failure.kind)),
        // Another was requested because the primary was slow, and was faster.
        overtaken: (index) => {
          const candidate = candidates[index];
          if (primary && candidate && isPrimary(candidate)) this.#endpoints.of(primary).pace.failed();
        },
        discard: (response) => waitUntil(response.body?.cancel() ?? Promise.resolve()),
      });
    } finally {
      // It is for the headers alone: a body takes the time it takes.
      clearTimeout(timer);
    }
  }

  /**
   * What a tag names by the agreement of the sources of its upstream's quorum, which are requested anonymously: for when
   * `fetch` has failed.
   * @returns null if there is no quorum, or no agreement.
   */
  async findAgreement(
    { upstream, repository, via = "" }: Pick<UpstreamRequest, "upstream" | "repository" | "via">,
    tag: string,
    waitUntil: WaitUntil,
  ): Promise<Agreement | null> {
    const quorum = this.#quorums[upstream.name];
    // A source that requests something here must not be requested the same in turn.
    if (!quorum || passesOf(via, this.#via) > 0) return null;
    const request = { upstream, repository, via, path: `manifests/${tag}`, accept: MANIFEST_ACCEPT };
    return findAgreement(quorum, {
      timeOut: this.#timing.vote,
      fetch: (url, method, signal) => {
        const candidate = { url, relay: null, isSource: true };
        return this.#fetchFrom(candidate, { ...request, method }, signal, waitUntil, { staysOnHost: true });
      },
    });
  }

  /** Whether a repository is public, found out by an anonymous HEAD of what is requested where it isn't known. */
  async isPublic(request: Omit<UpstreamRequest, "method">, waitUntil: WaitUntil): Promise<boolean> {
    for (const { url, relay } of this.#resolving({ ...request, identity: ANONYMOUS })) {
      const endpoint = this.#endpoints.of(url);
      const signal = AbortSignal.timeout(this.#timing.timeOut);
      const head = { ...request, method: "HEAD" as const, endpoint, relay, signal, waitUntil };
      const isPublic = await this.#identities.isPublic(head);
      if (isPublic !== null) return isPublic;
    }
    return false;
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

  /** The endpoints that were used lately, and for how many seconds each gets no requests, or no more of a kind. */
  endpoints(): { url: string; downFor: number; limitedFor: number }[] {
    return this.#endpoints.all().map(({ url, health, limits }) => ({
      url: url.href,
      downFor: health.downFor(),
      limitedFor: limits.longest(),
    }));
  }

  /** Fetches from one endpoint, unless its circuit is open. */
  async #fetchFrom(
    { url, relay, isSource = false }: Candidate,
    request: UpstreamRequest,
    signal: AbortSignal,
    waitUntil: WaitUntil,
    options: Pick<EndpointRequest, "staysOnHost"> = {},
  ): Promise<Response> {
    const endpoint = this.#endpoints.of(url);
    if (!(await endpoint.health.admits())) {
      const wait = endpoint.health.retryAfter();
      const message = `${url.host} is down and gets no requests for another ${wait} s`;
      throw new UpstreamError("unavailable", message, 0, wait);
    }
    const ifRange = this.#ifRange(request, url);
    const response = await this.#identities.fetch({
      ...request,
      ...ifRange,
      ...options,
      ...(isSource ? { upstream: withoutProxy(request.upstream) } : {}),
      endpoint,
      relay,
      signal,
      waitUntil,
    });
    this.#sourceOf.set(response, url);
    endpoint.pace.succeeded();
    return response;
  }

  /** Where to try, in order: the primary before the fallbacks, unless these have been faster for a while. */
  #candidates(request: UpstreamRequest): readonly Candidate[] {
    const [primary, ...others] = request.upstream.endpoints;
    const resolving = this.#resolving(request);
    if (!primary || !isForAnyEndpoint(request)) return resolving;
    // A tag that sources have resolved is of no use without its content.
    const sources = (this.#quorums[request.upstream.name]?.sources ?? []).map((url) => {
      return { url, relay: null, isSource: true };
    });
    if (request.sourcesFirst) return [...sources, ...resolving];
    const fallbacks = [
      ...others.map((url) => ({ url, relay: null })),
      ...sources.filter(({ url }) => !others.some(({ href }) => href === url.href)),
    ];
    const isFast = fallbacks.length === 0 || this.#isFast(primary);
    const isPrimary = ({ url }: Candidate) => url === primary;
    const order = isFast
      ? [...resolving, ...fallbacks]
      : [...resolving.filter((each) => !isPrimary(each)), ...fallbacks, ...resolving.filter(isPrimary)];
    const broken = request.continues?.at(-1);
    const last = broken && this.#sourceOf.get(broken);
    return last
      ? [
          ...order.filter(({ url }) => url.href !== last.href),
          ...order.filter(({ url }) => url.href === last.href),
        ]
      : order;
  }

  /** Those that resolve tags, in order: relays before the primary or behind it, as configured. */
  #resolving(request: Omit<UpstreamRequest, "method">): readonly Candidate[] {
    const { upstream, identity = ANONYMOUS, via = "" } = request;
    // A relay that requests something here must not be requested the same in turn.
    const relays = passesOf(via, this.#via) > 0 ? [] : relaysFor(this.#relays, upstream, identity.kind);
    const [primary] = upstream.endpoints;
    // Without a login of its own, this mirror has private content from relays alone.
    const isOfRelays =
      identity.kind === "operator" && relays.length > 0 && !this.#identities.canBeOperator(upstream);
    return [
      ...relays.filter(({ when }) => when === "always"),
      ...(primary && !isOfRelays ? [null] : []),
      ...relays.filter(({ when }) => when === "limited"),
    ].map((relay) => ({ url: relay ? endpointAt(relay, upstream) : (primary as URL), relay }));
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

/** A proxy that is configured for the registry itself may be what has failed. */
function withoutProxy({ proxy: _, ...upstream }: Upstream): Upstream {
  return upstream;
}

/** Distinguishes a user's login from others without storing it. */
function fingerprint(authorization: string): Promise<string> {
  return digestOf(new TextEncoder().encode(authorization));
}
