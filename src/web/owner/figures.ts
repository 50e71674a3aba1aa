/** What the owner's page shows of traffic: pure. */
import { OWN } from "../../ledger/summary.ts";
import type { TrafficAt } from "../../ledger/traffic.ts";
import type { UseRecord } from "../../ledger/uses.ts";

export interface Bar {
  /** Milliseconds since the epoch. */
  start: number;
  /** Bytes that were served without upstream, and those that came from it. */
  own: number;
  upstream: number;
  requests: number;
}

/**
 * Traffic in bars of equal time.
 * @param since milliseconds since the epoch, as `until`.
 */
export function barsOf(traffic: readonly TrafficAt[], since: number, until: number, count: number): Bar[] {
  const span = (until - since) / count;
  const bars = Array.from({ length: count }, (_, at) => ({
    start: since + at * span,
    own: 0,
    upstream: 0,
    requests: 0,
  }));
  for (const { start, served, bytes, requests } of traffic) {
    // What was added up over a longer span than a bar's stands at its beginning, which may lie before the first bar.
    const bar = bars[Math.min(count - 1, Math.max(0, Math.floor((start - since) / span)))];
    if (!bar) continue;
    bar.requests += requests;
    if (OWN.includes(served)) bar.own += bytes;
    else if (served !== "") bar.upstream += bytes;
  }
  return bars;
}

export interface ErrorGroup {
  upstream: string;
  status: number;
  requests: number;
  /** When the span began in which there was one last; milliseconds since the epoch. */
  last: number;
}

/** Errors by upstream and status, the most first. What clients get wrong by themselves isn't among them. */
export function errorsOf(traffic: readonly TrafficAt[]): ErrorGroup[] {
  const groups = new Map<string, ErrorGroup>();
  for (const { start, upstream, status, requests } of traffic) {
    if (status < 500 && ![401, 403, 404, 429].includes(status)) continue;
    const key = `${upstream} ${status}`;
    const group = groups.get(key) ?? { upstream, status, requests: 0, last: start };
    group.requests += requests;
    group.last = Math.max(group.last, start);
    groups.set(key, group);
  }
  return [...groups.values()].sort((a, b) => b.requests - a.requests).slice(0, 20);
}

/** Repositories by the hours in which something of them was pulled, the most first. */
export function mostPulled(uses: readonly UseRecord[]): { source: string; hours: number; last: number }[] {
  const sources = new Map<string, { source: string; hours: number; last: number }>();
  for (const { source, uses: hours, last } of uses) {
    const known = sources.get(source) ?? { source, hours: 0, last: 0 };
    sources.set(source, { source, hours: Math.max(known.hours, hours), last: Math.max(known.last, last) });
  }
  return [...sources.values()].sort((a, b) => b.hours - a.hours || b.last - a.last).slice(0, 15);
}
