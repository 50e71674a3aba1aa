/** Bearer tokens: obtained as a challenge demands, cached until shortly before they expire. */

import type { Challenge } from "../oci/challenge.ts";
import { boundedMap } from "./bounded-map.ts";
import { UpstreamError } from "./failure.ts";
import { basic, type Registry } from "./registry.ts";
import { MAXIMUM_NAMES } from "./remembered.ts";
import {
  LoginRefused,
  requestToken,
  TIME_OUT,
  type Token,
  type TokenOptions,
  type TokenScope,
} from "./token-request.ts";
import type { WaitUntil } from "./wait-until.ts";

const MAXIMUM_TOKENS = 1000;

/** One isolate's tokens. */
export class Tokens {
  readonly #options: TokenOptions;
  readonly #tokens = boundedMap<string, Token>(MAXIMUM_TOKENS);
  readonly #pending = new Map<string, Promise<Token>>();
  /** Per endpoint, the challenge that last led to a token: saves the 401 for the next repository. */
  readonly #challenges = boundedMap<string, Challenge>(MAXIMUM_NAMES);

  constructor(options: TokenOptions) {
    this.#options = options;
  }

  /**
   * The Authorization to send at once, or null to send none and see what is demanded.
   * @throws UpstreamError as `obtain` does.
   */
  async ready(scope: TokenScope, waitUntil: WaitUntil): Promise<string | null> {
    const cached = this.#cached(scope);
    if (cached !== null) return cached;
    const { origin } = scope.endpoint;
    const challenge = this.#challenges.get(origin);
    if (!challenge || (challenge.scheme === "basic" && !scope.login)) return null;
    try {
      return await this.obtain(scope, [challenge], null, waitUntil);
    } catch (error) {
      // The realm may have moved: the next request has to receive a new challenge.
      this.#challenges.delete(origin);
      throw error;
    }
  }

  /** Drops a token that a registry has just refused, and the challenge it was obtained for: either may be outdated. */
  forget(scope: TokenScope, refused: string): void {
    if (this.#cached(scope) !== refused) return;
    this.#tokens.delete(keyOf(scope));
    this.#challenges.delete(scope.endpoint.origin);
  }

  /**
   * Obtains a token for the challenges of a 401. Concurrent callers share one request, and a caller that comes late with
   * an old 401 gets the token that has arrived since.
   * @param refused the Authorization that the 401 was for; null if there was none.
   * @throws UpstreamError `denied` where no challenge can be met, `unavailable` for a realm that isn't this registry's
   *   or a token endpoint that fails, `limited` for one that limits requests; LoginRefused.
   */
  async obtain(
    scope: TokenScope,
    challenges: readonly Challenge[],
    refused: string | null,
    waitUntil: WaitUntil,
  ): Promise<string> {
    const { registry, endpoint, repository, login } = scope;
    const cached = this.#cached(scope);
    if (cached !== null && cached !== refused) return cached;
    const challenge = challenges.find(({ scheme, parameters }) => scheme === "bearer" && parameters.realm);
    if (!challenge) {
      const basicChallenge = challenges.find(({ scheme }) => scheme === "basic");
      if (login && basicChallenge) {
        this.#challenges.set(endpoint.origin, basicChallenge);
        return basic(login);
      }
      throw new UpstreamError("denied", `${registry.name} wants a login for ${repository}`, 401);
    }
    const key = keyOf(scope);
    const token = await this.#once(key, registry, waitUntil, () => this.#request(scope, challenge));
    this.#tokens.set(key, token);
    this.#challenges.set(endpoint.origin, challenge);
    return token.authorization;
  }

  /**
   * Requests a token. Some token endpoints (ghcr.io) refuse a login a token for a repository it may not pull just as they
   * refuse a wrong password. A token request without a scope tells the two apart: otherwise any client could, by naming
   * such a repository, have a login set aside that all others need.
   */
  async #request(scope: TokenScope, challenge: Challenge): Promise<Token> {
    try {
      return await requestToken(this.#options, scope, challenge);
    } catch (error) {
      if (!(error instanceof LoginRefused)) throw error;
      await requestToken(this.#options, { ...scope, scopes: [] }, challenge);
      const message = `${scope.registry.name} denies its login ${scope.repository}`;
      throw new UpstreamError("denied", message, error.failure.status);
    }
  }

  #cached(scope: TokenScope): string | null {
    const cached = this.#tokens.get(keyOf(scope));
    return cached && cached.usableUntil > this.#options.now() ? cached.authorization : null;
  }

  async #once(
    key: string,
    registry: Registry,
    waitUntil: WaitUntil,
    request: () => Promise<Token>,
  ): Promise<Token> {
    const underWay = this.#pending.get(key);
    if (!underWay) {
      const pending = request().finally(() => this.#pending.delete(key));
      this.#pending.set(key, pending);
      // Other requests may come to wait for it, so it must outlive the one that happened to be first.
      waitUntil(pending.catch(() => {}));
      return pending;
    }
    // If it dies all the same, the runtime never settles the promise that the others wait for.
    let timer: ReturnType<typeof setTimeout>;
    const overdue = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => {
          this.#pending.delete(key);
          reject(new UpstreamError("unavailable", `no token for ${registry.name} came in time`));
        },
        (this.#options.timeOut ?? TIME_OUT) + 1000,
      );
    });
    return Promise.race([underWay, overdue]).finally(() => clearTimeout(timer));
  }
}

function keyOf({ registry, endpoint, repository, login, scopes = [] }: TokenScope): string {
  return [registry.name, endpoint.origin, repository, login?.name ?? "", ...scopes].join(" ");
}
