/** On whose behalf an endpoint is requested: anonymously, with a login of the operator's, or with a user's own. */
import { essence } from "../oci/mediatypes.ts";
import { isWithinNetwork } from "../registry/addresses.ts";
import { authorizedFetch, type Transport } from "../registry/authorized-fetch.ts";
import { failureOfResponse, isTransient, UpstreamError } from "../registry/failure.ts";
import { basic, type Credential, type Login } from "../registry/registry.ts";
import { LoginRefused, TokenLimited, type TokenScope } from "../registry/token-request.ts";
import type { Tokens } from "../registry/tokens.ts";
import { Credentials } from "./credentials.ts";
import { pullsRemainingIn, type UpstreamObserver } from "./observer.ts";
import { PublicRepositories } from "./public-repositories.ts";
import type { Upstream } from "./registries.ts";
import type { Relay } from "./relays.ts";
import { ANONYMOUS, type EndpointRequest, isContent, isToPrimary } from "./request.ts";
import { repositoryAt } from "./transport.ts";

export interface IdentitiesOptions {
  transport: Transport<EndpointRequest, Response>;
  tokens: Tokens;
  /** The operator's logins by upstream. */
  credentials: Readonly<Record<string, readonly Credential[]>>;
  /** Milliseconds since the epoch. */
  now: () => number;
  observer: UpstreamObserver;
}

/** One isolate's record of which identity is given what. */
export class Identities {
  readonly #transport: Transport<EndpointRequest, Response>;
  readonly #authorizedFetch: ReturnType<typeof authorizedFetch<EndpointRequest, Response>>;
  readonly #credentials: Credentials;
  readonly #repositories: PublicRepositories;
  readonly #now: () => number;
  readonly #observer: UpstreamObserver;

  constructor({ transport, tokens, credentials, now, observer }: IdentitiesOptions) {
    this.#transport = transport;
    this.#authorizedFetch = authorizedFetch(transport, tokens);
    this.#credentials = new Credentials(credentials, now);
    this.#repositories = new PublicRepositories(now);
    this.#now = now;
    this.#observer = observer;
  }

  /**
   * Tries the operator's logins in turn where they may be used, and in the end, for public content, no login.
   * @returns a response of status 200, 206 or 416, its body unread.
   * @throws UpstreamError for every other one.
   */
  async fetch(request: EndpointRequest): Promise<Response> {
    const { upstream, identity = ANONYMOUS, relay } = request;
    if (relay) return this.#fetchFromRelay(request, relay);
    if (identity.kind === "user") {
      return this.#successful(request, await this.#transport(request, identity.authorization));
    }
    if (identity.kind === "operator") {
      const result = await this.#fetchAsOperator(request);
      if (result instanceof Response) return result;
      const needsNone = isWithinNetwork(upstream) && !this.#credentials.hasAccepted(upstream);
      if (result === null && needsNone) return this.#fetchAs(null, request);
      throw result ?? this.#noLogin(upstream);
    }
    const proof = await this.#proofFor(request);
    if (proof) {
      const result = await this.#fetchAsOperator(request);
      if (result instanceof Response && isWhatWasGiven(result, proof)) return result;
      if (result instanceof Response) await result.body?.cancel();
    }
    return this.#fetchAnonymously(request);
  }

  /**
   * Whether a repository is public, found out by an anonymous HEAD of what is requested. What upstream doesn't have for
   * anonymous requests is taken not to be public.
   * @param request by HEAD, to the primary or a relay.
   * @returns null where that can't be found out, because upstream fails.
   */
  async isPublic(request: EndpointRequest): Promise<boolean | null> {
    const known = this.#repositories.isPublic(request);
    if (known !== null) return known;
    if (!isContent(request) || this.#repositories.isMissing(request)) return false;
    try {
      const { relay } = request;
      const head = relay ? this.#fetchFromRelay(request, relay) : this.#fetchAnonymously(request);
      return !isPage(await head);
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error;
      if (error.failure.kind === "missing") this.#repositories.noteMissing(request);
      return isTransient(error.failure.kind) ? null : false;
    }
  }

  /** Whether the upstream itself may give something to the operator: by a login, or because it is within the network. */
  canBeOperator(upstream: Upstream): boolean {
    return isWithinNetwork(upstream) || this.#credentials.hasAccepted(upstream);
  }

  /** A relay knows by its key who requests something, and by a header whether that is to be given to anonymous clients. */
  async #fetchFromRelay(request: EndpointRequest, { url, key }: Relay): Promise<Response> {
    const authorization = key === null ? null : basic({ username: "portolan", password: key });
    const response = await this.#transport(request, authorization);
    const isStale = response.headers.has("Warning");
    if (response.status !== 401 && !isStale) return this.#successful(request, response);
    await response.body?.cancel();
    // It would be taken for confirmed, and be served as long again.
    if (isStale)
      throw new UpstreamError("unavailable", `the relay ${url.host} can't reach ${request.upstream.name}`);
    throw new UpstreamError("unavailable", `the relay ${url.host} doesn't accept its key in RELAY_KEYS`, 401);
  }

