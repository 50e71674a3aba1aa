/** Follows redirects by hand: each target is checked, and credentials stay where they belong. */
import { isInternal, isLoopback } from "./addresses.ts";
import { UpstreamError } from "./failure.ts";
import type { Registry } from "./registry.ts";

/** Which hosts named in a registry's responses may receive credentials, and where they may redirect to. */
export interface Trust {
  /** Whether a host may see the Authorization that was made for an endpoint. */
  maySee(registry: Registry, endpoint: URL, url: URL): boolean;
  /** Whether a host named in an endpoint's challenge may be sent the login and issue a token for it. */
  mayIssue(registry: Registry, endpoint: URL, realm: URL): boolean;
  /** Whether a token request may be redirected from `here` to `next`; it takes the login along. */
  mayForward(registry: Registry, endpoint: URL, here: URL, next: URL): boolean;
  /** Whether a response from `here` may redirect to `next`. */
  mayLead(registry: Registry, here: URL, next: URL): boolean;
  /** What to do about a realm that isn't trusted. */
  realmAdvice: string;
}

/** The mirror's: any client can make it send requests, so the table of upstreams alone decides where credentials go. */
export const PINNED: Trust = {
  maySee: isTrusted,
  mayIssue: isIssuer,
  mayForward: (registry, endpoint, here, next) =>
    isIssuer(registry, endpoint, next) && (next.protocol === "https:" || here.protocol === "http:"),
  mayLead: (registry, here, next) => {
    const withinMachine = isLocal(registry) && isLoopback(next);
    const sameOrigin = next.origin === here.origin;
    return withinMachine || sameOrigin || (next.protocol === "https:" && !isInternal(next));
  },
  realmAdvice: "if that is right, list it under realms of this upstream",
};

interface OutgoingRequest {
  method: string;
  headers: Headers;
  signal?: AbortSignal;
  encodeResponseBody?: "automatic" | "manual";
  redirect: "manual";
}

/** What redirects and challenges are read from: the part of a Response that the Worker's and Node's clients share. */
export interface ResponseHead {
  status: number;
  headers: Headers;
  body: { cancel(): Promise<void> } | null;
}

/** Hops after which a registry is assumed to redirect in circles. */
const MAXIMUM_HOPS = 5;

/**
 * Sends a request and follows its redirects.
 *
 * `Authorization` is sent only to the endpoint itself and to listed realms: storage refuses signed URLs that carry one,
 * and no other host may see it.
 *
 * @returns the first response that is not a redirect.
 * @throws UpstreamError `unavailable` for a loop, too many hops, or a target that isn't allowed; StorageRefused.
 */
export async function followRedirects<Received extends ResponseHead = Response>(
  registry: Registry,
  url: URL,
  init: Omit<OutgoingRequest, "redirect">,
  fetcher: (url: string, init: OutgoingRequest) => Promise<Received>,
  trust: Trust = PINNED,
): Promise<Received> {
  const headers = new Headers(init.headers);
  let here = url;
  for (let hop = 0; hop <= MAXIMUM_HOPS; hop++) {
    const isOwn = trust.maySee(registry, url, here);
    if (!isOwn) headers.delete("Authorization");
    const response = await fetcher(here.href, { ...init, headers, redirect: "manual", ...wayTo(registry) });
    const location = response.headers.get("Location");
    if (![301, 302, 303, 307, 308].includes(response.status) || location === null) {
      if (!isOwn && REFUSALS.includes(response.status)) {
        await response.body?.cancel();
        throw new StorageRefused(registry, response.status);
      }
      return response;
    }
    await response.body?.cancel();
    here = nextHop(registry, here, location, trust);
  }
  throw new UpstreamError("unavailable", `${registry.name} redirects more than ${MAXIMUM_HOPS} times`);
}

/**
 * How storage responds to a signed URL that has expired or is invalid. It doesn't tell who may pull what. 404 isn't
 * listed: where manifests are redirected (registry.k8s.io), it is the only sign that a tag doesn't exist.
 */
const REFUSALS = [400, 401, 403, 410];

/** Storage refused the URL that the registry redirected to: the registry may give a better one. */
export class StorageRefused extends UpstreamError {
  constructor(registry: Registry, status: number) {
    super("unavailable", `the storage of ${registry.name} refuses what its registry sent us for`, status);
  }
}

/** A response names a host that isn't allowed: asking again won't change that. */
export class Untrusted extends UpstreamError {
  constructor(message: string) {
    super("unavailable", message);
  }
}

/**
 * Whether a host may see the credentials that are used for an endpoint: that endpoint itself, or a listed realm. A
 * registry's other endpoints may not: a fallback can belong to anyone, and serves digests only.
 */
export function isTrusted(registry: Registry, endpoint: URL, url: URL): boolean {
  if (endpoint.origin === url.origin) return true;
  return url.protocol === "https:" && registry.realms.includes(url.host);
}

function isIssuer(registry: Registry, endpoint: URL, realm: URL): boolean {
  return isTrusted(registry, endpoint, realm) || (isLocal(registry) && isLoopback(realm));
}

/** Whether the operator runs this registry on this very machine: it may send requests to others there. */
export function isLocal({ endpoints }: Pick<Registry, "endpoints">): boolean {
  return endpoints.every((endpoint) => isLoopback(endpoint));
}

/** All that a registry leads to is requested the way that is configured for it. */
function wayTo({ proxy }: Registry): { proxy?: string } {
  return proxy === undefined ? {} : { proxy };
}

function nextHop(registry: Registry, here: URL, location: string, trust: Trust): URL {
  const next = URL.parse(location, here.href);
  if (!next) throw new UpstreamError("unavailable", `${registry.name} redirects to something that is no URL`);
  if (!trust.mayLead(registry, here, next)) {
    throw new Untrusted(`${registry.name} redirects to ${next.origin}, which is not allowed`);
  }
  return next;
}
