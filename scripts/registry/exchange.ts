/** Sends one request to a registry and gets its response: with the token it asks for, over redirects, and tried again. */
import { isLoopback } from "../../src/registry/addresses.ts";
import { authorizedFetch } from "../../src/registry/authorized-fetch.ts";
import { UpstreamError } from "../../src/registry/failure.ts";
import { followRedirects, type Trust } from "../../src/registry/redirects.ts";
import type { Login, Registry } from "../../src/registry/registry.ts";
import { retry, sleep, type Wait } from "../../src/registry/retry.ts";
import type { TokenScope } from "../../src/registry/token-request.ts";
import { Tokens } from "../../src/registry/tokens.ts";
import { REGISTRIES } from "../../src/upstream/registries.ts";
import { causeOf, failureOfError, failureOfResponse, RegistryFailure, reasonIn, UNSAFE } from "./failure.ts";
import type { Logins } from "./logins.ts";
import type { Network, Sent, Transport } from "./network.ts";
import { type RemoteRepository, scopedRepository, urlAt } from "./remote.ts";
import type { RegistryResponse } from "./response.ts";
import { personalTrust } from "./trust.ts";

export interface ExchangeOptions {
  network: Network;
  logins: Logins;
  /** Whether a registry on another machine is spoken to without TLS where it has none. */
  insecure: boolean;
  /** Waits between two attempts. */
  wait?: Wait | undefined;
  /** What to do about a refusal, instead of the usual advice. */
  advice?: string;
}

export interface Request {
  method: "GET" | "HEAD" | "POST" | "PATCH" | "PUT" | "DELETE";
  /** Below the repository, as `manifests/latest`; "" for the API itself; or a URL that a response has named. */
  at: string | URL;
  search?: Record<string, string>;
  headers?: Record<string, string>;
  /** What isn't in memory is opened for each time it is sent: again for a new token, and where a redirect leads. */
  body?: Uint8Array<ArrayBuffer> | (() => AsyncIterable<Uint8Array>) | null;
  /** What a token is to allow; what the place says where it is left out. */
  scopes?: readonly string[];
  /** Whether it may be retried after a transient failure, as reads are. */
  repeatable?: boolean;
  signal?: AbortSignal;
}

/** Milliseconds until the headers of what is only read must be there. */
const TIME_OUT = 30_000;
/** Milliseconds that a token may take: a person is patient, and may sit behind a slow line. */
const TOKEN_TIME_OUT = 15_000;
/** Milliseconds before each retry after a transient failure. */
const PAUSES = [300, 1_000, 3_000];
/** Seconds beyond which a registry's Retry-After is reported to the user instead of being waited for. */
const LONGEST_WAIT = 20;

export class Exchange {
  /** For those who retry what takes several requests. */
  readonly wait: Wait;
  readonly #network: Network;
  readonly #logins: Logins;
  readonly #insecure: boolean;
  readonly #advice: string | null;
  readonly #trust: Trust;
  /** By the host that was named, the way to it and the tokens for it. */
  readonly #transports = new Map<string, Transport & { tokens: Tokens }>();
  /** By origin, what it has responded to: `https:` or `http:`. */
  readonly #schemes = new Map<string, string>();

  constructor({ network, logins, insecure, wait = sleep, advice }: ExchangeOptions) {
    this.wait = wait;
    this.#network = network;
    this.#logins = logins;
    this.#insecure = insecure;
    this.#advice = advice ?? null;
    this.#trust = personalTrust(insecure);
  }

