/** Which way a request leaves this machine, where there is more than one. */
import { UpstreamError } from "../registry/failure.ts";
import { type Environment, parseProxy, proxyFor } from "../registry/proxies.ts";

/** Part of a service binding. */
export interface Network {
  fetch: typeof fetch;
}

export interface EgressOptions {
  /** The network that reaches this machine and private addresses too; null where the platform has one network only. */
  operatorNetwork: Network | null;
  /** Sends requests through proxies; null where there is no such service. */
  forwarder: Network | null;
  /** Whether the operator's configuration names a URL's host. */
  isOperators: (url: URL) => boolean;
  /** The variables that name proxies. */
  proxies: Environment;
  /** Hosts that are reached by a binding of their own. */
  bound: ReadonlyMap<string, Network>;
}

/** A request's own way: `proxy` is a proxy's URL or `direct`; the variables decide where it is left out. */
export interface Routed extends RequestInit {
  proxy?: string | undefined;
}

/** What the forwarder reads: the URL to request, and the proxy to request it through. */
export const TARGET_HEADER = "X-Portolan-Target";
export const PROXY_HEADER = "X-Portolan-Proxy";
/** How it reports that the proxy failed, instead of a response. */
export const PROXY_FAILURE_HEADER = "X-Portolan-Proxy-Failure";

/**
 * Sends requests by a host's own binding or through a proxy where one is configured; else to the operator's own hosts through the network that may
 * reach this machine and private addresses, and to all others through the one that reaches the Internet only: a name in a
 * redirect can resolve to any address.
 */
export function egress(options: EgressOptions): typeof fetch {
  const { operatorNetwork, forwarder, isOperators, proxies, bound } = options;
  if (operatorNetwork === null && forwarder === null && bound.size === 0)
    return (input, init) => fetch(input, init);
  return (input, init: Routed = {}) => {
    const url = new URL(input instanceof Request ? input.url : input);
    const { proxy: own, ...rest } = init;
    const binding = bound.get(url.host);
    if (binding) return binding.fetch(input, rest);
    const proxy = own === "direct" ? null : own === undefined ? proxyFor(url, proxies) : parseProxy(own);
    if (proxy && forwarder) return throughProxy(forwarder, url, rest, proxy);
    return operatorNetwork && isOperators(url) ? operatorNetwork.fetch(input, rest) : fetch(input, rest);
  };
}

/** @throws UpstreamError for a failure of the proxy itself, which says nothing of the registry. */
async function throughProxy(forwarder: Network, url: URL, init: RequestInit, proxy: URL): Promise<Response> {
  const headers = new Headers(init.headers);
  headers.set(TARGET_HEADER, url.href);
  headers.set(PROXY_HEADER, proxy.href);
  // The forwarder is behind a socket of its own: the URL here only has to be one.
  const response = await forwarder.fetch("http://forwarder/", { ...init, headers });
  const failure = response.headers.get(PROXY_FAILURE_HEADER);
  if (failure === null) return response;
  await response.body?.cancel();
  throw new UpstreamError("unavailable", failure);
}
