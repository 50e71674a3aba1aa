/** Bearer tokens for pulling: asked for as the challenge says, kept until shortly before they expire. */
import type { Challenge } from "../oci/challenge.ts";
import { isLoopback } from "./addresses.ts";
import { basic, type Login } from "./credentials.ts";
import { failureOfResponse, UpstreamError } from "./failure.ts";
import { isLocal, isTrusted } from "./redirects.ts";
import type { Upstream } from "./registries.ts";

/** Lets work that others may be waiting for go on after the request that began it has been answered. */
export type Background = (work: Promise<unknown>) => void;

export interface TokensOptions {
  fetch: typeof fetch;
  /** Milliseconds since the epoch. */
  now: () => number;
}

/** What a token is for. It is kept, and used, for this and for nothing else. */
export interface Errand {
  upstream: Upstream;
  endpoint: URL;
  /** As this endpoint names it. */
  repository: string;
  /** Null: as nobody. */
  login: Login | null;
}

interface Token {
  authorization: string;
  /** Milliseconds since the epoch. */
  usableUntil: number;
}

/** Says that a login's password isn't accepted, whatever it was shown for. */
export class LoginRefused extends UpstreamError {
  constructor(upstream: Upstream, login: Login, status: number) {
    super("denied", `${upstream.name} refuses the credential ${login.name}`, status);
  }
}

/** The distribution spec's default where a token answer says nothing usable ("Token Authentication", `expires_in`). */
const DEFAULT_LIFETIME = 60;
/** Longer than any registry's token lives, so that a wrong `expires_in` can't pin one in memory for days. */
const MAXIMUM_LIFETIME = 3600;
const MAXIMUM_TOKENS = 1000;
/** Milliseconds: half of what a whole question may take. */
const TIME_OUT = 5_000;

/** One isolate's tokens. */
export class Tokens {
  readonly #options: TokensOptions;
  readonly #tokens = new Map<string, Token>();
  readonly #pending = new Map<string, Promise<Token>>();
  /** Per endpoint, the challenge that last led to a token: saves the 401 for the next repository. */
  readonly #challenges = new Map<string, Challenge>();

  constructor(options: TokensOptions) {
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
    if (!challenge) return null;
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
      if (login && challenges.some(({ scheme }) => scheme === "basic")) return basic(login);
      throw new UpstreamError("denied", `${upstream.name} wants a login for ${repository}`, 401);
    }
    const name = key(errand);
    const token = await this.#once(name, upstream, background, () => this.#request(errand, challenge));
    this.#keep(name, token);
    this.#challenges.set(endpoint.origin, challenge);
    return token.authorization;
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
      timer = setTimeout(() => {
        this.#pending.delete(name);
        reject(new UpstreamError("unavailable", `no token for ${upstream.name} came in time`));
      }, TIME_OUT + 1000);
    });
    return Promise.race([underWay, overdue]).finally(() => clearTimeout(timer));
  }

  async #request(errand: Errand, challenge: Challenge): Promise<Token> {
    const { upstream, repository, login } = errand;
    const url = tokenUrl(errand, challenge);
    const started = this.#options.now();
    const headers = new Headers({ Accept: "application/json" });
    if (login) headers.set("Authorization", basic(login));
    let response: Response;
    try {
      const signal = AbortSignal.timeout(TIME_OUT);
      response = await this.#options.fetch(url.href, { headers, redirect: "manual", signal });
    } catch {
      throw new UpstreamError("unavailable", `the token endpoint ${url.host} can't be reached`);
    }
    const { status } = response;
    if (status !== 200) {
      await response.body?.cancel();
      if (login && (status === 401 || status === 403)) {
        throw new LoginRefused(upstream, login, status);
      }
      if (![401, 403, 429].includes(status)) {
        throw new UpstreamError("unavailable", `the token endpoint ${url.host} answered ${status}`, status);
      }
      throw failureOfResponse(response, `a token for ${repository}`, started);
    }
    const answer: unknown = await response.json().catch(() => null);
    const { token, access_token, expires_in } = (answer ?? {}) as Record<string, unknown>;
    const value = [token, access_token].find(
      (text) => typeof text === "string" && /^[\x21-\x7e]+$/.test(text),
    );
    if (value === undefined) {
      throw new UpstreamError("unavailable", `${url.host} gave no token for ${repository}`);
    }
    const lifetime =
      typeof expires_in === "number" && expires_in > 0
        ? Math.min(expires_in, MAXIMUM_LIFETIME)
        : DEFAULT_LIFETIME;
    // A fifth early, half a minute at most: a pull that starts on it must still get through its redirects.
    const usableUntil = started + (lifetime - Math.min(30, lifetime / 5)) * 1000;
    return { authorization: `Bearer ${value}`, usableUntil };
  }

  #keep(name: string, token: Token): void {
    this.#tokens.delete(name);
    this.#tokens.set(name, token);
    const oldest = this.#tokens.keys().next().value;
    if (this.#tokens.size > MAXIMUM_TOKENS && oldest !== undefined) this.#tokens.delete(oldest);
  }
}

function key({ upstream, endpoint, repository, login }: Errand): string {
  return [upstream.name, endpoint.origin, repository, login?.name ?? ""].join(" ");
}

/**
 * The token request for a challenge. The scope is always our own: registries give placeholders (ghcr.io's
 * `user/image`), and a challenge must not be able to widen what is asked for.
 */
function tokenUrl({ upstream, endpoint, repository }: Errand, challenge: Challenge): URL {
  const realm = URL.parse(challenge.parameters.realm ?? "", endpoint.href);
  const isOwn = realm && (isTrusted(upstream, endpoint, realm) || (isLocal(upstream) && isLoopback(realm)));
  if (!isOwn) {
    throw new UpstreamError(
      "unavailable",
      `${upstream.name} names ${realm?.host ?? "no host"} as its token realm; if that is right, list it under realms of this upstream`,
    );
  }
  if (challenge.parameters.service !== undefined) {
    realm.searchParams.set("service", challenge.parameters.service);
  }
  realm.searchParams.set("scope", `repository:${repository}:pull`);
  return realm;
}
