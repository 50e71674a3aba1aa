/** Login pass-through: on an upstream's own host, users log in to the upstream itself. */
import type { Gate } from "../access/gate.ts";
import { challengeOf, type RequestCredentials } from "../access/gate.ts";
import type { Limits } from "../access/limits.ts";
import { readTokenRequest, refused, tokenAnswer } from "../access/token-endpoint.ts";
import { formatChallenge } from "../oci/challenge.ts";
import { RegistryError } from "../oci/errors.ts";
import { isRepository } from "../oci/names.ts";
import { failureOf } from "../registry/failure.ts";
import type { Credential } from "../registry/registry.ts";
import type { UpstreamClient } from "../upstream/client.ts";
import { repositoryOn, type Upstream } from "../upstream/registries.ts";
import { type ClientInfo, clientError } from "./client-error.ts";

/** What passing logins through needs of the rest. */
export interface LoginServices {
  gate: Pick<Gate, "isOwn" | "rejectKeysIn">;
  limits: Limits;
  upstream: UpstreamClient;
  now: () => number;
}

/**
 * The challenge by which clients learn how to log in: of the upstream's own kind, since what they send is passed on.
 * While upstream can't be requested it is taken to give tokens, as most do.
 * @returns null where upstream takes no logins.
 */
export async function loginChallenge(
  services: LoginServices,
  upstream: Upstream,
  requestCredentials: RequestCredentials,
): Promise<string | null> {
  const scheme = await services.upstream.logins
    .schemeOf(upstream, requestCredentials.headers.get("Via") ?? "")
    .catch((error: unknown) => {
      failureOf(error);
      return "bearer" as const;
    });
  if (scheme === "none") return null;
  return scheme === "bearer"
    ? challengeOf(requestCredentials)
    : formatChallenge("Basic", { realm: requestCredentials.host });
}

/**
 * Answers `/v2/` as upstream does, so that a login is known to be right or wrong before anything is pulled.
 * @throws RegistryError 401 with the challenge.
 */
export async function checkLogin(
  services: LoginServices,
  upstream: Upstream,
  login: string | null,
  challenge: string | null,
  clientInfo: ClientInfo,
): Promise<void> {
  if (challenge === null) return;
  if (login !== null && (await isRight(services, upstream, login, clientInfo))) return;
  const message = `log in with your account at ${upstream.name}`;
  throw new RegistryError(401, "UNAUTHORIZED", message, { "WWW-Authenticate": challenge });
}

/**
 * Answers a token request with upstream's own token. The user's login is passed on and not kept.
 * @throws RegistryError 401 for a login that upstream refuses.
 */
export async function passThroughToken(
  services: LoginServices,
  upstream: Upstream,
  request: Request,
): Promise<Response> {
  const { login, refreshToken, repositories } = await readTokenRequest(request);
  // Upstream's refresh tokens are never requested, so this can't be one.
  if (refreshToken !== null) throw refused();
  // A key of this mirror's in the wrong place is none of upstream's business.
  if (login && (await services.gate.isOwn([login.username, login.password]))) throw refused();
  await services.gate.rejectKeysIn(repositories.join(" "));
  const names = repositories.map((name) => repositoryOn(upstream, name)).filter(isRepository);
  const { headers } = request;
  const clientInfo: ClientInfo = {
    userAgent: headers.get("User-Agent") ?? "",
    via: headers.get("Via") ?? "",
    hasNamespace: false,
  };
  const relay = () => tokenFor(services, upstream, names, login, clientInfo);
  return login ? services.limits.passThroughLogin(upstream.name, login.username, relay) : relay();
}

async function tokenFor(
  services: LoginServices,
  upstream: Upstream,
  names: readonly string[],
  login: Credential | null,
  clientInfo: ClientInfo,
): Promise<Response> {
  try {
    const { authorization, usableUntil } = await services.upstream.logins.token(
      upstream,
      names,
      login,
      clientInfo.via,
    );
    const left = Math.floor((usableUntil - services.now()) / 1000);
    return tokenAnswer(authorization.slice("Bearer ".length), left, null);
  } catch (error) {
    const failure = failureOf(error);
    throw failure.kind === "denied" ? refused() : clientError(failure, "listing", clientInfo);
  }
}

async function isRight(
  services: LoginServices,
  upstream: Upstream,
  login: string,
  clientInfo: ClientInfo,
): Promise<boolean> {
  try {
    return await services.upstream.logins.isAccepted(upstream, login, clientInfo.via);
  } catch (error) {
    throw clientError(failureOf(error), "listing", clientInfo);
  }
}
