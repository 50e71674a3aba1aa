/** Responses that carry content, whether it was pulled through or pushed here (distribution-spec; RFC 9110). */
import type { Digest } from "./digest.ts";
import { essence, isManifestType } from "./mediatypes.ts";

export type ResponseHeaders = Record<string, string>;

/** Headers of content that a digest names: the ETag is the digest, since it can have no better one. */
export function contentHeaders(digest: Digest): ResponseHeaders {
  return { "Docker-Content-Digest": digest, ETag: `"${digest}"` };
}

/** For content requested by digest: it never changes, and must not be re-encoded. */
export const IMMUTABLE = "public, max-age=31536000, immutable, no-transform";
/** For tags and listings: caches must revalidate them. */
export const REVALIDATE = "public, max-age=0, must-revalidate, no-transform";

/** Whether If-None-Match names this content (RFC 9110 §13.1.2), so that the client needs no bytes. */
export function isUnchanged(headers: Headers, digest: Digest): boolean {
  const header = headers.get("If-None-Match");
  if (header === null) return false;
  return header.split(",").some((tag) => ["*", `"${digest}"`, `W/"${digest}"`].includes(tag.trim()));
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

/** Types of responses that are no manifests. */
const OTHER_TYPES = ["", "application/json", "application/octet-stream", "multipart/byteranges"];

/** Replaces types that no registry has: a manifest's publisher chooses its type, and a browser would render HTML. */
export function neutralize({ headers }: Response): void {
  const type = essence(headers.get("Content-Type"));
  if (isManifestType(type) || OTHER_TYPES.includes(type)) return;
  headers.set("Content-Type", "application/octet-stream");
}
