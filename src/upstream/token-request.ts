/** One request for a bearer token: what is asked of which realm, and what is made of its answer. */
import type { Challenge } from "../oci/challenge.ts";
import { MAXIMUM_TOKEN, readJson } from "./bounded.ts";
import { basic, type Login } from "./credentials.ts";
import { failureOfResponse, UpstreamError } from "./failure.ts";
import { followRedirects, PINNED, type Trust, Untrusted } from "./redirects.ts";
import type { Upstream } from "./registries.ts";
import { appendVia } from "./via.ts";

export interface TokenOptions {
  fetch: typeof fetch;
  /** Milliseconds since the epoch. */
  now: () => number;
  /** This deployment's entry in Via; none where it is left out. */
  via?: string;
  /** Which realms may be asked, and sent a login; PINNED where it is left out. */
  trust?: Trust;
  /** Milliseconds that a token may take; TIME_OUT where it is left out. */
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
  /** The Via of the request that this is for. */
  via?: string;
}

export interface Token {
  /** `Bearer …` */
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
/** Milliseconds: half of what a whole question of the mirror's may take. */
export const TIME_OUT = 5_000;

/**
 * Asks the realm that a challenge names.
 * @throws UpstreamError `unavailable` for a realm that isn't this upstream's or a token endpoint that fails, `denied` or
 *   `limited` where it says so; LoginRefused.
 */
export async function requestToken(
  options: TokenOptions,
  errand: Errand,
  challenge: Challenge,
): Promise<Token> {
  const { upstream, repository, login } = errand;
  const trust = options.trust ?? PINNED;
  const url = tokenUrl(errand, challenge, trust);
  const started = options.now();
  let response: Response;
  try {
    const signal = AbortSignal.timeout(options.timeOut ?? TIME_OUT);
    const { sent, body, ...init } = tokenRequest(url, login);
    if (options.via !== undefined) init.headers.set("Via", appendVia(errand.via ?? "", options.via));
    // An identity token is in the body, which goes along as the password does.
    const send: typeof fetch = (to, each) => options.fetch(to, { ...each, ...(body && { body }) });
    response = await followRedirects(upstream, sent, { ...init, signal }, send, forwarding(errand, trust));
  } catch (error) {
    if (error instanceof UpstreamError) throw error;
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
  const answer = await readJson(response, MAXIMUM_TOKEN, `the token response of ${url.host}`);
  const { token, access_token, expires_in } = (answer ?? {}) as Record<string, unknown>;
  const value = [token, access_token].find((text) => typeof text === "string" && /^[\x21-\x7e]+$/.test(text));
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

/**
 * A login's password is shown to the realm by Basic; an identity token, which stands for one where the username says so,
 * is exchanged (Docker's "OAuth2 Token Authentication", `refresh_token`).
 */
function tokenRequest(url: URL, login: Login | null) {
  const headers = new Headers({ Accept: "application/json" });
  if (login?.username !== IDENTITY_TOKEN) {
    if (login) headers.set("Authorization", basic(login));
    return { method: "GET", sent: url, headers, body: null };
  }
  const form = new URLSearchParams(url.searchParams);
  // The form takes one `scope`, its values parted by spaces, where a query repeats it.
  form.set("scope", url.searchParams.getAll("scope").join(" "));
  form.set("grant_type", "refresh_token");
  form.set("client_id", "portolan");
  form.set("refresh_token", login.password);
  return { method: "POST", sent: new URL(url.pathname, url), headers, body: form };
}

/** A token request is redirected only to where the login may go along. */
function forwarding({ endpoint }: Errand, trust: Trust): Trust {
  return {
    ...trust,
    maySee: () => true,
    mayLead: (upstream, here, next) => trust.mayForward(upstream, endpoint, here, next),
  };
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
