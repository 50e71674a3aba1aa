/** The transport to an endpoint: fetch, with redirects followed, retried once, and the endpoint's health recorded. */
import { type Transport, tooSlow } from "../registry/authorized-fetch.ts";
import { UpstreamError } from "../registry/failure.ts";
import { followRedirects, PINNED, StorageRefused, type Trust } from "../registry/redirects.ts";
import { retry } from "../registry/retry.ts";
import { appendVia } from "../registry/via.ts";
import { OVERTAKEN } from "./hedge.ts";
import { outcomeOf, type RequestOutcome, type UpstreamObserver } from "./observer.ts";
import { asRegistry, IDENTITY_HEADER } from "./relays.ts";
import { ANONYMOUS, type EndpointRequest } from "./request.ts";

export interface TransportOptions {
  fetch: typeof fetch;
  /** Milliseconds since the epoch. */
  now: () => number;
  /** This deployment's entry in the Via of every request. */
  via: string;
  /** Milliseconds of the longest pause before the retry. */
  retryPause: number;
  observer: UpstreamObserver;
}

/** Milliseconds after which a failed attempt isn't retried: a client that has waited this long must not wait twice. */
const SOON = 2_500;

const OWN_HOST: Trust = { ...PINNED, mayLead: (_, here, next) => next.origin === here.origin };

/** How a gateway responds for a registry that is down; a 500 is the registry's own, and may concern one object alone. */
const GATEWAY_ERRORS = [502, 503, 504];

/** @returns a transport that throws UpstreamError where there is no response. */
export function createTransport(options: TransportOptions): Transport<EndpointRequest, Response> {
  const { fetch, now, via, retryPause, observer } = options;
  return async (request, authorization) => {
    const { endpoint, relay, signal, waitUntil } = request;
    const registry = relay ? asRegistry(relay, request.upstream) : request.upstream;
    const url = urlOf(request);
    const init = initOf(request, authorization, via);
    const contact: Contact = { last: endpoint.url, endpointFailed: null };
    const observed = observing(fetch, request, contact, observer);
    const started = now();
    const pauseAfter = (outcome: PromiseSettledResult<Response>, attempts: number) => {
      const isSoon = !signal.aborted && now() - started <= SOON;
      return attempts === 1 && isSoon && isMomentary(outcome)
        ? (0.25 + Math.random() * 0.75) * retryPause
        : null;
    };
    try {
      const trust = request.staysOnHost ? OWN_HOST : PINNED;
      return await retry(() => followRedirects(registry, url, init, observed, trust), pauseAfter, signal);
    } catch (error) {
      if (error instanceof UpstreamError) throw error;
      if (signal.aborted) throw tooSlow(contact.last);
      throw new UpstreamError(
        "unavailable",
        `${contact.last.host} can't be reached; if it is blocked here, use a proxy or a relay`,
      );
    } finally {
      if (contact.endpointFailed === true) endpoint.health.failed(waitUntil);
      if (contact.endpointFailed === false) endpoint.health.succeeded();
    }
  };
}

/** A fallback may serve an upstream's repositories below a path: `https://m.daocloud.io/docker.io`. */
export function repositoryAt({ pathname }: URL, repository: string): string {
  return `${pathname.slice(1)}/${repository}`.replace(/^\//, "");
}

function urlOf({ endpoint, repository, path, search }: EndpointRequest): URL {
  const url = new URL(`/v2/${repositoryAt(endpoint.url, repository)}/${path}`, endpoint.url);
  if (search) url.search = search.toString();
  return url;
}

function initOf(request: EndpointRequest, authorization: string | null, via: string) {
  const { method, accept, range, ifRange, isRaw, relay, identity = ANONYMOUS, signal } = request;
  // `identity`: an encoded body would no longer have the length and bytes that the digest describes.
  const headers = new Headers({ "Accept-Encoding": "identity", "User-Agent": "portolan" });
  headers.set("Via", appendVia(request.via ?? "", via));
  if (accept) headers.set("Accept", accept);
  if (range) headers.set("Range", range);
  if (ifRange) headers.set("If-Range", ifRange);
  if (relay && identity.kind === "anonymous") headers.set(IDENTITY_HEADER, "anonymous");
  if (authorization !== null) headers.set("Authorization", authorization);
  const encodeResponseBody: "manual" | "automatic" = isRaw ? "manual" : "automatic";
  return { method, headers, signal, encodeResponseBody };
}

/** Which hosts a request has reached, and how the endpoint itself fared: storage behind a redirect isn't the registry. */
interface Contact {
  /** The last URL that was requested, of the endpoint or of where it redirected to. */
  last: URL;
  /** Null: it wasn't waited for. */
  endpointFailed: boolean | null;
}

function observing(
  fetcher: typeof fetch,
  { upstream, endpoint, signal, waitUntil }: EndpointRequest,
  contact: Contact,
  observer: UpstreamObserver,
) {
  const note = (outcome: RequestOutcome) =>
    observer.requested({ upstream: upstream.name, endpoint: endpoint.url.href, outcome }, waitUntil);
  return async (href: string, init: RequestInit): Promise<Response> => {
    contact.last = new URL(href);
    const isEndpoint = contact.last.origin === endpoint.url.origin;
    try {
      const response = await fetcher(href, init);
      if (isEndpoint) contact.endpointFailed = GATEWAY_ERRORS.includes(response.status);
      if (isEndpoint) note(outcomeOf(response.status));
      return response;
    } catch (error) {
      const isOvertaken = signal.reason === OVERTAKEN;
      if (isEndpoint) contact.endpointFailed = isOvertaken ? null : true;
      if (isEndpoint) note(isOvertaken ? "cancelled" : "unreachable");
      throw error;
    }
  };
}

/** Whether an attempt failed for what may be over in a moment: a lost connection, a gateway's error, an expired URL. */
function isMomentary(outcome: PromiseSettledResult<Response>): boolean {
  if (outcome.status === "fulfilled") return GATEWAY_ERRORS.includes(outcome.value.status);
  return !(outcome.reason instanceof UpstreamError) || outcome.reason instanceof StorageRefused;
}
