/** Who fills a blob: the leases of fills, as the pull path uses them; `objects/fill-leases.ts` keeps them. */
import type { ContentScope } from "../store/content.ts";

/** Which blob is to be filled, from where, and for whom. */
export interface FillJob extends ContentScope {
  digest: string;
  /** The Via of the request that it is filled for. */
  via: string;
}

/** What a request may do about a blob that isn't stored: fill it, read it because it is stored now, or neither. */
export type Claim = { kind: "leader"; holder: string } | { kind: "stored" } | { kind: "none" };

/** How an attempt to fill ended: it is stored, it can't ever be, or it may another time. */
export type FillOutcome = "stored" | "permanent" | "failed";

/** How a fill in the background stands: it is under way or planned, or its attempts have failed so far. */
export type FillState = "filling" | "failed";

/** The leases of fills. `patience` is in milliseconds; `holder` is the id that a claim gave. */
export interface FillLeases {
  acquire(job: FillJob, patience: number): Promise<Claim>;
  join(job: FillJob, patience: number): Promise<Claim>;
  joinRange(job: FillJob, bytes: number, patience: number): Promise<Claim>;
  /** Has a blob that isn't stored filled in the background, unless a fill is running or another attempt is planned. */
  requestFill(job: FillJob): Promise<FillState>;
  scheduleCheck(job: FillJob, holder: string, delay: number): Promise<void>;
  release(job: FillJob, holder: string): Promise<void>;
}
