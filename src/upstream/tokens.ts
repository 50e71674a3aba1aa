/** Bearer tokens: asked for as the challenge says, kept until shortly before they expire. */
import type { Challenge } from "../oci/challenge.ts";
import { basic, type Login } from "./credentials.ts";
import { failureOfResponse, UpstreamError } from "./failure.ts";
import { PINNED, type Trust, Untrusted } from "./redirects.ts";
import type { Upstream } from "./registries.ts";

/** Lets work that others may be waiting for go on after the request that began it has been answered. */
export type Background = (work: Promise<unknown>) => void;

export interface TokensOptions {
  fetch: typeof fetch;
  /** Milliseconds since the epoch. */
  now: () => number;
  /** Which realms may be asked, and sent a login; PINNED where it is left out. */
  trust?: Trust;
  /** Milliseconds that a token may take; half of what a whole question of the mirror's may, where it is left out. */
  timeOut?: number;
}

/** What a token is for. It is kept, and used, for this and for nothing else. */
export interface Errand {
  upstream: Upstream;
  endpoint: URL;
  /** As this endpoint names it. */
  repository: string;
  /** Null: as nobody. */
  login: Login | null;
  /** What it is to allow, as `repository:<name>:<actions>`; to pull from the repository where it is left out. */
  scopes?: readonly string[];
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
/** The username that docker and its credential helpers write beside an identity token. */
export const IDENTITY_TOKEN = "<token>";
/** Longer than any registry's token lives, so that a wrong `expires_in` can't pin one in memory for days. */
const MAXIMUM_LIFETIME = 3600;
const MAXIMUM_TOKENS = 1000;
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
      }, this.#timeOut() + 1000);
    });
    return Promise.race([underWay, overdue]).finally(() => clearTimeout(timer));
  }

  async #request(errand: Errand, challenge: Challenge): Promise<Token> {
    const { upstream, repository, login } = errand;
    const url = tokenUrl(errand, challenge, this.#options.trust ?? PINNED);
    const started = this.#options.now();
    let response: Response;
    try {
      const signal = AbortSignal.timeout(this.#timeOut());
      response = await this.#options.fetch(...tokenRequest(url, login, signal));
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

  #timeOut(): number {
    return this.#options.timeOut ?? TIME_OUT;
  }

  #keep(name: string, token: Token): void {
    this.#tokens.delete(name);
    this.#tokens.set(name, token);
    const oldest = this.#tokens.keys().next().value;
    if (this.#tokens.size > MAXIMUM_TOKENS && oldest !== undefined) this.#tokens.delete(oldest);
  }
}

function key({ upstream, endpoint, repository, login, scopes = [] }: Errand): string {
  return [upstream.name, endpoint.origin, repository, login?.name ?? "", ...scopes].join(" ");
}

/**
 * A login's password is shown to the realm by Basic; an identity token, which stands for one where the username says so,
 * is exchanged (Docker's "OAuth2 Token Authentication", `refresh_token`).
 */
function tokenRequest(url: URL, login: Login | null, signal: AbortSignal): [string, RequestInit] {
  const headers = new Headers({ Accept: "application/json" });
  const init = { headers, redirect: "manual", signal } as const;
  if (login?.username !== IDENTITY_TOKEN) {
    if (login) headers.set("Authorization", basic(login));
    return [url.href, init];
  }
  const form = new URLSearchParams(url.searchParams);
  // The form takes one `scope`, its values parted by spaces, where a query repeats it.
  form.set("scope", url.searchParams.getAll("scope").join(" "));
  form.set("grant_type", "refresh_token");
  form.set("client_id", "portolan");
  form.set("refresh_token", login.password);
  return [url.origin + url.pathname, { ...init, method: "POST", body: form }];
}

/**
 * The token request for a challenge. The scope is always our own: registries give placeholders (ghcr.io's
 * `user/image`), and a challenge must not be able to widen what is asked for.
 */
function tokenUrl(
  { upstream, endpoint, repository, scopes = [`repository:${repository}:pull`] }: Errand,
  challenge: Challenge,
  trust: Trust,
): URL {
  const realm = URL.parse(challenge.parameters.realm ?? "", endpoint.href);
  if (!realm || !trust.mayIssue(upstream, endpoint, realm)) {
    throw new Untrusted(
      `${upstream.name} names ${realm?.host ?? "no host"} as its token realm; ${trust.realmAdvice}`,
    );
  }
  if (challenge.parameters.service !== undefined) {
    realm.searchParams.set("service", challenge.parameters.service);
  }
  realm.searchParams.delete("scope");
  for (const scope of scopes) realm.searchParams.append("scope", scope);
  return realm;
}
