/** What is counted of upstream requests, whatever becomes of the counts. */
import type { WaitUntil } from "../registry/wait-until.ts";

/**
 * How one request to an endpoint ended. `unauthorized` is a 401, which is how a registry also names its token endpoint before
 * it is given a token; `unreachable` is no response at all, `cancelled` one that was no longer needed.
 */
export type RequestOutcome =
  | "ok"
  | "unauthorized"
  | "denied"
  | "missing"
  | "limited"
  | "failed"
  | "unreachable"
  | "cancelled";

export interface UpstreamObserver {
  /** A request to an endpoint itself has ended; neither a token's nor that of storage behind a redirect. */
  requested(
    request: { upstream: string; endpoint: string; outcome: RequestOutcome },
    waitUntil: WaitUntil,
  ): void;
  /**
   * The primary endpoint has said how many pulls are left in its limit's window.
   * @param login `anonymous`, or the place of the operator's login in its list: `#1`.
   */
  pullsRemaining(remaining: { upstream: string; login: string; pulls: number }, waitUntil: WaitUntil): void;
}

export const UNOBSERVED: UpstreamObserver = { requested: () => {}, pullsRemaining: () => {} };

export function outcomeOf(status: number): RequestOutcome {
  if (status < 400 || status === 416) return "ok";
  switch (status) {
    case 401:
      return "unauthorized";
    case 403:
      return "denied";
    case 404:
      return "missing";
    case 429:
      return "limited";
    default:
      return "failed";
  }
}

/** Pulls left by `ratelimit-remaining: 76;w=21600`; null where a response doesn't say. */
export function pullsRemainingIn(headers: Headers): number | null {
  const remaining = /^\d+/.exec(headers.get("ratelimit-remaining") ?? "")?.[0];
  return remaining === undefined ? null : Number(remaining);
}