  /**
   * Reads are retried after transient failures.
   * @returns the response, whatever its status, its body unread.
   * @throws RegistryFailure where there is none, or no token for it.
   */
  async send(remote: RemoteRepository, request: Request): Promise<RegistryResponse> {
    const { repeatable = isRead(request), signal } = request;
    const attempt = () =>
      this.#sendAnyway(remote, request).catch(async (error) => {
        signal?.throwIfAborted();
        throw failureOfError(error, remote.endpoint.host, await this.#hint(remote));
      });
    const pauseAfter = (outcome: PromiseSettledResult<RegistryResponse>, attempts: number) => {
      const pause = repeatable ? PAUSES[attempts - 1] : undefined;
      const wait = waitAfter(request, outcome);
      if (pause === undefined || wait === null || wait > LONGEST_WAIT) return null;
      return Math.max(pause, wait * 1000);
    };
    return retry(attempt, pauseAfter, signal, this.wait);
  }

  /** The failure that a response is, in the words of this place. Reads its body. */
  async failure(
    remote: RemoteRepository,
    response: RegistryResponse,
    what: string,
  ): Promise<RegistryFailure> {
    return failureOfResponse(
      response,
      remote.endpoint.host,
      `${remote.repository} ${what}`,
      await this.#hint(remote),
    );
  }

  async #sendOnce(remote: RemoteRepository, request: Request): Promise<RegistryResponse> {
    const scope = await this.#tokenScope(remote, request);
    const { tokens } = this.#transportFor(remote);
    const fetch = authorizedFetch<Request, RegistryResponse>(
      (sent, authorization) => this.#send(remote, sent, scope, authorization),
      tokens,
    );
    return fetch(request, { scope, waitUntil: () => {} });
  }

  /** Sends it with TLS or without: of what a host may be spoken to with, whichever it first answers to. */
  async #sendAnyway(remote: RemoteRepository, request: Request): Promise<RegistryResponse> {
    const { origin } = remote.endpoint;
    const known = this.#schemes.get(origin);
    const schemes = known ? [known] : this.#schemesOf(remote.endpoint);
    let unreachable: unknown;
    let refused: RegistryResponse | null = null;
    for (const [index, scheme] of schemes.entries()) {
      const isLast = index === schemes.length - 1;
      const endpoint = new URL(remote.endpoint);
      endpoint.protocol = scheme;
      try {
        const response = await this.#sendOnce({ ...remote, endpoint }, request);
        // What a server with TLS says to a request without.
        if (!isLast && scheme === "http:" && response.status === 400) {
          refused = response;
          continue;
        }
        await refused?.body?.cancel();
        this.#schemes.set(origin, scheme);
        return response;
      } catch (error) {
        unreachable ??= error;
        // A proxy's failure to connect may be for want of TLS there.
        const isRefusal = error instanceof RegistryFailure && error.code === UNSAFE;
        if (isRefusal || error instanceof UpstreamError) throw error;
      }
    }
    // There is no TLS, so the response meant what was requested.
    if (refused) return refused;
    throw unreachable;
  }

  /** The one that the place names comes first. */
  #schemesOf(endpoint: URL): string[] {
    const { protocol, host } = endpoint;
    if (isLoopback(endpoint)) return protocol === "http:" ? ["http:", "https:"] : ["https:", "http:"];
    if (protocol === "https:") return this.#insecure ? ["https:", "http:"] : ["https:"];
    if (this.#insecure) return ["http:"];
    const why = `${host} would be spoken to without encryption; --insecure allows that`;
    throw new RegistryFailure(0, UNSAFE, why);
  }

  async #send(
    remote: RemoteRepository,
    request: Request,
    scope: TokenScope,
    authorization: string | null,
  ): Promise<RegistryResponse> {
    const { method, body = null, signal } = request;
    const url = typeof request.at === "string" ? urlAt(remote, request.at) : new URL(request.at);
    for (const [name, value] of Object.entries(request.search ?? {})) url.searchParams.set(name, value);
    if (url.host === remote.endpoint.host) url.protocol = remote.endpoint.protocol;
    // `identity`: a body encoded on the way would no longer have the length and bytes its digest was made of.
    const headers = new Headers({
      "Accept-Encoding": "identity",
      "User-Agent": "portolan",
      ...request.headers,
    });
    if (authorization !== null && this.#trust.maySee(scope.registry, scope.endpoint, url)) {
      headers.set("Authorization", authorization);
    }
    if (!this.#trust.mayLead(scope.registry, remote.endpoint, url)) {
      const why = `${remote.endpoint.host} wants it sent to ${url.origin}, which is not allowed`;
      throw new RegistryFailure(0, UNSAFE, why);
    }
    const { send } = this.#transportFor(remote);
    if (!isRead(request)) {
      if (body instanceof Uint8Array) headers.set("Content-Length", String(body.byteLength));
      const init = { method, headers, ...(signal && { signal }) };
      const sender = (href: string, each: Sent) =>
        send(href, { ...each, body: typeof body === "function" ? body() : body });
      return followRedirects(scope.registry, url, init, sender, this.#trust);
    }
    const inTime = new AbortController();
    const late = new RegistryFailure(0, "UNAVAILABLE", `${url.host} doesn't respond`);
    const timer = setTimeout(() => inTime.abort(late), TIME_OUT);
    try {
      const either = AbortSignal.any([inTime.signal, ...(signal ? [signal] : [])]);
      const init = { method, headers, signal: either };
      return await followRedirects(scope.registry, url, init, send, this.#trust);
    } finally {
      clearTimeout(timer);
    }
  }

  #transportFor({ endpoint }: RemoteRepository): Transport & { tokens: Tokens } {
    const known = this.#transports.get(endpoint.hostname);
    if (known) return known;
    const way = this.#network.transportFor(endpoint);
    const tokens = new Tokens({
      fetch: withReasons(way.fetch),
      now: Date.now,
      trust: this.#trust,
      timeOut: TOKEN_TIME_OUT,
    });
    const made = { ...way, tokens };
    this.#transports.set(endpoint.hostname, made);
    return made;
  }

  async #tokenScope(remote: RemoteRepository, { scopes = remote.scopes }: Request): Promise<TokenScope> {
    const stored = await this.#logins
      .loginFor(`${remote.loginName}/${remote.repository}`)
      .catch((error) => Promise.reject(new RegistryFailure(0, "UNAUTHORIZED", causeOf(error))));
    const login: Login | null = stored && { ...stored, name: `${stored.username} from ${stored.source}` };
    const { endpoint } = remote;
    const registry: Registry = {
      name: remote.endpoint.host,
      endpoints: [endpoint],
      realms: REGISTRIES[remote.loginName]?.realms ?? [],
    };
    return { registry, endpoint, repository: scopedRepository(remote), login, ...(scopes && { scopes }) };
  }

  async #hint(remote: RemoteRepository): Promise<string> {
    if (this.#advice !== null) return this.#advice;
    const login = await this.#logins.loginFor(`${remote.loginName}/${remote.repository}`).catch(() => null);
    if (login) return `check the name, and what the login of ${login.source} may do there`;
    // A remote with a namespace is a mirror, and its login an access key.
    return remote.namespace === undefined
      ? `check the name, or log in with: docker login ${remote.loginName}`
      : `if it wants an access key: docker login ${remote.loginName}, with the key as the password`;
  }
}

