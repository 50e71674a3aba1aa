/** Responses of the gateway: the far mirror's failures become errors that clients show. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { ErrorCode } from "../../src/oci/errors.ts";
import { RegistryFailure } from "../registry/failure.ts";
import { drain } from "./body.ts";

/** One request, as the Worker passes it on. */
export interface GatewayRequest {
  request: IncomingMessage;
  response: ServerResponse;
  method: string;
  search: URLSearchParams;
  /** As the gateway's clients name it below `hosted`: `team/app`. */
  repository: string;
  /** Path under which this client finds the repository, for Location and Link: `/v2/hosted/team/app`. */
  path: string;
  /** Whether the client may read everything at the far mirror. */
  readsAll: boolean;
}

/** An error of the gateway's own. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly status: number;
  readonly code: ErrorCode;

  constructor(status: number, code: ErrorCode, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** Responds without a body. */
export function sendEmpty(
  response: ServerResponse,
  status: number,
  headers: Record<string, string> = {},
): void {
  const length = status === 204 ? {} : { "Content-Length": "0" };
  response.writeHead(status, { ...length, ...headers }).end();
}

/**
 * Responds with an error, after the request's body.
 * @param isPush whether it is part of a push.
 */
export async function sendError(
  { request, response, method }: Pick<GatewayRequest, "request" | "response" | "method">,
  error: unknown,
  isPush: boolean,
): Promise<void> {
  if (response.headersSent) {
    // A body can only be cut, so that the client doesn't take it for whole.
    response.destroy();
    return;
  }
  await drain(request, response);
  const { status, code, message, headers } = shown(error, isPush);
  const body = JSON.stringify({ errors: [{ code, message, detail: null }] });
  const type = { "Content-Type": "application/json", "Cache-Control": "no-store" };
  response.writeHead(status, { ...type, ...headers, "Content-Length": String(Buffer.byteLength(body)) });
  response.end(method === "HEAD" ? undefined : body);
}

interface Shown {
  status: number;
  code: string;
  message: string;
  headers?: Record<string, string>;
}

/**
 * Of a push, clients show the message for the code DENIED alone: any other they repeat for a minute, and then print the status.
 * What could pass has been tried again before it got here.
 */
function shown(error: unknown, isPush: boolean): Shown {
  if (error instanceof Refusal) return error;
  if (!(error instanceof RegistryFailure)) {
    console.error(error);
    return { status: 500, code: "UNAVAILABLE", message: "the gateway failed; its log says why" };
  }
  const { status, code, message, retryAfter } = error;
  if (status === 429) {
    const wait = retryAfter === null ? {} : { "Retry-After": String(retryAfter) };
    return { status, code: "TOOMANYREQUESTS", message, headers: wait };
  }
  if (status === 401 || status === 403) return { status: 403, code: "DENIED", message };
  const isUnavailable = status === 0 || status >= 500;
  if (isUnavailable && !isPush) return { status: 503, code: "UNAVAILABLE", message };
  if (isUnavailable || status === 413) return { status: 403, code: "DENIED", message };
  return { status, code: code ?? (status === 404 ? "NAME_UNKNOWN" : "UNSUPPORTED"), message };
}
