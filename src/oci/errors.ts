/** Errors as registries tell them: a status, one of the spec's codes, and a sentence that says what to do next. */

/** The codes of the distribution spec ("Error Codes"), and `UNAVAILABLE`, which registries add for 5xx. */
export type ErrorCode =
  | "BLOB_UNKNOWN"
  | "BLOB_UPLOAD_INVALID"
  | "BLOB_UPLOAD_UNKNOWN"
  | "DIGEST_INVALID"
  | "MANIFEST_BLOB_UNKNOWN"
  | "MANIFEST_INVALID"
  | "MANIFEST_UNKNOWN"
  | "NAME_INVALID"
  | "NAME_UNKNOWN"
  | "SIZE_INVALID"
  | "UNAUTHORIZED"
  | "DENIED"
  | "UNSUPPORTED"
  | "TOOMANYREQUESTS"
  | "UNAVAILABLE";

/** Thrown anywhere on the way of a request; becomes the response in `app.ts`. */
export class RegistryError extends Error {
  override readonly name = "RegistryError";
  readonly status: number;
  readonly code: ErrorCode;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, code: ErrorCode, message: string, headers: Record<string, string> = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

/**
 * The error as a response (distribution spec, "Error Codes"). It is never to be stored on the way: what is missing or
 * failing now may be there a moment later. A HEAD response carries the same headers and no body (RFC 9110 §9.3.2).
 */
export function errorResponse(error: RegistryError, method: string): Response {
  const body = JSON.stringify({ errors: [{ code: error.code, message: error.message, detail: null }] });
  return new Response(method === "HEAD" ? null : body, {
    status: error.status,
    headers: { "Content-Type": "application/json", "Cache-Control": "no-store", ...error.headers },
  });
}