function isRead({ method }: Request): boolean {
  return method === "GET" || method === "HEAD";
}

/** For a token that is refused without a login, the endpoint's own words: a keyed mirror says that it needs a key. */
function withReasons(fetcher: typeof fetch): typeof fetch {
  return async (input, init) => {
    const response = await fetcher(input, init);
    const { status } = response;
    if (![401, 403].includes(status) || new Headers(init?.headers).has("Authorization")) return response;
    const { message } = await reasonIn(response);
    if (message === "") return response;
    throw new UpstreamError("denied", `${new URL(response.url).host} gives no token: ${message}`, status);
  };
}

/** Seconds that a registry asks to wait after a transient failure, 0 where it doesn't say; null where it is final. */
function waitAfter({ method }: Request, outcome: PromiseSettledResult<RegistryResponse>): number | null {
  if (outcome.status === "rejected") {
    const { reason } = outcome;
    return reason instanceof RegistryFailure && reason.isTransient ? (reason.retryAfter ?? 0) : null;
  }
  const { status, headers } = outcome.value;
  // 500 may be how a registry responds to any HEAD: a GET follows, which is retried.
  if ((method === "HEAD" && status === 500) || !new RegistryFailure(status, null, "").isTransient)
    return null;
  const wait = headers.get("Retry-After") ?? "";
  return /^\d{1,9}$/.test(wait) ? Number(wait) : 0;
}
