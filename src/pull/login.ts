/** Login pass-through: on an upstream's own host, users log in to the upstream itself. */
import { challengeOf, type Visit } from "../access/gate.ts";
import { readTokenRequest, refused, tokenAnswer } from "../access/token-endpoint.ts";
import { RegistryError } from "../errors.ts";
import { formatChallenge } from "../oci/challenge.ts";
import { isRepository } from "../oci/names.ts";
import { failureOf } from "../registry/failure.ts";
import type { Credential } from "../registry/registry.ts";
import { repositoryOn } from "../routing/target.ts";
import type { Upstream } from "../upstream/registries.ts";
import type { Mirror } from "./mirror.ts";
import { type Asker, refusal } from "./refusal.ts";

/**
 * The challenge by which clients learn how to log in: of the upstream's own kind, since what they send is passed on.
 * While upstream can't be asked it is taken to give tokens, as most do.
 * @returns null where upstream takes no logins.
 */
export async function loginChallenge(
  mirror: Mirror,
  upstream: Upstream,
  visit: Visit,
): Promise<string | null> {
  const scheme = await mirror.upstream.logins
    .schemeOf(upstream, visit.headers.get("Via") ?? "")
    .catch((error: unknown) => {
      failureOf(error);
      return "bearer" as const;
    });
  if (scheme === "none") return null;
  return scheme === "bearer" ? challengeOf(visit) : formatChallenge("Basic", { realm: visit.host });
}

/**
 * Answers `/v2/` as upstream does, so that a login is known to be right or wrong before anything is pulled.
 * @throws RegistryError 401 with the challenge.
 */
export async function checkLogin(
  mirror: Mirror,
  upstream: Upstream,
  login: string | null,
  challenge: string | null,
  asker: Asker,
): Promise<void> {
  if (challenge === null) return;
  if (login !== null && (await isRight(mirror, upstream, login, asker))) return;
  const message = `log in with your account at ${upstream.name}`;
  throw new RegistryError(401, "UNAUTHORIZED", message, { "WWW-Authenticate": challenge });
}

/**
 * Answers a token request with upstream's own token. What it is asked for as is the user's login, and nobody keeps it.
 * @throws RegistryError 401 for a login that upstream refuses.
 */
export async function relayToken(mirror: Mirror, upstream: Upstream, request: Request): Promise<Response> {
  const { login, refreshToken, repositories } = await readTokenRequest(request);
  // Upstream's refresh tokens are never asked for, so this can't be one.
  if (refreshToken !== null) throw refused();
  // A key of this mirror's in the wrong place is none of upstream's business.
  if (login && (await mirror.gate.isOwn([login.username, login.password]))) throw refused();
  await mirror.gate.rejectKeysIn(repositories.join(" "));
  const names = repositories.map((name) => repositoryOn(upstream, name)).filter(isRepository);
  const { headers } = request;
  const asker: Asker = {
    userAgent: headers.get("User-Agent") ?? "",
    via: headers.get("Via") ?? "",
    hasNamespace: false,
  };
  const relay = () => tokenFor(mirror, upstream, names, login, asker);
  return login ? mirror.limits.relayLogin(upstream.name, login.username, relay) : relay();
}

async function tokenFor(
  mirror: Mirror,
  upstream: Upstream,
  names: readonly string[],
  login: Credential | null,
  asker: Asker,
): Promise<Response> {
  try {
    const { authorization, usableUntil } = await mirror.upstream.logins.token(
      upstream,
      names,
      login,
      asker.via,
    );
    const left = Math.floor((usableUntil - mirror.now()) / 1000);
    return tokenAnswer(authorization.slice("Bearer ".length), left, null);
  } catch (error) {
    const failure = failureOf(error);
    throw failure.kind === "denied" ? refused() : refusal(failure, "listing", asker);
  }
}

async function isRight(mirror: Mirror, upstream: Upstream, login: string, asker: Asker): Promise<boolean> {
  try {
    return await mirror.upstream.logins.isAccepted(upstream, login, asker.via);
  } catch (error) {
    throw refusal(failureOf(error), "listing", asker);
  }
}
