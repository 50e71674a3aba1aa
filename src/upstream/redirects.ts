/** Redirects, followed by hand: where to is checked, and credentials stay where they belong. */
import { isInternal, isLoopback } from "./addresses.ts";
import { UpstreamError } from "./failure.ts";
import type { Upstream } from "./registries.ts";

/** What the hosts that an upstream's answers name may be told, and where they may send us. */
export interface Trust {
  /** Whether a host may see the Authorization that was made for an endpoint. */
  maySee(upstream: Upstream, endpoint: URL, url: URL): boolean;
  /** Whether a host that an endpoint's challenge names may be sent the login, and give a token for it. */
  mayIssue(upstream: Upstream, endpoint: URL, realm: URL): boolean;
  /** Whether a token request may be redirected from `here` to `next`; it takes the login along. */
  mayForward(upstream: Upstream, endpoint: URL, here: URL, next: URL): boolean;
  /** Whether an answer from `here` may send us on to `next`. */
  mayLead(upstream: Upstream, here: URL, next: URL): boolean;
  /** What to do about a realm that may not. */
  realmAdvice: string;
}

/** The mirror's: it acts on the word of anybody who calls, so where credentials go is fixed by the table of upstreams. */
export const PINNED: Trust = {
  maySee: isTrusted,
  mayIssue: isIssuer,
  mayForward: (upstream, endpoint, here, next) =>
    isIssuer(upstream, endpoint, next) && (next.protocol === "https:" || here.protocol === "http:"),
  mayLead: (upstream, here, next) => {
    const withinMachine = isLocal(upstream) && isLoopback(next);
    const sameOrigin = next.origin === here.origin;
    return withinMachine || sameOrigin || (next.protocol === "https:" && !isInternal(next));
  },
  realmAdvice: "if that is right, list it under realms of this upstream",
};

interface Asked {
  method: string;
  headers: Headers;
  signal?: AbortSignal;
  encodeResponseBody?: "automatic" | "manual";
  redirect: "manual";
}

/** What redirects and challenges are read from: a Response, or as much of one. */
export interface Answer {
  status: number;
  headers: Headers;
  body: { cancel(): Promise<void> } | null;
}

/** Hops after which an upstream is taken to be redirecting in circles. */
const MAXIMUM_HOPS = 5;

/**
 * Sends a request and follows its redirects.
 *
 * `Authorization` goes along only within the endpoint and to listed realms: storage refuses signed URLs that carry one,
 * and any other host has no business with it.
 *
 * @returns the first response that is no redirect.
 * @throws UpstreamError `unavailable` for a loop, too many hops, or a target that isn't allowed; StorageRefused.
 */
export async function followRedirects<Received extends Answer = Response>(
  upstream: Upstream,
  url: URL,
  init: Omit<Asked, "redirect">,
  fetcher: (url: string, init: Asked) => Promise<Received>,
  trust: Trust = PINNED,
): Promise<Received> {
  const headers = new Headers(init.headers);
  let here = url;
  for (let hop = 0; hop <= MAXIMUM_HOPS; hop++) {
    const isOwn = trust.maySee(upstream, url, here);
    if (!isOwn) headers.delete("Authorization");
    const response = await fetcher(here.href, { ...init, headers, redirect: "manual" });
    const location = response.headers.get("Location");
    if (![301, 302, 303, 307, 308].includes(response.status) || location === null) {
      if (!isOwn && REFUSALS.includes(response.status)) {
        await response.body?.cancel();
        throw new StorageRefused(upstream, response.status);
      }
      return response;
    }
    await response.body?.cancel();
    here = nextHop(upstream, here, location, trust);
  }
  throw new UpstreamError("unavailable", `${upstream.name} redirects more than ${MAXIMUM_HOPS} times`);
}

/**
 * What storage says to a signed URL that has expired, or that it never liked. It is no word on who may pull what. A 404
 * isn't among them: where manifests are redirected (registry.k8s.io), it is the only way to hear that a tag isn't there.
 */
const REFUSALS = [400, 401, 403, 410];

/** Storage refused the URL that upstream sent us to: upstream may give a better one. */
export class StorageRefused extends UpstreamError {
  constructor(upstream: Upstream, status: number) {
    super("unavailable", `the storage of ${upstream.name} refuses what its registry sent us for`, status);
  }
}

/** An answer names a host that isn't to be involved: asking again won't change that. */
export class Untrusted extends UpstreamError {
  constructor(message: string) {
    super("unavailable", message);
  }
}

/**
 * Whether a host may see the credentials with which an endpoint is asked: that endpoint itself, or a listed realm. An
 * upstream's other endpoints may not: an alternate is anybody's, and answers for its digests only.
 */
export function isTrusted(upstream: Upstream, endpoint: URL, url: URL): boolean {
  if (endpoint.origin === url.origin) return true;
  return url.protocol === "https:" && upstream.realms.includes(url.host);
}

function isIssuer(upstream: Upstream, endpoint: URL, realm: URL): boolean {
  return isTrusted(upstream, endpoint, realm) || (isLocal(upstream) && isLoopback(realm));
}

/** Whether the operator set this upstream up on this very machine, the only case in which plain http is spoken. */
export function isLocal(upstream: Upstream): boolean {
  return upstream.endpoints.every((endpoint) => isLoopback(endpoint));
}

function nextHop(upstream: Upstream, here: URL, location: string, trust: Trust): URL {
  const next = URL.parse(location, here.href);
  if (!next) throw new UpstreamError("unavailable", `${upstream.name} redirects to something that is no URL`);
  if (!trust.mayLead(upstream, here, next)) {
    throw new Untrusted(`${upstream.name} redirects to ${next.origin}, which is not allowed`);
  }
  return next;
}
