/** By which network a request leaves, where there is more than one. */

/** Part of a service binding. */
export interface Network {
  fetch: typeof fetch;
}

/**
 * Sends what goes to the operator's own hosts by the network that may reach this machine and private addresses, and
 * everything else by the Internet's, which may not: a name in a redirect can resolve to anything.
 * @param network null where the platform has one network only.
 * @param isOperators whether the operator's configuration names a URL's host.
 */
export function egress(network: Network | null, isOperators: (url: URL) => boolean): typeof fetch {
  if (network === null) return (input, init) => fetch(input, init);
  return (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input);
    return isOperators(url) ? network.fetch(input, init) : fetch(input, init);
  };
}
