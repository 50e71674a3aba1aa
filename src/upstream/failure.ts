/** How an upstream can fail, told apart as far as it changes what the mirror does. */

/**
 * - `missing`: upstream answered that there is no such thing.
 * - `denied`: it exists for others, or upstream won't say.
 * - `limited`: too many requests; nothing is wrong with the content.
 * - `unavailable`: down, unreachable, slow beyond bearing, or answering nonsense.
 */
export type FailureKind = "missing" | "denied" | "limited" | "unavailable";

/** Whether another time, or another endpoint, may have a better answer. */
export function isPassing(kind: FailureKind): boolean {
  return kind === "limited" || kind === "unavailable";
}

/** A failure in a form that crosses from a Durable Object to the Worker: errors lose their class on that way. */
export interface Failure {
  kind: FailureKind;
  /** One sentence for the client and the log. Never holds a credential or a signed URL. */
  message: string;
  /** Upstream's own status; 0 where there was no answer. */
  status: number;
  /** Seconds upstream asked to wait, or null. */
  retryAfter: number | null;
}

export class UpstreamError extends Error {
  override readonly name = "UpstreamError";
  readonly failure: Failure;

  constructor(kind: FailureKind, message: string, status = 0, retryAfter: number | null = null) {
    super(message);
    this.failure = { kind, message, status, retryAfter };
  }
}

/** What a mirror says to a request that goes round in circles (RFC 5842 §7.2). */
export const LOOP = 508;

/**
 * Statuses of a HEAD that a GET of the same may not get. Some registries answer a HEAD of a tag 403, 404 or 500 where GET
 * works, and storage refuses a HEAD of a URL that is signed for GET.
 */
const OF_HEAD_ALONE = [400, 403, 404, 405, 410, 500, 501];

/** Whether a HEAD that failed so says nothing yet of what was asked for: the GET has to be tried. */
export function mayBeHeadAlone(error: unknown): boolean {
  return error instanceof UpstreamError && OF_HEAD_ALONE.includes(error.failure.status);
}

/** The failure behind anything that was thrown on the way to upstream; what isn't ours is thrown on. */
export function failureOf(error: unknown): Failure {
  if (error instanceof UpstreamError) return error.failure;
  throw error;
}

/** What a final, unhappy answer of upstream means. */
export function failureOfResponse(response: Response, what: string, now: number): UpstreamError {
  const { status } = response;
  const said = `upstream answered ${status} for ${what}`;
  if (status === 404) return new UpstreamError("missing", `upstream has no ${what}`, status);
  if (status === 401 || status === 403) {
    return new UpstreamError(
      "denied",
      `upstream denies anonymous access to ${what}, or it does not exist`,
      status,
    );
  }
  if (status === 429) {
    return new UpstreamError(
      "limited",
      `upstream limits requests; asked for ${what}`,
      status,
      retryAfter(response, now),
    );
  }
  if (status === LOOP) {
    return new UpstreamError("unavailable", `upstream leads back to this mirror; asked for ${what}`, status);
  }
  return new UpstreamError("unavailable", said, status, retryAfter(response, now));
}

/** Retry-After in seconds, from either of its forms (RFC 9110 §10.2.3); null where it is absent or nonsense. */
function retryAfter(response: Response, now: number): number | null {
  const text = response.headers.get("Retry-After");
  if (text === null) return null;
  // An HTTP date ends in GMT; without asking for that, Date.parse would make years of numbers.
  const date = text.endsWith("GMT") ? Date.parse(text) : Number.NaN;
  const seconds = /^\d+$/.test(text) ? Number(text) : Math.ceil((date - now) / 1000);
  return Number.isSafeInteger(seconds) ? Math.max(0, seconds) : null;
}
