/** Where something is asked for, and as whom; and so for whom it is. */

import { UpstreamError } from "../registry/failure.ts";
import type { Target } from "../route.ts";
import type { Services } from "../services.ts";
import type { Visibility } from "../store/store.ts";
import type { Upstream } from "../upstream/registries.ts";
import { ANONYMOUS, type Identity } from "../upstream/request.ts";
import type { Pull } from "./response.ts";

/** A repository of an upstream known by name, in a form that crosses to a Durable Object. */
export interface RepositoryAccess {
  upstream: string;
  repository: string;
  identity: Identity;
  /** The Via of the request that it is asked for. */
  via: string;
}

export function accessOf(
  { upstream, repository }: Target,
  { identity, clientInfo: { via } }: Pick<Pull, "identity" | "clientInfo">,
): RepositoryAccess {
  return { upstream: upstream.name, repository, identity, via };
}

/** What is asked for as anybody else than everybody is for them alone. */
export function visibilityOf({ identity }: Pick<RepositoryAccess, "identity">): Visibility {
  return identity.kind === "anonymous" ? "public" : "private";
}

/** The place of what only the visibility is known of: private content that is fetched later is fetched as the operator. */
export function accessForFill(
  visibility: Visibility,
  { upstream, repository, via }: Omit<RepositoryAccess, "identity">,
): RepositoryAccess {
  return { upstream, repository, via, identity: visibility === "public" ? ANONYMOUS : { kind: "operator" } };
}

/** The upstream a place names. It comes from a routed target, so it is configured, unless a deployment just took it out. */
export function upstreamOf(
  services: Services,
  { upstream: name }: Pick<RepositoryAccess, "upstream">,
): Upstream {
  const upstream = services.config.upstream(name);
  if (!upstream) throw new UpstreamError("missing", `${name} is not mirrored here`, 404);
  return upstream;
}
