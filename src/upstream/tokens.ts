/** Bearer tokens: got as the challenge says, kept until shortly before they expire. */
import { LRUCache } from "lru-cache";
import type { Challenge } from "../oci/challenge.ts";
import { basic } from "./credentials.ts";
import { UpstreamError } from "./failure.ts";
import type { Upstream } from "./registries.ts";
import { MAXIMUM_NAMES } from "./remembered.ts";
import {
  type Errand,
  LoginRefused,
  requestToken,
  TIME_OUT,
  type Token,
  type TokenOptions,
} from "./token-request.ts";

/** Lets work that others may be waiting for go on after the request that began it has been answered. */
export type Background = (work: Promise<unknown>) => void;

const MAXIMUM_TOKENS = 1000;

/** One isolate's tokens. */
export class Tokens {
  readonly #options: TokenOptions;
  readonly #tokens = new LRUCache<string, Token>({ max: MAXIMUM_TOKENS });
  readonly #pending = new Map<string, Promise<Token>>();
  /** Per endpoint, the challenge that last led to a token: saves the 401 for the next repository. */
  readonly #challenges = new LRUCache<string, Challenge>({ max: MAXIMUM_NAMES });

  constructor(options: TokenOptions) {
    this.#options = options;
  }

  /**
   * The Authorization to send at once, or null to ask without one and see what is demanded.
   * @throws UpstreamError as `obtain` does.
   */
  async ready(errand: Errand, background: Background): Promise<string | null> {
    const held = this.#held(errand);
    if (held !== null) return held;
    const { origin } = errand.endpoint;
    const challenge = this.#challenges.get(origin);
    if (!challenge || (challenge.scheme === "basic" && !errand.login)) return null;
    try {
      return await this.obtain(errand, [challenge], null, background);
    } catch (error) {
      // The realm may have moved: the next one is to be challenged afresh.
      this.#challenges.delete(origin);
      throw error;
    }
  }

  /** Drops a token that a registry has just refused, and the challenge it came from: both may have had their day. */
  forget(errand: Errand, refused: string): void {
    if (this.#held(errand) !== refused) return;
    this.#tokens.delete(key(errand));
    this.#challenges.delete(errand.endpoint.origin);
  }

  /**
   * Answers a 401's challenges with a token for the errand; many askers at once cause one request, and one who comes
   * late with an old 401 gets the token that has come in meanwhile.
   * @param refused the Authorization that the 401 was for; null if there was none.
   * @throws UpstreamError `denied` where no challenge can be met, `unavailable` for a realm that isn't this upstream's
   *   or a token endpoint that fails, `limited` for one that is limited; LoginRefused.
   */
  async obtain(
    errand: Errand,
    challenges: readonly Challenge[],
    refused: string | null,
    background: Background,
  ): Promise<string> {
    const { upstream, endpoint, repository, login } = errand;
    const held = this.#held(errand);
    if (held !== null && held !== refused) return held;
    const challenge = challenges.find(({ scheme, parameters }) => scheme === "bearer" && parameters.realm);
    if (!challenge) {
      const basicChallenge = challenges.find(({ scheme }) => scheme === "basic");
      if (login && basicChallenge) {
        this.#challenges.set(endpoint.origin, basicChallenge);
        return basic(login);
      }
      throw new UpstreamError("denied", `${upstream.name} wants a login for ${repository}`, 401);
    }
    const name = key(errand);
    const token = await this.#once(name, upstream, background, () => this.#request(errand, challenge));
    this.#tokens.set(name, token);
    this.#challenges.set(endpoint.origin, challenge);
    return token.authorization;
  }

  /**
   * Gets a token. Some endpoints (ghcr.io) refuse a login the token for a repository that isn't open to it as they refuse a
   * wrong password. Which it is, a token for nothing tells: whoever may ask for any repository could else have a login
   * dropped that all others need.
   */
  async #request(errand: Errand, challenge: Challenge): Promise<Token> {
    try {
      return await requestToken(this.#options, errand, challenge);
    } catch (error) {
      if (!(error instanceof LoginRefused)) throw error;
      await requestToken(this.#options, { ...errand, scopes: [] }, challenge);
      const { status } = error.failure;
      throw new UpstreamError(
        "denied",
        `${errand.upstream.name} denies its login ${errand.repository}`,
        status,
      );
    }
  }

  #held(errand: Errand): string | null {
    const held = this.#tokens.get(key(errand));
    return held && held.usableUntil > this.#options.now() ? held.authorization : null;
  }

  async #once(
    name: string,
    upstream: Upstream,
    background: Background,
    request: () => Promise<Token>,
  ): Promise<Token> {
    const underWay = this.#pending.get(name);
    if (!underWay) {
      const pending = request().finally(() => this.#pending.delete(name));
      this.#pending.set(name, pending);
      // Others may come to wait for it, so it must not die with the request that happened to be first.
      background(pending.catch(() => {}));
      return pending;
    }
    // Should it die all the same, the runtime never tells those who wait.
    let timer: ReturnType<typeof setTimeout>;
    const overdue = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => {
          this.#pending.delete(name);
          reject(new UpstreamError("unavailable", `no token for ${upstream.name} came in time`));
        },
        (this.#options.timeOut ?? TIME_OUT) + 1000,
      );
    });
    return Promise.race([underWay, overdue]).finally(() => clearTimeout(timer));
  }
}

function key({ upstream, endpoint, repository, login, scopes = [] }: Errand): string {
  return [upstream.name, endpoint.origin, repository, login?.name ?? "", ...scopes].join(" ");
}
