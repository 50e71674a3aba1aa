/** Which repository upstream is requested, and on whose behalf; with that, for whom the content is. */
import { UpstreamError } from "../registry/failure.ts";
import type { ContentScope } from "../store/content.ts";
import type { Upstream } from "../upstream/registries.ts";
import { ANONYMOUS, type Identity } from "../upstream/request.ts";

/** A repository of an upstream known by name, in a form that crosses to a Durable Object. */
export interface RepositoryAccess extends ContentScope {
  identity: Identity;
  /** The Via of the client's request. */
  via: string;
}

/** What anybody else than an anonymous client is given is for them alone. */
export function accessOf(
  { upstream, repository, via }: Pick<RepositoryAccess, "upstream" | "repository" | "via">,
  identity: Identity,
): RepositoryAccess {
  const visibility = identity.kind === "anonymous" ? "public" : "private";
  return { upstream, repository, visibility, identity, via };
}

/** The access of a fill, of which only the visibility is known: private content is fetched as the operator. */
export function accessForFill(job: Omit<RepositoryAccess, "identity">): RepositoryAccess {
  return accessOf(job, job.visibility === "public" ? ANONYMOUS : { kind: "operator" });
}

/**
 * The upstream of an access. Its name comes from a routed target, so it is configured, unless a deployment just took it out.
 * @throws UpstreamError
 */
export function upstreamOf(
  { config }: { config: { upstream(name: string): Upstream | null } },
  { upstream: name }: Pick<RepositoryAccess, "upstream">,
): Upstream {
  const upstream = config.upstream(name);
  if (!upstream) throw new UpstreamError("missing", `${name} is not mirrored here`, 404);
  return upstream;
}
