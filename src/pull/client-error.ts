/** The error response when upstream fails and nothing is stored: the one that each client handles best. */
import { type ErrorCode, RegistryError } from "../oci/errors.ts";
import { type Failure, LOOP } from "../registry/failure.ts";

export type Wanted = "manifest" | "blob" | "listing";

/** What of a request tells which client is asking. */
export interface ClientInfo {
  userAgent: string;
  /** The Via that the request came with, "" for none. */
  via: string;
  /** Whether the client sent `ns`, as containerd and BuildKit do when they use a mirror. */
  hasNamespace: boolean;
  /** Whether it is a mirror that requests only what anonymous clients may have, although it has a key (`upstream/relays.ts`). */
  isForAnonymous?: boolean;
  /** The challenge that a login could respond, where the mirror passes logins through. */
  challenge?: string;
}

const UNKNOWN: Record<Wanted, ErrorCode> = {
  manifest: "MANIFEST_UNKNOWN",
  blob: "BLOB_UNKNOWN",
  listing: "NAME_UNKNOWN",
};

/** Seconds to wait, where a limit doesn't say. */
const DEFAULT_WAIT = 60;

/**
 * The error to respond with.
 *
 * Clients differ in what sends them on to the next mirror or the origin: dockerd repeats a blob's 5xx for minutes but
 * goes on at a 4xx at once; containerd repeats a 429 several times before it goes on, podman for half a minute, and both
 * go on at a 503. A client that named the mirror itself has nowhere to go on to, and gets upstream's own status.
 */
export function clientError(failure: Failure, wanted: Wanted, clientInfo: ClientInfo): RegistryError {
  const { kind, message } = failure;
  if (kind === "missing") return new RegistryError(404, UNKNOWN[wanted], message);
  if (kind === "denied") {
    return clientInfo.challenge === undefined
      ? new RegistryError(403, "DENIED", message)
      : new RegistryError(401, "UNAUTHORIZED", message, { "WWW-Authenticate": clientInfo.challenge });
  }
  // A mirror that asks must not take a loop for an outage, and try again.
  const isLoop = failure.status === LOOP && clientInfo.via !== "";
  const status = isLoop ? LOOP : statusFor(kind, wanted, clientInfo);
  const wait = failure.retryAfter ?? (status === 429 ? DEFAULT_WAIT : null);
  const headers = wait === null ? {} : { "Retry-After": String(wait) };
  return new RegistryError(status, kind === "limited" ? "TOOMANYREQUESTS" : "UNAVAILABLE", message, headers);
}

function statusFor(kind: "limited" | "unavailable", wanted: Wanted, clientInfo: ClientInfo): number {
  if (!mayHaveAnotherSource(clientInfo)) return kind === "limited" ? 429 : 503;
  return isDocker(clientInfo) && wanted === "blob" ? 429 : 503;
}

/**
 * Whether the client may be one that goes on to the next mirror or the registry itself after an error. All others named the
 * mirror themselves: what they aren't given here they don't get.
 */
export function mayHaveAnotherSource(clientInfo: ClientInfo): boolean {
  const { userAgent, hasNamespace } = clientInfo;
  return hasNamespace || isDocker(clientInfo) || /^(containers|Buildah|skopeo|cri-o)\//i.test(userAgent);
}

function isDocker({ userAgent, hasNamespace }: ClientInfo): boolean {
  return userAgent.startsWith("docker/") && !hasNamespace;
}
