/** The identity of upstream requests for a caller; decided before stored content may respond. */
import type { Caller } from "../access/gate.ts";
import { matchesAny } from "../access/patterns.ts";
import { RegistryError } from "../oci/errors.ts";
import { MANIFEST_ACCEPT } from "../oci/mediatypes.ts";
import { isWithinNetwork } from "../registry/addresses.ts";
import { type Failure, failureOf, isTransient } from "../registry/failure.ts";
import type { WaitUntil } from "../registry/wait-until.ts";
import { unlinkContent } from "../store/content.ts";
import type { Upstream } from "../upstream/registries.ts";
import { relaysFor } from "../upstream/relays.ts";
import { ANONYMOUS, type Identity } from "../upstream/request.ts";
import { type ClientInfo, clientError, type Wanted } from "./client-error.ts";
import type { RepositoryAccess } from "./repository-access.ts";
import type { PullServices } from "./services.ts";
import type { Resource, Target } from "./target.ts";

/**
 * Public content is served to every client. Private content is requested with the caller's own login on a host that
 * passes logins through, or with the operator's where PRIVATE opens it to the holders of keys; either way only after
 * upstream has confirmed within the last minutes that this login may pull.
 *
 * @throws RegistryError where it isn't, or where that can't be found out. Only the operator's own login is trusted while
 *   upstream fails: this mirror's keys decide who may have the content that it opens.
 */
export async function identityFor(
  services: Pick<PullServices, "config" | "upstream" | "store" | "tags">,
  caller: Caller,
  { upstream, repository, resource }: Target,
  clientInfo: ClientInfo,
  waitUntil: WaitUntil,
): Promise<Identity> {
  const { isForAnonymous = false } = clientInfo;
  // Nothing within the network is public, though it asks for no login.
  if (isForAnonymous && caller.key && isWithinNetwork(upstream)) throw notPublic(upstream);
  const claimed = isForAnonymous ? ANONYMOUS : claimedIdentity(services, caller, upstream, repository);
  const needsLogin = upstream.login === "required";
  if (needsLogin && !canLogIn(services, claimed, upstream)) throw loginNeeded(upstream);
  if (claimed.kind === "anonymous") return ANONYMOUS;
  const path = pathOf(resource);
  // Some registries response 404 for a manifest whose type the request doesn't accept.
  const accepting = path.startsWith("manifests/") ? { accept: MANIFEST_ACCEPT } : {};
  const upstreamRequest = { upstream, repository, path, via: clientInfo.via, ...accepting };
  if (
    !needsLogin &&
    !isWithinNetwork(upstream) &&
    (await services.upstream.isPublic(upstreamRequest, waitUntil))
  )
    return ANONYMOUS;
  try {
    await services.upstream.authorize({ ...upstreamRequest, identity: claimed }, waitUntil);
  } catch (error) {
    const failure = failureOf(error);
    const isOperator = claimed.kind === "operator";
    if (isOperator && isTransient(failure.kind)) return claimed;
    if (isOperator) await revoke(services, { upstream: upstream.name, repository }, resource, failure);
    throw clientError(failure, wantedOf(resource), clientInfo);
  }
  return claimed;
}

/**
 * Deletes what upstream has just denied to the operator: the requested object, and where the repository itself is denied,
 * all that is stored for it. Otherwise it would be served again as soon as upstream is down. A store that fails can't
 * serve it either.
 */
async function revoke(
  services: Pick<PullServices, "store" | "tags">,
  access: Pick<RepositoryAccess, "upstream" | "repository">,
  resource: Resource,
  { kind }: Failure,
): Promise<void> {
  const reference = resource.kind === "manifest" ? resource.reference : resource;
  try {
    if ("tag" in reference) {
      const name = { ...access, tag: reference.tag, visibility: "private" as const };
      await services.tags.end(name, await services.tags.read(name));
    }
    if (kind === "denied") await unlinkContent(services.store, access, null);
    else if ("digest" in reference) await unlinkContent(services.store, access, reference.digest);
  } catch (error) {
    console.warn(`the stored links of ${access.upstream}/${access.repository} can't be deleted: ${error}`);
  }
}

function claimedIdentity(
  services: Pick<PullServices, "config">,
  { key, login }: Caller,
  upstream: Upstream,
  repository: string,
): Identity {
  if (login !== null) return { kind: "user", authorization: login };
  if (!key) return ANONYMOUS;
  const isPrivate =
    upstream.login === "required" ||
    isWithinNetwork(upstream) ||
    matchesAny(services.config.private, `${upstream.name}/${repository}`);
  return isPrivate ? { kind: "operator" } : ANONYMOUS;
}

function canLogIn({ config }: Pick<PullServices, "config">, { kind }: Identity, upstream: Upstream): boolean {
  const hasLogin = (config.credentials[upstream.name]?.length ?? 0) > 0;
  return kind === "operator" && (hasLogin || relaysFor(config.relays, upstream, kind).length > 0);
}

function notPublic({ name }: Upstream): RegistryError {
  const message = `${name} is within this mirror's network: a relay has it only with private = true`;
  return new RegistryError(403, "DENIED", message);
}

function loginNeeded({ name }: Upstream): RegistryError {
  const message = `${name} gives nothing without a login: the mirror's operator sets UPSTREAM_CREDENTIALS for it, and it is served to holders of access keys`;
  return new RegistryError(403, "DENIED", message);
}

function wantedOf({ kind }: Resource): Wanted {
  return kind === "manifest" || kind === "blob" ? kind : "listing";
}

function pathOf(resource: Resource): string {
  switch (resource.kind) {
    case "manifest":
      return `manifests/${"digest" in resource.reference ? resource.reference.digest : resource.reference.tag}`;
    case "blob":
      return `blobs/${resource.digest}`;
    case "referrers":
      return `manifests/${resource.digest}`;
    case "tags":
      return "tags/list";
  }
}
