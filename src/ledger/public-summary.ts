/** What a mirror says of itself to everyone, where its owner wants that: sums, and no names. */
import { within } from "../registry/within.ts";
import type { HoldingsLedger } from "./cached.ts";
import { recent } from "./recent.ts";
import { summaryOf } from "./summary.ts";
import type { TrafficLedger } from "./traffic.ts";

export interface PublicSummary {
  /** Share of responses that needed no content from upstream, 0 to 1; null without any. */
  hitRatio: number | null;
  /** Bytes that were served without upstream. */
  bytesSaved: number;
  /** Bytes of cached content; null before they were first counted. */
  stored: number | null;
}

export interface PublicSummaryServices {
  readonly ledger: Pick<TrafficLedger, "since"> & Pick<HoldingsLedger, "counted">;
  /** Milliseconds since the epoch. */
  now: () => number;
}

/** Milliseconds that are summed up. */
const SPAN = 30 * 86_400_000;
/** Milliseconds for which a summary is shown: visitors must not cost the ledger anything. */
const SHOWN = 10 * 60_000;
/** Milliseconds that a visitor waits for it. */
const PATIENCE = 2_000;

/** @returns reads the summary; null while it can't be read. */
export function publicSummary(services: PublicSummaryServices): () => Promise<PublicSummary | null> {
  return recent(SHOWN, services.now, async () => {
    try {
      return await within(PATIENCE, read(services));
    } catch (error) {
      console.warn(`the public summary can't be read: ${error}`);
      return null;
    }
  });
}

async function read({ ledger, now }: PublicSummaryServices): Promise<PublicSummary> {
  const [traffic, counted] = await Promise.all([ledger.since(now() - SPAN), ledger.counted()]);
  const { hitRatio, bytesSaved } = summaryOf(traffic);
  const stored = counted.at === null ? null : counted.stored.reduce((sum, { bytes }) => sum + bytes, 0);
  return { hitRatio, bytesSaved, stored };
}
