/** What each kind of request may cost: test/budget.test.ts measures it, and docs/cost.md says it. */

/** Operations of the platform's services. */
export interface Cost {
  storeReads: number;
  storePuts: number;
  edgeReads: number;
  leases: number;
}

const NOTHING: Cost = { storeReads: 0, storePuts: 0, edgeReads: 0, leases: 0 };

export const BUDGETS = {
  "manifest by tag, first of an isolate": { ...NOTHING, edgeReads: 1, storeReads: 1 },
  "manifest by tag, from memory": NOTHING,
  "manifest by digest, first of an isolate": { ...NOTHING, storeReads: 1 },
  "blob that is stored": { ...NOTHING, storeReads: 1 },
  "blob that isn't": { ...NOTHING, storeReads: 1, storePuts: 1, leases: 1 },
} as const satisfies Record<string, Cost>;

/** A pull by Docker of a stored image with a config and 5 layers: its ping, the tag, the platform's manifest and 6 blobs. */
export const PULL = {
  requests: 9,
  /** Neither manifest is in memory. */
  storeReads:
    2 * BUDGETS["manifest by digest, first of an isolate"].storeReads +
    6 * BUDGETS["blob that is stored"].storeReads,
} as const;
