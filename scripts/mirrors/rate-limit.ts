/** What a registry says of its limits, in a few words. */
import type { RegistryFailure } from "../registry/failure.ts";
import { span } from "../terminal/format.ts";

/**
 * Reads Docker Hub's `RateLimit-Limit: 100;w=21600` and `RateLimit-Remaining: 97;w=21600`
 * (docs.docker.com, "Pull usage and limits"). Null where the registry reports none.
 */
export function rateLimit(headers: Headers): string | null {
  const [, limit, window] = /^(\d+)(?:;w=(\d+))?/.exec(headers.get("ratelimit-limit") ?? "") ?? [];
  const [left] = /^\d+/.exec(headers.get("ratelimit-remaining") ?? "") ?? [];
  if (limit === undefined) return null;
  const pulls = left === undefined ? `${limit} pulls` : `${left} of ${limit} pulls left`;
  return window === undefined ? pulls : `${pulls} in ${span(Number(window))}`;
}

/** What a failure says in few words: 401, 403 and 429 mean something, any other is shown as it is. */
export function refusal({ status, retryAfter, message }: RegistryFailure): string {
  if (status === 401) return "wants a login";
  if (status === 403) return "refuses this";
  if (status === 404) return "doesn't have the image";
  if (status === 429) return retryAfter === null ? "limits you" : `limits you for ${span(retryAfter)}`;
  return status === 0 ? message : `answers ${status}`;
}
