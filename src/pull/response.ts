/** The parts that every response to a pull is made of. */
import { type CacheStatus, formatCacheStatus } from "../oci/cachestatus.ts";
import type { Digest } from "../oci/digest.ts";
import type { Failure } from "../registry/failure.ts";
import type { PullRequest } from "./request.ts";

/** What headers need to know of a request. */
type HeaderContext = Pick<PullRequest, "target" | "details">;

export type ResponseHeaders = Record<string, string>;

/**
 * What every response says: where it came from, and which registry `ns` chose (distribution spec, "OCI-Namespace"). The
 * request log gets the same.
 */
export function commonHeaders({ target, details }: HeaderContext, status: CacheStatus): ResponseHeaders {
  details.servedBy = status.servedBy;
  return {
    "Cache-Status": formatCacheStatus(status),
    ...(target.namespace === null ? {} : { "OCI-Namespace": target.upstream.name }),
  };
}

/** The Cache-Status of what is served although upstream fails. */
export function staleStatus({ status }: Failure): CacheStatus {
  const stale: CacheStatus = { servedBy: "stale", forward: "stale" };
  return status === 0 ? stale : { ...stale, forwardStatus: status };
}

/** The Warning beside it. @param age in milliseconds. */
export function staleWarning({ message }: Failure, served: string, age: number): string {
  return `299 - "${message}; served is ${served} ${(age / 3_600_000).toFixed(1)} hours ago"`;
}

/** What an answer says of content that a digest names: the ETag is the digest, since it can have no better one. */
export function contentHeaders(digest: Digest): ResponseHeaders {
  return { "Docker-Content-Digest": digest, ETag: `"${digest}"` };
}

/** For content asked for by its digest: it never changes, and must not be re-encoded. */
export const IMMUTABLE = "public, max-age=31536000, immutable, no-transform";
/** For what a tag or a listing says: caches must revalidate it. */
export const REVALIDATE = "public, max-age=0, must-revalidate, no-transform";

/** Whether If-None-Match names this content (RFC 9110 §13.1.2), so that the client needs no bytes. */
export function isUnchanged(headers: Headers, digest: Digest): boolean {
  const header = headers.get("If-None-Match");
  if (header === null) return false;
  return header.split(",").some((tag) => ["*", `"${digest}"`, `W/"${digest}"`].includes(tag.trim()));
}

/** What every response for a blob says. */
export function blobHeaders(pull: HeaderContext, digest: Digest, status: CacheStatus): ResponseHeaders {
  return {
    ...commonHeaders(pull, status),
    ...contentHeaders(digest),
    "Accept-Ranges": "bytes",
    "Cache-Control": IMMUTABLE,
    "Content-Type": "application/octet-stream",
    // Ollama requests ranges of the URL that Location names, and takes a response without one for an error.
    ...(pull.target.upstream.name === "registry.ollama.ai" ? { Location: `./${digest}` } : {}),
  };
}

/** @param length null where it isn't known. */
export function whole(
  body: ReadableStream | string | null,
  responseHeaders: ResponseHeaders,
  length: number | null,
): Response {
  const headers =
    length === null ? responseHeaders : { ...responseHeaders, "Content-Length": String(length) };
  return new Response(body, { headers });
}

export function partial(
  body: ReadableStream | null,
  responseHeaders: ResponseHeaders,
  range: string,
  length: number,
): Response {
  const headers = { ...responseHeaders, "Content-Range": range, "Content-Length": String(length) };
  return new Response(body, { status: 206, headers });
}

/** @param range the Content-Range that tells the size, or null where upstream didn't. */
export function unsatisfiable(responseHeaders: ResponseHeaders, range: string | null): Response {
  const headers = { ...responseHeaders, "Cache-Control": "no-store" };
  return new Response(null, {
    status: 416,
    headers: range === null ? headers : { ...headers, "Content-Range": range },
  });
}