  async #fetchAs(login: Login | null, request: EndpointRequest): Promise<Response> {
    const { upstream, endpoint, via = "", waitUntil, signal } = request;
    const repository = repositoryAt(endpoint.url, request.repository);
    const scope: TokenScope = { registry: upstream, endpoint: endpoint.url, repository, login, via };
    const response = await this.#authorizedFetch(request, { scope, waitUntil, signal });
    const pulls = isToPrimary(request) ? pullsRemainingIn(response.headers) : null;
    if (pulls !== null) {
      const name = login === null ? "anonymous" : login.name.slice(upstream.name.length + 1);
      this.#observer.pullsRemaining({ upstream: upstream.name, login: name, pulls }, waitUntil);
    }
    return this.#successful(request, response);
  }

  async #successful({ repository, path }: EndpointRequest, response: Response): Promise<Response> {
    if ([200, 206, 416].includes(response.status)) return response;
    await response.body?.cancel();
    throw failureOfResponse(response, `${repository}/${path}`, this.#now());
  }

  /** Tries each usable login in turn: the first response, else the last login's failure; null where none is usable. */
  async #fetchAsOperator(request: EndpointRequest): Promise<Response | UpstreamError | null> {
    let refusal: UpstreamError | null = null;
    for (const login of this.#credentials.usable(request.upstream)) {
      try {
        const response = await this.#fetchAs(login, request);
        this.#credentials.note(login, response.headers);
        return response;
      } catch (error) {
        if (!(error instanceof UpstreamError)) throw error;
        const { kind, retryAfter } = error.failure;
        if (error instanceof LoginRefused) this.#credentials.refuse(login);
        else if (kind === "limited") this.#credentials.setAside(login, retryAfter);
        // What is denied to one login, another or an anonymous request may still get.
        else if (kind !== "denied") throw error;
        refusal = error;
      }
    }
    return refusal;
  }

  /** Why no login of the operator's is usable: a limit ends, but logins that are refused or were removed stay unusable. */
  #noLogin(upstream: Upstream): UpstreamError {
    return this.#credentials.hasAccepted(upstream)
      ? new UpstreamError("limited", `no login for ${upstream.name} can be used now`, 429)
      : new UpstreamError("denied", `no login for ${upstream.name} is accepted`, 401);
  }

  async #fetchAnonymously(request: EndpointRequest): Promise<Response> {
    const { limits } = request.endpoint;
    limits.check(request);
    try {
      const response = await this.#fetchAs(null, request);
      if (isToPrimary(request) && isContent(request) && !isPage(response)) {
        this.#repositories.noteGiven(request);
      }
      return response;
    } catch (error) {
      const failure = error instanceof UpstreamError ? error.failure : null;
      if (error instanceof TokenLimited) limits.noteAll(error.failure.retryAfter);
      else if (failure?.kind === "limited") limits.note(request, failure.retryAfter);
      if (failure?.kind === "denied" && isToPrimary(request)) this.#repositories.noteDenied(request);
      throw error;
    }
  }

  /**
   * What permits the operator's logins to stand in for an anonymous request: that very object has been given to one, by
   * HEAD, which counts towards no limit. The content of a digest never changes, so for a digest the last minutes count; a tag
   * may name another image the next moment, or a private one, so for a tag only now counts. A listing has no HEAD, and isn't
   * limited. Only the primary ever receives a login.
   * @returns null where nothing permits it: an anonymous request then gets the response that any client gets.
   */
  async #proofFor(request: EndpointRequest): Promise<{ digest: string | null } | null> {
    if (request.method === "HEAD" || !isToPrimary(request) || !isContent(request)) return null;
    if (this.#credentials.usable(request.upstream).length === 0) return null;
    if (this.#repositories.wasGiven(request)) return { digest: null };
    // Without a Range: a 416 is no proof that the object was given.
    const { range: _range, ifRange: _ifRange, ...whole } = request;
    try {
      const head = await this.#fetchAnonymously({ ...whole, method: "HEAD" });
      return isPage(head) ? null : { digest: head.headers.get("Docker-Content-Digest") };
    } catch (error) {
      if (error instanceof UpstreamError) return null;
      throw error;
    }
  }
}

/** Of a tag that moves between the two requests, only what was given anonymously may be served with the operator's login. */
function isWhatWasGiven({ headers }: Response, { digest }: { digest: string | null }): boolean {
  const sent = headers.get("Docker-Content-Digest");
  return digest === null || sent === null || sent === digest;
}

/** Whether a response comes from something in front of the registry, a portal or a notice: it doesn't tell who may pull. */
export function isPage({ headers }: Response): boolean {
  return essence(headers.get("Content-Type")) === "text/html";
}
