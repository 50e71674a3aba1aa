/** One request for a bearer token: which realm it goes to and for what scope, and how its response is read. */
import * as v from "valibot";
import type { Challenge } from "../oci/challenge.ts";
import { lenient, parseJson } from "../oci/json.ts";
import { MAXIMUM_TOKEN, readBounded } from "./bounded-read.ts";
import { type Failure, failureOfResponse, UpstreamError } from "./failure.ts";
import { followRedirects, PINNED, type Trust, Untrusted } from "./redirects.ts";
import { basic, type Login, type Registry } from "./registry.ts";
import { appendVia } from "./via.ts";

export interface TokenOptions {
  fetch: typeof fetch;
  /** Milliseconds since the epoch. */
  now: () => number;
  /** This deployment's entry in Via; none is sent where it is left out. */
  via?: string;
  /** Which realms may issue tokens and receive a login; PINNED where it is left out. */
  trust?: Trust;
  /** Milliseconds that a token may take; TIME_OUT where it is left out. */
  timeOut?: number;
}

/** What a token is requested. It is cached, and used, for this and for nothing else. */
export interface TokenScope {
  registry: Registry;
  endpoint: URL;
  /** As this endpoint names it. */
  repository: string;
  /** Null: anonymously. */
  login: Login | null;
  /** As `repository:<name>:<actions>`; pulling from the repository where it is left out. */
  scopes?: readonly string[];
  /** The Via of the client request that this is for. */
  via?: string;
}

export interface Token {
  /** `Bearer …` */
  authorization: string;
  /** Milliseconds since the epoch. */
  usableUntil: number;
}

const tokenText = lenient(v.pipe(v.string(), v.regex(/^[\x21-\x7e]+$/)));
/** Registries differ in which of the two names a token has (distribution spec, "Token Authentication"). */
const TokenResponse = v.object({
  token: tokenText,
  access_token: tokenText,
  expires_in: lenient(v.pipe(v.number(), v.gtValue(0))),
});

/** A login's password isn't accepted, whatever it was used for. */
export class LoginRefused extends UpstreamError {
  constructor(registry: Registry, login: Login, status: number) {
    super("denied", `${registry.name} refuses the credential ${login.name}`, status);
  }
}

/** The token endpoint limits requests: without tokens, the registry gives nothing. */
export class TokenLimited extends UpstreamError {
  constructor({ message, status, retryAfter }: Failure) {
    super("limited", message, status, retryAfter);
  }
}

/** The distribution spec's default where a token response says nothing usable ("Token Authentication", `expires_in`). */
const DEFAULT_LIFETIME = 60;
/** The username that docker and its credential helpers store with an identity token. */
export const IDENTITY_TOKEN = "<token>";
/** Longer than any registry's token lives, so that a wrong `expires_in` can't pin one in memory for days. */
const MAXIMUM_LIFETIME = 3600;
/** Milliseconds: half of what a whole upstream request may take. */
export const TIME_OUT = 5_000;

/**
 * Requests a token from the realm that a challenge names.
 * @throws UpstreamError `unavailable` for a realm that isn't this registry's or a token endpoint that fails, `denied` or
 *   `limited` where it says so; LoginRefused.
 */
export async function requestToken(
  options: TokenOptions,
  scope: TokenScope,
  challenge: Challenge,
): Promise<Token> {
  const { registry, repository, login } = scope;
  const trust = options.trust ?? PINNED;
  const url = tokenUrl(scope, challenge, trust);
  const started = options.now();
  let response: Response;
  try {
    const signal = AbortSignal.timeout(options.timeOut ?? TIME_OUT);
    const { sent, body, ...init } = tokenRequest(url, login);
    if (options.via !== undefined) init.headers.set("Via", appendVia(scope.via ?? "", options.via));
    // An identity token is in the body, which is sent to the same hosts as a password.
    const send: typeof fetch = (to, each) => options.fetch(to, { ...each, ...(body && { body }) });
    response = await followRedirects(registry, sent, { ...init, signal }, send, forwarding(scope, trust));
  } catch (error) {
    if (error instanceof UpstreamError) throw error;
    throw new UpstreamError(
      "unavailable",
      `the token endpoint ${url.host} can't be reached; if it is blocked here, use a proxy or a relay`,
    );
  }
  const { status } = response;
  if (status !== 200) {
    await response.body?.cancel();
    if (login && (status === 401 || status === 403)) {
      throw new LoginRefused(registry, login, status);
    }
    if (status === 429)
      throw new TokenLimited(failureOfResponse(response, `a token for ${repository}`, started).failure);
    if (status !== 401 && status !== 403) {
      throw new UpstreamError("unavailable", `the token endpoint ${url.host} answered ${status}`, status);
    }
    throw failureOfResponse(response, `a token for ${repository}`, started);
  }
  const body = await readBounded(response, MAXIMUM_TOKEN, `the token response of ${url.host}`);
  const received = parseJson(TokenResponse, body);
  const value = received?.token ?? received?.access_token ?? null;
  if (value === null) {
    throw new UpstreamError("unavailable", `${url.host} gave no token for ${repository}`);
  }
  const lifetime = Math.min(received?.expires_in ?? DEFAULT_LIFETIME, MAXIMUM_LIFETIME);
  // A fifth early, half a minute at most: a pull that starts on it must still get through its redirects.
  const usableUntil = started + (lifetime - Math.min(30, lifetime / 5)) * 1000;
  return { authorization: `Bearer ${value}`, usableUntil };
}

/**
 * A password is sent to the realm with the Basic scheme; an identity token, marked by its username, is exchanged
 * (Docker's "OAuth2 Token Authentication", `refresh_token`).
 */
function tokenRequest(url: URL, login: Login | null) {
  const headers = new Headers({ Accept: "application/json" });
  if (login?.username !== IDENTITY_TOKEN) {
    if (login) headers.set("Authorization", basic(login));
    return { method: "GET", sent: url, headers, body: null };
  }
  const form = new URLSearchParams(url.searchParams);
  // The form takes one `scope`, its values separated by spaces, where a query repeats it.
  form.set("scope", url.searchParams.getAll("scope").join(" "));
  form.set("grant_type", "refresh_token");
  form.set("client_id", "portolan");
  form.set("refresh_token", login.password);
  return { method: "POST", sent: new URL(url.pathname, url), headers, body: form };
}

/** A token request is redirected only to hosts that may receive the login. */
function forwarding({ endpoint }: TokenScope, trust: Trust): Trust {
  return {
    ...trust,
    maySee: () => true,
    mayLead: (registry, here, next) => trust.mayForward(registry, endpoint, here, next),
  };
}

/**
 * The URL of the token request for a challenge. The scope is always our own: registries send placeholders (ghcr.io's
 * `user/image`), and a challenge must not be able to widen the scope.
 */
function tokenUrl(
  { registry, endpoint, repository, scopes = [`repository:${repository}:pull`] }: TokenScope,
  challenge: Challenge,
  trust: Trust,
): URL {
  const realm = URL.parse(challenge.parameters.realm ?? "", endpoint.href);
  if (!realm || !trust.mayIssue(registry, endpoint, realm)) {
    throw new Untrusted(
      `${registry.name} names ${realm?.host ?? "no host"} as its token realm; ${trust.realmAdvice}`,
    );
  }
  if (challenge.parameters.service !== undefined) {
    realm.searchParams.set("service", challenge.parameters.service);
  }
  realm.searchParams.delete("scope");
  for (const each of scopes) realm.searchParams.append("scope", each);
  return realm;
}
