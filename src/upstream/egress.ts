/** Which network a request is sent through, where there is more than one. */

/** Part of a service binding. */
export interface Network {
  fetch: typeof fetch;
}

/**
 * Sends requests to the operator's own hosts through the network that may reach this machine and private addresses, and
 * all others through the one that reaches the Internet only: a name in a redirect can resolve to any address.
 * @param network null where the platform has one network only.
 * @param isOperators whether the operator's configuration names the URL's host.
 */
export function egress(network: Network | null, isOperators: (url: URL) => boolean): typeof fetch {
  if (network === null) return (input, init) => fetch(input, init);
  return (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input);
    return isOperators(url) ? network.fetch(input, init) : fetch(input, init);
  };
}
