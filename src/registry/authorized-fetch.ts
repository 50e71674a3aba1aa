/** A transport that sends the Authorization a registry asks for: a cached token, or one obtained for its challenge. */
import { parseChallenges } from "../oci/challenge.ts";
import { UpstreamError } from "./failure.ts";
import type { ResponseHead } from "./redirects.ts";
import { LoginRefused, type TokenScope } from "./token-request.ts";
import type { Tokens } from "./tokens.ts";
import type { WaitUntil } from "./wait-until.ts";

/** Sends a request with an Authorization, or without one where it is null. */
export type Transport<Request, Received> = (
  request: Request,
  authorization: string | null,
) => Promise<Received>;

export interface Authorization {
  scope: TokenScope;
  waitUntil: WaitUntil;
  /** Ends the wait for a token; other requests that wait for the same token still get it. */
  signal?: AbortSignal;
}

/**
 * Makes three attempts at most: with a token that turns out to be stale, without one to receive a new challenge, with
 * the new token.
 * @returns a function that resolves to the last response, whatever its status, its body unread. It throws UpstreamError
 *   where no token can be obtained, as `Tokens.obtain` does; LoginRefused; whatever the transport throws.
 */
export function authorizedFetch<Request, Received extends ResponseHead>(
  transport: Transport<Request, Received>,
  tokens: Tokens,
) {
  return async (request: Request, { scope, waitUntil, signal }: Authorization): Promise<Received> => {
    const { login, registry, endpoint } = scope;
    let authorization = await before(signal, tokens.ready(scope, waitUntil), endpoint);
    for (let isNew = false; ; ) {
      const response = await transport(request, authorization);
      if (response.status !== 401) return response;
      if (login && authorization?.startsWith("Basic ")) {
        await response.body?.cancel();
        throw new LoginRefused(registry, login, 401);
      }
      if (isNew) return response;
      await response.body?.cancel();
      if (authorization !== null) {
        tokens.forget(scope, authorization);
        authorization = await before(signal, tokens.ready(scope, waitUntil), endpoint);
        isNew = authorization !== null;
        continue;
      }
      const challenges = parseChallenges(response.headers.get("WWW-Authenticate") ?? "");
      authorization = await before(signal, tokens.obtain(scope, challenges, null, waitUntil), endpoint);
      isNew = true;
    }
  };
}

/** Waits for a token no longer than the request may take. */
async function before<Result>(
  signal: AbortSignal | undefined,
  work: Promise<Result>,
  endpoint: URL,
): Promise<Result> {
  if (!signal) return work;
  if (signal.aborted) {
    // No one awaits it any more, and it may fail.
    work.catch(() => {});
    throw tooSlow(endpoint);
  }
  let stop = () => {};
  const overdue = new Promise<never>((_, reject) => {
    stop = () => reject(tooSlow(endpoint));
    signal.addEventListener("abort", stop);
  });
  return Promise.race([work, overdue]).finally(() => signal.removeEventListener("abort", stop));
}

/** A host didn't respond within the time that a request may take. */
export function tooSlow({ host }: URL): UpstreamError {
  return new UpstreamError("unavailable", `${host} doesn't respond`);
}
