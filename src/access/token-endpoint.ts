/**
 * Where clients get tokens: by GET with Basic credentials, or by POST with a form as OAuth 2 has it.
 * Source: distribution-spec, "Token Authentication" and "OAuth 2.0 token endpoint"; RFC 6749 §4.3, §6.
 */
import { RegistryError } from "../oci/errors.ts";
import { MAXIMUM_FORM } from "./bounds.ts";
import { readAuthorization } from "./credentials.ts";
import { type Gate, NEEDS_KEY } from "./gate.ts";
import { LIFETIME } from "./tokens.ts";

/** What a token request says. */
export interface TokenRequest {
  /** As given; null for an anonymous one. */
  login: { username: string; password: string } | null;
  /** A token of ours for getting tokens with. */
  refreshToken: string | null;
  /** Whether a refresh token is wanted too. */
  isOffline: boolean;
  /** The repositories that are requested. */
  repositories: readonly string[];
}

/** @throws RegistryError 400, 405 or 413 for what is no token request. */
export async function readTokenRequest(request: Request): Promise<TokenRequest> {
  const url = new URL(request.url);
  if (request.method === "GET") {
    const shown = readAuthorization(request.headers.get("Authorization"));
    return {
      login: shown?.scheme === "basic" ? shown : null,
      refreshToken: null,
      isOffline: url.searchParams.get("offline_token") === "true",
      repositories: repositoriesIn(url.searchParams.getAll("scope")),
    };
  }
  if (request.method !== "POST") {
    throw new RegistryError(405, "UNSUPPORTED", "tokens are given for GET and POST", { Allow: "GET, POST" });
  }
  const form = await readForm(request);
  const grant = form.get("grant_type");
  if (grant !== "password" && grant !== "refresh_token") {
    throw new RegistryError(400, "UNSUPPORTED", "grant_type must be password or refresh_token");
  }
  const [username, password] = [form.get("username") ?? "", form.get("password") ?? ""];
  return {
    login: grant === "password" && username + password !== "" ? { username, password } : null,
    refreshToken: grant === "refresh_token" ? form.get("refresh_token") : null,
    isOffline: form.get("access_type") === "offline",
    repositories: repositoriesIn(form.getAll("scope")),
  };
}

/**
 * Answers with a token for an access key, which is the password, or was when the refresh token was given. Scopes are
 * read but don't narrow the token: what it opens is decided at each request by its key.
 * @param host the mirror's own, for which the token is good.
 * @param isPublic whether a repository of a scope needs no key. Clients that were challenged at `/v2/` request a token for it
 *   all the same.
 * @throws RegistryError 401 for a key that isn't valid, and, with what to do, where none was shown.
 */
export async function answerWithToken(
  gate: Gate,
  request: Request,
  host: string,
  isPublic: (repository: string) => boolean,
): Promise<Response> {
  await gate.requireKeys();
  const { login, refreshToken, isOffline, repositories } = await readTokenRequest(request);
  if (login === null && refreshToken === null && repositories.length > 0 && repositories.every(isPublic)) {
    return tokenAnswer(ANONYMOUS_TOKEN, LIFETIME.pull, null);
  }
  const key =
    refreshToken === null
      ? login && (await gate.find(login.password))
      : await gate.tokens.keyOf(refreshToken, host, "refresh");
  if (!key) throw login === null && refreshToken === null ? needsKey() : refused();
  const renewal =
    isOffline && refreshToken === null ? (await gate.tokens.issue(key, host, "refresh")).token : refreshToken;
  const { token, expiresIn } = await gate.tokens.issue(key, host, "pull");
  return tokenAnswer(token, expiresIn, renewal);
}

/** Stands for no key: what it is good for needs none. */
const ANONYMOUS_TOKEN = "anonymous";

/** Clients read `token` or `access_token`, and take 60 seconds to be the least that `expires_in` can say. */
export function tokenAnswer(token: string, expiresIn: number, refreshToken: string | null): Response {
  const times = { expires_in: Math.max(60, expiresIn), issued_at: new Date().toISOString() };
  const response = { token, access_token: token, ...times };
  const body = refreshToken === null ? response : { ...response, refresh_token: refreshToken };
  return Response.json(body, { headers: { "Cache-Control": "no-store" } });
}

function needsKey(): RegistryError {
  return new RegistryError(401, "UNAUTHORIZED", NEEDS_KEY);
}

export function refused(): RegistryError {
  return new RegistryError(401, "UNAUTHORIZED", "this key or login isn't valid here");
}

/** A scope parameter may hold several, divided by spaces, and there may be several parameters. */
function repositoriesIn(scopes: readonly string[]): string[] {
  return scopes
    .flatMap((scope) => scope.split(" "))
    .map((scope) => /^repository(?:\([^)]*\))?:(.+):[a-z*,]*$/.exec(scope)?.[1])
    .filter((name) => name !== undefined);
}

async function readForm(request: Request): Promise<URLSearchParams> {
  const declared = Number(request.headers.get("Content-Length") ?? 0);
  const tooLarge = new RegistryError(
    413,
    "SIZE_INVALID",
    `a token request has ${MAXIMUM_FORM} bytes at most`,
  );
  if (declared > MAXIMUM_FORM) throw tooLarge;
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body ?? []) {
    size += chunk.byteLength;
    if (size > MAXIMUM_FORM) throw tooLarge;
    chunks.push(chunk);
  }
  return new URLSearchParams(await new Blob(chunks).text());
}
