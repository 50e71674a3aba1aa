/** What a registry says of its limits, in a few words. */
import { span } from "../terminal/words.ts";

/**
 * Reads Docker Hub's `RateLimit-Limit: 100;w=21600` and `RateLimit-Remaining: 97;w=21600`
 * (docs.docker.com, "Pull usage and limits"). Null where nothing is said.
 */
export function rateLimit(headers: Headers): string | null {
  const limit = /^(\d+)(?:;w=(\d+))?/.exec(headers.get("ratelimit-limit") ?? "");
  const left = /^\d+/.exec(headers.get("ratelimit-remaining") ?? "")?.[0];
  if (limit?.[1] === undefined) return null;
  const within = limit[2] === undefined ? "" : ` in ${span(Number(limit[2]))}`;
  return `${left === undefined ? "" : `${left} of `}${limit[1]}${left === undefined ? "" : " left"}${within}`;
}

/** What a refusal says: 401, 403 and 429 mean something, any other is told as it is. */
export function refusal(status: number, headers: Headers): string {
  if (status === 401) return "wants a login";
  if (status === 403) return "refuses you";
  if (status !== 429) return `answers ${status}`;
  const after = Number(headers.get("retry-after") ?? Number.NaN);
  return Number.isFinite(after) ? `limits you, for ${span(after)}` : "limits you";
}
