/** How a registry can fail, distinguished as far as it changes what the mirror does. */

/**
 * - `missing`: the registry says that there is no such thing.
 * - `denied`: it exists for others, or the registry won't say.
 * - `limited`: too many requests; nothing is wrong with the content.
 * - `unavailable`: down, unreachable, too slow, or responding with something invalid.
 */
export type FailureKind = "missing" | "denied" | "limited" | "unavailable";

/** Whether a later request, or another endpoint, may succeed. */
export function isTransient(kind: FailureKind): boolean {
  return kind === "limited" || kind === "unavailable";
}

/** A failure in a form that can be sent from a Durable Object to the Worker: errors lose their class there. */
export interface Failure {
  kind: FailureKind;
  /** One sentence for the client and the log. Never holds a credential or a signed URL. */
  message: string;
  /** The registry's own status; 0 where there was no response. */
  status: number;
  /** Seconds that the registry asks to wait, or null. */
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

/** The status of a request that loops between mirrors (RFC 5842 §7.2). */
export const LOOP = 508;

/**
 * Statuses that a HEAD may receive though a GET of the same succeeds. Some registries respond to a HEAD of a tag with 403,
 * 404 or 500 where GET works, and storage refuses a HEAD of a URL that is signed for GET.
 */
const OF_HEAD_ALONE = [400, 403, 404, 405, 410, 500, 501];

/** Whether the failure of a HEAD is inconclusive: the GET has to be tried. */
export function mayBeHeadAlone(error: unknown): boolean {
  return error instanceof UpstreamError && OF_HEAD_ALONE.includes(error.failure.status);
}

/** The failure in an UpstreamError; anything else is thrown again. */
export function failureOf(error: unknown): Failure {
  if (error instanceof UpstreamError) return error.failure;
  throw error;
}

/** What an unsuccessful final response means. */
export function failureOfResponse(response: Response, what: string, now: number): UpstreamError {
  const { status } = response;
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
      `upstream limits requests; requested was ${what}`,
      status,
      retryAfter(response, now),
    );
  }
  if (status === LOOP) {
    return new UpstreamError(
      "unavailable",
      `upstream leads back to this mirror; requested was ${what}`,
      status,
    );
  }
  return new UpstreamError(
    "unavailable",
    `upstream answered ${status} for ${what}`,
    status,
    retryAfter(response, now),
  );
}

/** Retry-After in seconds, from either of its forms (RFC 9110 §10.2.3); null where it is absent or invalid. */
function retryAfter(response: Response, now: number): number | null {
  const text = response.headers.get("Retry-After");
  if (text === null) return null;
  // An HTTP date ends in GMT; without this check, Date.parse would read plain numbers as years.
  const date = text.endsWith("GMT") ? Date.parse(text) : Number.NaN;
  const seconds = /^\d+$/.test(text) ? Number(text) : Math.ceil((date - now) / 1000);
  return Number.isSafeInteger(seconds) ? Math.max(0, seconds) : null;
}
