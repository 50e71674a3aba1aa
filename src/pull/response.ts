/** The parts that every response to a pull is made of. */
import { type CacheStatus, formatCacheStatus } from "../oci/cachestatus.ts";
import { contentHeaders, IMMUTABLE, type ResponseHeaders } from "../oci/content-response.ts";
import type { Digest } from "../oci/digest.ts";
import type { Failure } from "../registry/failure.ts";
import type { PullRequest } from "./request.ts";

/** What headers need to know of a request. */
type HeaderContext = Pick<PullRequest, "target" | "details">;

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
export function staleStatus(failure: Failure): CacheStatus {
  return { servedBy: "stale", forward: "stale", ...forwardStatusOf(failure) };
}

/** The Cache-Status of a tag that other sources agreed on. @param isKnown whether it was confirmed before. */
export function quorumStatus(failure: Failure, isKnown: boolean): CacheStatus {
  return { servedBy: "quorum", forward: isKnown ? "stale" : "uri-miss", ...forwardStatusOf(failure) };
}

function forwardStatusOf({ status }: Failure): Pick<CacheStatus, "forwardStatus"> {
  return status === 0 ? {} : { forwardStatus: status };
}

/** The Warning beside it. @param age in milliseconds. */
export function staleWarning({ message }: Failure, served: string, age: number): string {
  return `299 - "${message}; served is ${served} ${(age / 3_600_000).toFixed(1)} hours ago"`;
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
