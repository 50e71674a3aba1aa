/** The way from the pull path to the Durable Objects that serve it, by names of which there are only so many. */
import { type Digest, digestParts } from "../oci/digest.ts";
import type { FillLeases } from "../pull/fill-leases.ts";
import type { Resolver } from "../pull/resolver.ts";

/** A Durable Object namespace, as far as it is used: each name's object answers to the methods that its class implements. */
export interface ObjectsOf<Methods> {
  getByName(name: string): Methods;
}

/**
 * Objects of one class on the platform: few enough that unknown digests and repositories leave none behind for each, and enough
 * that none is the bottleneck. On one machine one is enough, and each more costs a database with several syncs of the disk.
 */
export const OBJECTS_OF_A_CLASS = 256;

/** Each keeps the leases of a share of all digests. */
export function leasesIn(objects: ObjectsOf<FillLeases>, count: number): (digest: Digest) => FillLeases {
  return (digest) => objects.getByName(leasesName(digest, count));
}

/** The name of the object that keeps a digest's leases, of so many. */
export function leasesName(digest: Digest, count: number): string {
  return String(Number.parseInt(digestParts(digest).hex.slice(0, 8), 16) % count);
}

/** Each resolves for a share of all repositories. */
export function resolverIn(
  objects: ObjectsOf<Resolver>,
  count: number,
): (repository: { upstream: string; repository: string }) => Resolver {
  return ({ upstream, repository }) => {
    let hash = 0;
    for (const character of `${upstream}/${repository}`) {
      hash = (hash * 31 + character.charCodeAt(0)) % count;
    }
    return objects.getByName(String(hash));
  };
}
