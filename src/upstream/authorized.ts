/** Asks with the Authorization that a registry wants: the one that is held, or one that its challenge leads to. */
import { parseChallenges } from "../oci/challenge.ts";
import type { Answer } from "./redirects.ts";
import { type Errand, LoginRefused } from "./token-request.ts";
import type { Background, Tokens } from "./tokens.ts";

export interface AuthorizedOptions<Received extends Answer> {
  tokens: Tokens;
  errand: Errand;
  /** Sends the request; null: without an Authorization. */
  ask: (authorization: string | null) => Promise<Received>;
  background: Background;
  /** Waits for a token, perhaps not for ever. */
  wait?: (work: Promise<string | null>) => Promise<string | null>;
}

/**
 * Three rounds at most: with a token that turns out stale, without any to be challenged afresh, with the new one.
 * @returns the last answer, whatever its status, its body unread.
 * @throws UpstreamError where no token is to be had, as `Tokens.obtain` says; LoginRefused; whatever `ask` throws.
 */
export async function askAuthorized<Received extends Answer>({
  tokens,
  errand,
  ask,
  background,
  wait = (work) => work,
}: AuthorizedOptions<Received>): Promise<Received> {
  const { login, upstream } = errand;
  let authorization = await wait(tokens.ready(errand, background));
  for (let isFresh = false; ; ) {
    const response = await ask(authorization);
    if (response.status !== 401) return response;
    if (login && authorization?.startsWith("Basic ")) {
      await response.body?.cancel();
      throw new LoginRefused(upstream, login, 401);
    }
    if (isFresh) return response;
    await response.body?.cancel();
    if (authorization !== null) {
      tokens.forget(errand, authorization);
      authorization = await wait(tokens.ready(errand, background));
      isFresh = authorization !== null;
      continue;
    }
    const challenges = parseChallenges(response.headers.get("WWW-Authenticate") ?? "");
    authorization = await wait(tokens.obtain(errand, challenges, null, background));
    isFresh = true;
  }
}
