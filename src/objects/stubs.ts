/** The way from the pull path to the Durable Objects that serve it, by names of which there are only so many. */
import { type Digest, digestParts } from "../oci/digest.ts";
import type { FillLeases } from "../pull/fill-leases.ts";
import type { Resolver } from "../pull/resolver.ts";

/** A Durable Object namespace, as far as it is used: each name's object answers to the methods that its class implements. */
export interface ObjectsOf<Methods> {
  getByName(name: string): Methods;
}

/** Each keeps the leases of a 256th of all digests, so that no unknown digest leaves an object behind. */
export function leasesIn(objects: ObjectsOf<FillLeases>): (digest: Digest) => FillLeases {
  return (digest) => objects.getByName(leasesName(digest));
}

/** The name of the object that keeps a digest's leases. */
export function leasesName(digest: Digest): string {
  return digestParts(digest).hex.slice(0, 2);
}

/** Each resolves for a 256th of all repositories, so that no unknown repository leaves an object behind. */
export function resolverIn(
  objects: ObjectsOf<Resolver>,
): (repository: { upstream: string; repository: string }) => Resolver {
  return ({ upstream, repository }) => {
    let hash = 0;
    for (const character of `${upstream}/${repository}`) {
      hash = (hash * 31 + character.charCodeAt(0)) % 256;
    }
    return objects.getByName(String(hash));
  };
}
