/** Shared by the tests of bearer tokens. */
import { parseChallenges } from "../../src/oci/challenge.ts";
import type { TokenScope } from "../../src/registry/token-request.ts";
import { Tokens } from "../../src/registry/tokens.ts";
import { createClock, stub, upstreamOf } from "../upstream/support.ts";

export const BEARER = 'Bearer realm="https://auth.test/token",service="registry.test"';

const SCOPE: TokenScope = {
  registry: upstreamOf(),
  endpoint: new URL("https://registry.test"),
  repository: "o/i",
  login: null,
};

/** Tokens from an endpoint that responds to each request with the result of `response`; `requested` holds the requests. */
export function createTokens(
  response: (request: Request, count: number) => Response | Promise<Response> = numberedToken,
) {
  const clock = createClock();
  const background: Promise<unknown>[] = [];
  const { fetch, requested } = stub((request) => response(request, requested.length));
  const tokens = new Tokens({ fetch, now: clock.now });
  const later = (work: Promise<unknown>) => background.push(work);
  return {
    requested,
    clock,
    background,
    /** `refused`: the Authorization that the 401 was for. */
    obtain: (header = BEARER, scope: Partial<TokenScope> = {}, refused: string | null = null) =>
      tokens.obtain({ ...SCOPE, ...scope }, parseChallenges(header), refused, later),
    ready: (scope: Partial<TokenScope> = {}) => tokens.ready({ ...SCOPE, ...scope }, later),
    forget: (refused: string) => tokens.forget(SCOPE, refused),
  };
}

/** The `count`th token, good for five minutes. */
export function numberedToken(_: Request, count: number): Response {
  return Response.json({ token: `t${count}`, expires_in: 300 });
}
