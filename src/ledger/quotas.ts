/** The platform's daily quotas on its Free plan, as far as the mirror itself can count what it uses of them. */
import { RegistryError } from "../oci/errors.ts";

/** What is counted. A delete counts as a write of KV, and is free in R2. */
export type Operation = "requests" | "objectRequests" | "kvReads" | "kvWrites" | "r2ClassA" | "r2ClassB";

/** A day's share; R2 counts by the month. */
export const FREE_PLAN: Readonly<Record<Operation, number>> = {
  requests: 100_000,
  objectRequests: 100_000,
  kvReads: 100_000,
  kvWrites: 1_000,
  r2ClassA: Math.floor(1_000_000 / 31),
  r2ClassB: Math.floor(10_000_000 / 31),
};

/** The share of a quota from which on only pulls and pushes use it. */
const TIGHT = 0.9;
const DAY = 86_400_000;

export type Usage = Readonly<Record<Operation, number>>;

/** The ledger's object. */
export interface UsageLedger {
  /** What was used on the day of a time (UTC). @param at milliseconds since the epoch. */
  usage(at: number): Promise<Usage>;
}

/** The quotas of which so much is used that what is optional stops until the day is over (UTC). */
export function tightQuotas(usage: Usage): Operation[] {
  return (Object.keys(FREE_PLAN) as Operation[]).filter((each) => usage[each] >= FREE_PLAN[each] * TIGHT);
}

export interface QuotaServices {
  /** Whether the Free plan's quotas apply. */
  hasQuotas: boolean;
  readonly ledger: UsageLedger;
  /** Milliseconds since the epoch. */
  now: () => number;
}

/** How many of some operations optional work may still use today. @throws if the ledger can't be read. */
export async function roomFor(
  { hasQuotas, ledger, now }: QuotaServices,
  operation: Operation,
): Promise<number> {
  if (!hasQuotas) return Number.POSITIVE_INFINITY;
  const usage = await ledger.usage(now());
  return Math.max(0, Math.floor(FREE_PLAN[operation] * TIGHT) - usage[operation]);
}

/** Makes sure that there is room for optional work. A ledger that fails stops none. @throws RegistryError 429 */
export async function requireRoom({ hasQuotas, ledger, now }: QuotaServices): Promise<void> {
  if (!hasQuotas) return;
  const at = now();
  const usage = await ledger.usage(at).catch((error) => {
    console.warn(`the ledger can't be read: ${error}`);
    return null;
  });
  const tight = usage && tightQuotas(usage);
  if (!tight?.length) return;
  const message = `more than ${TIGHT * 100}% of today's free ${tight.join(", ")} are used, and the rest is kept for pulls`;
  const wait = Math.ceil((DAY - (at % DAY)) / 1000);
  throw new RegistryError(429, "TOOMANYREQUESTS", message, { "Retry-After": String(wait) });
}
