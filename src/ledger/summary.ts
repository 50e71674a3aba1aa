/** Traffic of a time, summed up for people: how much of it the mirror served without its upstreams. */
import type { TrafficAt } from "./traffic.ts";

interface Sum {
  requests: number;
  bytes: number;
}

export interface Summary extends Sum {
  /** Share of the pulled content's responses that needed no content from upstream, 0 to 1; null without any. */
  hitRatio: number | null;
  /** Bytes that were served without upstream. */
  bytesSaved: number;
  errors: number;
  byUpstream: Record<string, Sum>;
  /** By where responses came from. */
  bySource: Record<string, Sum>;
  /** By the start of each span, ISO 8601. */
  series: Record<string, Sum>;
}

/** Where content of this mirror's own comes from. */
export const OWN: readonly string[] = ["memory", "edge", "store", "stale"];

export function summaryOf(traffic: readonly TrafficAt[]): Summary {
  const content = traffic.filter(({ served }) => served !== "");
  const own = content.filter(({ served }) => OWN.includes(served));
  const all = sumOf(content);
  return {
    ...sumOf(traffic),
    hitRatio: all.requests === 0 ? null : sumOf(own).requests / all.requests,
    bytesSaved: sumOf(own).bytes,
    errors: sumOf(traffic.filter(({ status }) => status >= 500)).requests,
    byUpstream: grouped(content, ({ upstream }) => upstream),
    bySource: grouped(content, ({ served }) => served),
    series: grouped(traffic, ({ start }) => new Date(start).toISOString()),
  };
}

function sumOf(traffic: readonly Sum[]): Sum {
  return {
    requests: traffic.reduce((sum, { requests }) => sum + requests, 0),
    bytes: traffic.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}

function grouped(traffic: readonly TrafficAt[], keyOf: (each: TrafficAt) => string): Record<string, Sum> {
  const groups = Map.groupBy(traffic, keyOf);
  return Object.fromEntries([...groups].map(([key, group]) => [key, sumOf(group)]));
}
