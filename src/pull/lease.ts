/** Who brings a blob in: the lease of its Durable Object, where it has one. */
import type { FillJob } from "../cache/leases.ts";
import { linkKey } from "../cache/store.ts";
import type { Digest } from "../oci/digest.ts";
import type { Mirror } from "./mirror.ts";
import { type Place, sphereOf } from "./place.ts";

/** What a cold pull wants of a lease; see `cache/leases.ts`. */
export interface FillLease {
  acquire(): Promise<boolean>;
  release(): Promise<void>;
  fillApart(): Promise<void>;
  lookAgain(delay: number): Promise<void>;
}

/**
 * What a user pulls with a login of their own is filled by their pull or not at all: an alarm would have to keep the
 * login, and no two users may wait for each other's answers.
 */
const NOBODY_ELSE: FillLease = {
  acquire: async () => true,
  release: async () => {},
  fillApart: async () => {},
  lookAgain: async () => {},
};

export function leaseOf(mirror: Mirror, place: Place, digest: Digest): FillLease {
  if (place.authority.kind === "caller") return NOBODY_ELSE;
  const { upstream, repository } = place;
  const sphere = sphereOf(place);
  const fill = mirror.fills.getByName(sphere === "public" ? digest : linkKey(upstream, repository, digest));
  const job: FillJob = { upstream, repository, digest, sphere };
  return {
    acquire: () => fill.acquire(job),
    release: () => fill.release(),
    fillApart: () => fill.fillApart(job),
    lookAgain: (delay) => fill.lookAgain(delay),
  };
}
