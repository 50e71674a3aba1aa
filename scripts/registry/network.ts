/** The way to registries: through the proxies that the environment names, encrypted except on this machine. */
import { Agent, Dispatcher, ProxyAgent, Socks5ProxyAgent, fetch as undiciFetch } from "undici";
import { isLoopback } from "../../src/upstream/addresses.ts";
import { type Environment, proxyFor } from "./proxies.ts";

export interface Network {
  fetch: typeof fetch;
  close(): Promise<void>;
}

/** Milliseconds without a byte after which a body is given up. */
const SILENCE = 60_000;
/** Milliseconds for the headers of an answer: a registry may hash and move a whole layer before it says 201. */
const COMMIT = 300_000;

/**
 * @param insecure whether hosts besides this machine may be spoken to without TLS.
 * @param environment where the proxies' variables are.
 * @throws Error for a proxy that is none.
 */
export function openNetwork(
  { insecure }: { insecure: boolean },
  environment: Environment = process.env,
): Network {
  // A proxy that can't be one is told at once, and not as a registry that can't be reached.
  for (const url of ["https://registry.invalid", "http://registry.invalid"]) {
    proxyFor(new URL(url), environment);
  }
  const routes = new Routes(insecure, environment);
  // undici's own fetch, since only that is sure to fit undici's dispatchers; what is global has other types for the same.
  const fetcher = undiciFetch as unknown as (
    ...given: [...Parameters<typeof fetch>, { dispatcher?: Dispatcher }?]
  ) => Promise<Response>;
  return {
    fetch: (input, init) => fetcher(input, { ...init, dispatcher: routes } as RequestInit),
    close: () => routes.close(),
  };
}

/** Finds the way for each request, so that redirects are held to the same rules as what was asked for. */
class Routes extends Dispatcher {
  readonly #insecure: boolean;
  readonly #environment: Environment;
  /** By the proxy's URL; "" is without one. */
  readonly #ways = new Map<string, Dispatcher>();

  constructor(insecure: boolean, environment: Environment) {
    super();
    this.#insecure = insecure;
    this.#environment = environment;
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    const url = new URL(String(options.origin));
    if (url.protocol !== "https:" && !this.#insecure && !isLoopback(url)) {
      throw new Error(`${url.host} would be spoken to without encryption; --insecure allows that`);
    }
    return this.#way(proxyFor(url, this.#environment)).dispatch(options, handler);
  }

  override async close(): Promise<void> {
    // Not `close`, which would wait for bodies that nobody reads any more.
    await Promise.all([...this.#ways.values()].map((way) => way.destroy()));
    this.#ways.clear();
  }

  #way(proxy: URL | null): Dispatcher {
    const name = proxy?.href ?? "";
    const known = this.#ways.get(name);
    if (known) return known;
    const way = openWay(proxy);
    this.#ways.set(name, way);
    return way;
  }
}

function openWay(proxy: URL | null): Dispatcher {
  const options = { bodyTimeout: SILENCE, headersTimeout: COMMIT, allowH2: false };
  if (!proxy) return new Agent(options);
  if (!proxy.protocol.startsWith("socks")) return new ProxyAgent({ ...options, uri: proxy.href });
  // It asks the proxy to look names up in any case, which is what socks5h means.
  const uri = new URL(proxy.href.replace(/^socks5h:/, "socks5:"));
  const { emitWarning } = process;
  // undici calls its SOCKS5 experimental on the user's terminal, who can't do anything about it.
  process.emitWarning = () => {};
  try {
    return new Socks5ProxyAgent(uri, options);
  } finally {
    process.emitWarning = emitWarning;
  }
}
