/** Who brings a blob in: the lease in its Durable Object, where it has one. */
import type { Digest } from "../oci/digest.ts";
import { passesOf } from "../registry/via.ts";
import type { Claim, FillJob } from "./fill-leases.ts";
import type { RepositoryAccess } from "./repository-access.ts";
import type { PullServices } from "./services.ts";

/** What only who fills may do; see `objects/fill-leases.ts`. */
export interface FillLease {
  release(): Promise<void>;
  scheduleCheck(delay: number): Promise<void>;
}

/** What a cold pull may find: that the fill is its own, that another's has ended well, or neither. */
export type Turn = FillLease | "stored" | "none";

export interface FillQueue {
  /** Takes the lease, or waits for who has it. */
  acquire(): Promise<Turn>;
  /** Takes the lease only if it is free. */
  tryAcquire(): Promise<Turn>;
  /** Waits for who has the lease, if anybody does. */
  join(): Promise<Turn>;
  /** The same for a range of so many bytes, for which the whole may be filled in the background. */
  joinRange(bytes: number): Promise<Turn>;
  /** Has the whole filled in the background, unless somebody is already filling it. */
  fillInBackground(): Promise<void>;
}

const UNLEASED: FillLease = { release: async () => {}, scheduleCheck: async () => {} };

/**
 * What a user pulls with a login of their own is filled by their pull or not at all: an alarm would have to keep the
 * login, and no two users may wait for each other's answers.
 */
const ALONE: FillQueue = {
  acquire: async () => UNLEASED,
  tryAcquire: async () => UNLEASED,
  join: async () => "none",
  joinRange: async () => "none",
  fillInBackground: async () => {},
};

/** What a queue is made of. */
export type QueueServices = Pick<PullServices, "fillPatience" | "leasesOf" | "now" | "via">;

/** The queue for one request, which waits no longer than the mirror's patience in all. */
export function fillQueueOf(services: QueueServices, access: RepositoryAccess, digest: Digest): FillQueue {
  if (access.identity.kind === "user") return ALONE;
  const { upstream, repository, via } = access;
  const job: FillJob = { upstream, repository, digest, visibility: access.visibility, via };
  // Through a loop, a request would wait for the fill that waits for it.
  const deadline = services.now() + (passesOf(via, services.via) > 0 ? 0 : services.fillPatience);
  const patience = () => Math.max(0, deadline - services.now());
  const leases = services.leasesOf(digest);
  const turn = async (claim: Promise<Claim>): Promise<Turn> => {
    try {
      const got = await claim;
      if (got.kind !== "leader") return got.kind;
      const { holder } = got;
      return {
        release: () => leases.release(job, holder),
        scheduleCheck: (delay) => leases.scheduleCheck(job, holder, delay),
      };
    } catch (error) {
      // As good as a lease: content addressing forgives doubles.
      console.warn(`a lease can't be had: ${error}`);
      return UNLEASED;
    }
  };
  const tryAcquire = () => turn(leases.acquire(job, 0));
  return {
    acquire: () => turn(leases.acquire(job, patience())),
    tryAcquire,
    join: () => turn(leases.join(job, patience())),
    joinRange: (bytes) => turn(leases.joinRange(job, bytes, patience())),
    fillInBackground: async () => {
      const lease = await tryAcquire();
      if (typeof lease === "object") await lease.scheduleCheck(0);
    },
  };
}
