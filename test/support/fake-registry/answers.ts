/** Answers: error bodies and headers as the distribution specification words them. */

/** What an error status says when a test gives no body of its own. */
const CODE_OF_STATUS: Record<number, string> = {
  400: "UNSUPPORTED",
  401: "UNAUTHORIZED",
  403: "DENIED",
  404: "NAME_UNKNOWN",
  405: "UNSUPPORTED",
  429: "TOOMANYREQUESTS",
};

export function ociError(
  status: number,
  code: string,
  message: string,
  headers: Record<string, string> = {},
): Response {
  return new Response(JSON.stringify({ errors: [{ code, message, detail: null }] }), {
    status,
    headers: { "content-type": "application/json", ...headers },
  });
}

export function errorOfStatus(status: number, headers: Record<string, string> = {}): Response {
  return ociError(status, CODE_OF_STATUS[status] ?? "UNKNOWN", `a fault of status ${status}`, headers);
}

/** An error as S3 and the like word it. */
export function storageError(status: number, code: string): Response {
  return new Response(`<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code></Error>`, {
    status,
    headers: { "content-type": "application/xml" },
  });
}

/** The same response with headers set, or removed where the value is null. */
export function withHeaders(response: Response, changes: Record<string, string | null>): Response {
  return withBody(response, response.body, changes);
}

/** The same response with another body. Content-Length stays as it was unless it is among the changes. */
export function withBody(
  response: Response,
  body: ReadableStream<Uint8Array> | Uint8Array<ArrayBuffer> | string | null,
  changes: Record<string, string | null> = {},
  status: number = response.status,
): Response {
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) headers.delete(name);
    else headers.set(name, value);
  }
  return new Response(body, { status, headers });
}
