/** What can be requested of an upstream. */
import type { WaitUntil } from "../registry/wait-until.ts";
import type { Endpoint } from "./endpoints.ts";
import type { Upstream } from "./registries.ts";
import type { Relay } from "./relays.ts";

/**
 * On whose behalf upstream is requested.
 * - `anonymous`: what anyone may have; the operator's credential is used only where an anonymous client gets the same.
 * - `operator`: with the operator's credential, also for what it alone opens.
 * - `user`: with the Authorization of a client's own login.
 */
export type Identity = { kind: "anonymous" } | { kind: "operator" } | { kind: "user"; authorization: string };

export const ANONYMOUS: Identity = { kind: "anonymous" };

export interface UpstreamRequest {
  upstream: Upstream;
  repository: string;
  method: "GET" | "HEAD";
  /** Below the repository: `manifests/latest`, `blobs/sha256:…`. */
  path: string;
  search?: URLSearchParams;
  accept?: string;
  range?: string;
  /** Whether the body is wanted as it was sent: the runtime decodes what is labelled as encoded, and the label may be wrong. */
  isRaw?: boolean;
  /** The Via of the client request that this is for; "" where it is left out. */
  via?: string;
  /** ANONYMOUS where it is left out. */
  identity?: Identity;
  /** Whether the sources of the upstream's quorum are tried before its own endpoints, which have just failed. */
  sourcesFirst?: boolean;
  /**
   * Responses that broke off and are to be continued, the last one last. Its endpoint is tried after the others; and each of
   * their endpoints is sent the ETag it gave, so that it doesn't send a part of something else (RFC 9110 §13.1.5).
   */
  continues?: readonly Response[];
}

/** An upstream request to one endpoint, which has to respond before the signal fires. */
export interface EndpointRequest extends UpstreamRequest {
  endpoint: Endpoint;
  /** Whose endpoint it is; null for the upstream's own. */
  relay: Relay | null;
  ifRange?: string;
  /** Whether a redirect to another host counts as a failure, because the response has to be this host's own. */
  staysOnHost?: boolean;
  signal: AbortSignal;
  waitUntil: WaitUntil;
}

/** Whether any endpoint may respond: the digest verifies the content, and the content is public. */
export function isForAnyEndpoint(request: UpstreamRequest): boolean {
  return (request.identity ?? ANONYMOUS).kind === "anonymous" && isByDigest(request);
}

export function isToPrimary({ upstream, endpoint }: Pick<EndpointRequest, "upstream" | "endpoint">): boolean {
  return endpoint.url.href === upstream.endpoints[0]?.href;
}

/** Whether a manifest or a blob is requested: only these tell who may pull. */
export function isContent({ path }: Pick<UpstreamRequest, "path">): boolean {
  return /^(manifests|blobs)\//.test(path);
}

/** Whether content is requested by digest, which never names anything else. */
export function isByDigest({ path }: Pick<UpstreamRequest, "path">): boolean {
  return /^(manifests|blobs)\/[a-z0-9]+:/.test(path);
}
