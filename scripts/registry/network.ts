/** The way to registries: through the proxies that the environment names, encrypted except on this machine. */
import type { Readable } from "node:stream";
import { Agent, Dispatcher, request, fetch as undiciFetch } from "undici";
import { isLoopback } from "../../src/registry/addresses.ts";
import { type Environment, proxyFor } from "../../src/registry/proxies.ts";
import { RegistryFailure, UNSAFE } from "./failure.ts";
import { openProxy } from "./open-proxy.ts";
import { proxyFailure } from "./proxy-failure.ts";
import { Reach, type Resolve } from "./reach.ts";
import { type RegistryResponse, responseOf } from "./response.ts";

export interface Sent {
  method: string;
  headers: Headers;
  body?: Uint8Array | AsyncIterable<Uint8Array> | null;
  signal?: AbortSignal | undefined;
}

/** The way to one registry that the user has named, and to where its redirects may lead. Redirects aren't followed. */
export interface Transport {
  send: (url: string, sent: Sent) => Promise<RegistryResponse>;
  fetch: typeof fetch;
}

export interface Network {
  /** For a URL that the user has named. */
  fetch: typeof fetch;
  /** @param named the registry whose word is acted on. */
  transportFor(named: URL): Transport;
  close(): Promise<void>;
}

/** Milliseconds without a byte after which a body is aborted. */
const SILENCE = 60_000;
/** Milliseconds for the headers of a response: a registry may hash and move a whole layer before it says 201. */
const COMMIT = 300_000;

/**
 * @param insecure whether hosts besides this machine may be spoken to without TLS.
 * @param environment where the proxies' variables are.
 * @param resolve looks names up; the system's, except in tests.
 * @throws Error for a proxy that is none.
 */
export function openNetwork(
  { insecure }: { insecure: boolean },
  environment: Environment = process.env,
  resolve?: Resolve,
): Network {
  // An invalid proxy is reported at once, and not as a registry that can't be reached.
  for (const url of ["https://registry.invalid", "http://registry.invalid"]) {
    proxyFor(new URL(url), environment);
  }
  /** By the host that was named: connections aren't shared, since each has been checked for one only. */
  const transports = new Map<string, Transport & { routes: Routes }>();
  const transportFor = (named: URL) => {
    const known = transports.get(named.hostname);
    if (known) return known;
    const routes = new Routes(new Reach(named, resolve), insecure, environment);
    const way = { routes, ...openTransport(routes, (url) => proxyFor(url, environment)) };
    transports.set(named.hostname, way);
    return way;
  };
  return {
    transportFor,
    fetch: (input, init) => {
      const url = new URL(input instanceof Request ? input.url : input);
      return transportFor(url).fetch(input, init);
    },
    close: async () => {
      await Promise.all([...transports.values()].map(({ routes }) => routes.close()));
      transports.clear();
    },
  };
}

function openTransport(dispatcher: Dispatcher, proxyOf: (url: URL) => URL | null): Transport {
  // undici's own fetch, since only that is sure to fit undici's dispatchers; what is global has other types for the same.
  const fetcher = undiciFetch as unknown as (
    ...given: [...Parameters<typeof fetch>, { dispatcher?: Dispatcher }?]
  ) => Promise<Response>;
  return {
    fetch: (input, init) => fetcher(input, { ...init, dispatcher } as RequestInit),
    send: async (url, { method, headers, body = null, signal }) => {
      const received = await request(url, {
        method: method as Dispatcher.HttpMethod,
        headers: Object.fromEntries(headers),
        // undici takes any iterable of bytes, which its types don't say.
        body: body as Readable | Uint8Array | null,
        signal: signal ?? null,
        dispatcher,
      }).catch((error) => {
        const proxy = proxyOf(new URL(url));
        throw (proxy && proxyFailure(proxy, new URL(url), error)) ?? error;
      });
      return responseOf(url, received);
    },
  };
}

/** Finds the way for each request, so that redirects are held to the same rules as what was requested. */
class Routes extends Dispatcher {
  readonly #reach: Reach;
  readonly #insecure: boolean;
  readonly #environment: Environment;
  /** By the proxy's URL; "" is without one. */
  readonly #dispatchers = new Map<string, Dispatcher>();

  constructor(reach: Reach, insecure: boolean, environment: Environment) {
    super();
    this.#reach = reach;
    this.#insecure = insecure;
    this.#environment = environment;
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    const url = new URL(String(options.origin));
    this.#reach.check(url);
    if (url.protocol !== "https:" && !this.#insecure && !isLoopback(url)) {
      const why = `${url.host} would be spoken to without encryption; --insecure allows that`;
      throw new RegistryFailure(0, UNSAFE, why);
    }
    return this.#dispatcher(proxyFor(url, this.#environment)).dispatch(options, handler);
  }

  override async close(): Promise<void> {
    // Not `close`, which would wait for bodies that are no longer read.
    await Promise.all([...this.#dispatchers.values()].map((each) => each.destroy()));
    this.#dispatchers.clear();
  }

  #dispatcher(proxy: URL | null): Dispatcher {
    const name = proxy?.href ?? "";
    const known = this.#dispatchers.get(name);
    if (known) return known;
    const dispatcher = openDispatcher(proxy, this.#reach);
    this.#dispatchers.set(name, dispatcher);
    return dispatcher;
  }
}

/** Names are looked up by the proxy where there is one; what it may reach is its operator's to say. */
function openDispatcher(proxy: URL | null, { lookup }: Reach): Dispatcher {
  const options = { bodyTimeout: SILENCE, headersTimeout: COMMIT, allowH2: false };
  if (!proxy) return new Agent({ ...options, connect: { lookup } });
  return openProxy(proxy, options);
}
