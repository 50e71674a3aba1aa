/** Login pass-through: users' own logins, sent to the upstream they are for, and neither stored nor shared. */

import { type Challenge, parseChallenges } from "../oci/challenge.ts";
import { boundedMap } from "../registry/bounded-map.ts";
import { failureOfResponse, UpstreamError } from "../registry/failure.ts";
import { followRedirects } from "../registry/redirects.ts";
import type { Credential } from "../registry/registry.ts";
import { MAXIMUM_NAMES, Remembered } from "../registry/remembered.ts";
import { requestToken, type Token } from "../registry/token-request.ts";
import { appendVia } from "../registry/via.ts";
import type { Upstream } from "./registries.ts";

export interface UserLoginsOptions {
  fetch: typeof fetch;
  /** Milliseconds since the epoch. */
  now: () => number;
  /** This deployment's entry in the Via of every request. */
  via: string;
}

/** How an upstream takes logins. */
export type LoginScheme = "bearer" | "basic" | "none";

/** Milliseconds until a response must have arrived. */
const TIME_OUT = 10_000;
/** Milliseconds for which an upstream's challenge is assumed not to change. */
const CHALLENGE_LIFETIME = 3600_000;
/** Milliseconds for which an unreachable upstream isn't tried again: each of a client's requests would wait for it. */
const UNREACHABLE = 30_000;

export class UserLogins {
  readonly #options: UserLoginsOptions;
  readonly #challenges = boundedMap<string, { challenge: Challenge | null; until: number }>(MAXIMUM_NAMES);

  readonly #unreachable: Remembered;

  constructor(options: UserLoginsOptions) {
    this.#options = options;
    this.#unreachable = new Remembered(UNREACHABLE, options.now);
  }

  /**
   * @param received the Via of the client request that this is for; "" for none, here and below.
   * @throws UpstreamError where upstream can't be reached.
   */
  async schemeOf(upstream: Upstream, received: string): Promise<LoginScheme> {
    const challenge = await this.#challengeOf(upstream, received);
    if (!challenge) return "none";
    return challenge.scheme === "bearer" ? "bearer" : "basic";
  }

  /**
   * Whether upstream accepts this Authorization, by its own `/v2/`.
   * @throws UpstreamError where upstream can't be reached.
   */
  async isAccepted(upstream: Upstream, authorization: string, received: string): Promise<boolean> {
    const { status } = await this.#ping(upstream, authorization, received);
    return status === 200;
  }

  /**
   * Requests a token for pulling from upstream's own realm.
   * @param repositories none for a token that only shows whether the login is accepted.
   * @param login null: anonymously.
   * @throws UpstreamError `denied` for a login that upstream refuses, or as `requestToken` does.
   */
  async token(
    upstream: Upstream,
    repositories: readonly string[],
    login: Credential | null,
    received: string,
  ): Promise<Token> {
    const challenge = await this.#challengeOf(upstream, received);
    const [endpoint] = upstream.endpoints;
    if (challenge?.scheme !== "bearer" || !endpoint) {
      throw new UpstreamError("denied", `${upstream.name} gives no tokens`);
    }
    const scope = {
      registry: upstream,
      endpoint,
      repository: repositories[0] ?? "",
      login: login && { ...login, name: "of a user" },
      scopes: repositories.map((repository) => `repository:${repository}:pull`),
      via: received,
    };
    return requestToken(this.#options, scope, challenge);
  }

  async #challengeOf(upstream: Upstream, received: string): Promise<Challenge | null> {
    const known = this.#challenges.get(upstream.name);
    if (known && known.until > this.#options.now()) return known.challenge;
    const response = await this.#firstPing(upstream, received);
    const offered = parseChallenges(response.headers.get("WWW-Authenticate") ?? "");
    const challenge =
      response.status === 401
        ? (offered.find(({ scheme }) => scheme === "bearer") ??
          offered.find(({ scheme }) => scheme === "basic"))
        : null;
    if (challenge === undefined) {
      throw new UpstreamError("unavailable", `${upstream.name} wants a login of an unknown kind`, 401);
    }
    this.#challenges.set(upstream.name, { challenge, until: this.#options.now() + CHALLENGE_LIFETIME });
    return challenge;
  }

  async #firstPing(upstream: Upstream, received: string): Promise<Response> {
    if (this.#unreachable.has(upstream.name)) {
      throw new UpstreamError("unavailable", `${upstream.name} didn't say how it takes logins`);
    }
    try {
      return await this.#ping(upstream, null, received);
    } catch (error) {
      this.#unreachable.add(upstream.name);
      throw error;
    }
  }

  /** @returns a response of status 200, 401 or 403, without its body. */
  async #ping(upstream: Upstream, authorization: string | null, received: string): Promise<Response> {
    const { fetch, via, now } = this.#options;
    const url = new URL("/v2/", upstream.endpoints[0]);
    const headers = new Headers({ "User-Agent": "portolan", Via: appendVia(received, via) });
    if (authorization !== null) headers.set("Authorization", authorization);
    let response: Response;
    try {
      const signal = AbortSignal.timeout(TIME_OUT);
      response = await followRedirects(upstream, url, { method: "GET", headers, signal }, fetch);
    } catch (error) {
      if (error instanceof UpstreamError) throw error;
      throw new UpstreamError("unavailable", `${url.host} can't be reached`);
    }
    await response.body?.cancel();
    if (![200, 401, 403].includes(response.status)) throw failureOfResponse(response, "/v2/", now());
    return response;
  }
}
