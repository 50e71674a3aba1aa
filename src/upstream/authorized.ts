/** Asks with the Authorization that a registry wants: the one that is held, or one that its challenge leads to. */
import { parseChallenges } from "../oci/challenge.ts";
import { type Errand, LoginRefused } from "./token-request.ts";
import type { Background, Tokens } from "./tokens.ts";

export interface AuthorizedOptions {
  tokens: Tokens;
  errand: Errand;
  /** Sends the request; null: without an Authorization. */
  ask: (authorization: string | null) => Promise<Response>;
  background: Background;
  /** Waits for a token, perhaps not for ever. */
  wait?: (work: Promise<string | null>) => Promise<string | null>;
  /** Whether it can be sent more than once, as it can't with a body that is read as it goes. */
  isRepeatable?: boolean;
}

/**
 * Three rounds at most: with a token that turns out stale, without any to be challenged afresh, with the new one.
 * @returns the last answer, whatever its status, its body unread.
 * @throws UpstreamError where no token is to be had, as `Tokens.obtain` says; LoginRefused; whatever `ask` throws.
 */
export async function askAuthorized({
  tokens,
  errand,
  ask,
  background,
  wait = (work) => work,
  isRepeatable = true,
}: AuthorizedOptions): Promise<Response> {
  const { login, upstream } = errand;
  let authorization = await wait(tokens.ready(errand, background));
  for (let isFresh = false; ; ) {
    const response = await ask(authorization);
    if (response.status !== 401) return response;
    if (login && authorization?.startsWith("Basic ")) {
      await response.body?.cancel();
      throw new LoginRefused(upstream, login, 401);
    }
    if (isFresh || !isRepeatable) return response;
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
