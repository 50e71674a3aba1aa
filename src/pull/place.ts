/** Where something is asked for, and as whom; and so for whom it is. */
import type { Sphere } from "../cache/store.ts";
import { UpstreamError } from "../registry/failure.ts";
import type { Target } from "../routing/target.ts";
import type { Upstream } from "../upstream/registries.ts";
import { ANONYMOUS, type Identity } from "../upstream/request.ts";
import type { Pull } from "./answer.ts";
import type { Mirror } from "./mirror.ts";

/** A repository of an upstream known by name, in a form that crosses to a Durable Object. */
export interface Place {
  upstream: string;
  repository: string;
  authority: Identity;
  /** The Via of the request that it is asked for. */
  via: string;
}

export function placeOf(
  { upstream, repository }: Target,
  { authority, asker: { via } }: Pick<Pull, "authority" | "asker">,
): Place {
  return { upstream: upstream.name, repository, authority, via };
}

/** What is asked for as anybody else than everybody is for them alone. */
export function sphereOf({ authority }: Pick<Place, "authority">): Sphere {
  return authority.kind === "anonymous" ? "public" : "restricted";
}

/** The place of what only the sphere is known of: restricted content that is fetched later is fetched as the operator. */
export function placeIn(sphere: Sphere, { upstream, repository, via }: Omit<Place, "authority">): Place {
  return { upstream, repository, via, authority: sphere === "public" ? ANONYMOUS : { kind: "operator" } };
}

/** The upstream a place names. It comes from a routed target, so it is configured, unless a deployment just took it out. */
export function upstreamOf(mirror: Mirror, { upstream: name }: Pick<Place, "upstream">): Upstream {
  const upstream = mirror.config.upstream(name);
  if (!upstream) throw new UpstreamError("missing", `${name} is not mirrored here`, 404);
  return upstream;
}
