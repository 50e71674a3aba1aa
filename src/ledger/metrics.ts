/** Metrics in Prometheus' text format. No repository and no key is a label: there may be any number of them. */
import { LONGEST_LIMIT } from "../upstream/limits.ts";
import type { Activity } from "./activity.ts";
import type { Counted } from "./cached.ts";
import type { Forwarded } from "./forwarded.ts";
import type { HostedCount } from "./hosted.ts";
import type { Traffic } from "./traffic.ts";

/** Milliseconds after which what an upstream said of a limit says nothing any more. */
const LIMIT_WINDOW = LONGEST_LIMIT * 1000;

interface Metric {
  name: string;
  help: string;
  type: "counter" | "gauge";
  samples: readonly { labels: Readonly<Record<string, string>>; value: number }[];
}

/** What the ledger has recorded. */
export interface Recorded {
  traffic: readonly Traffic[];
  activity: Activity;
  counted: Counted;
}

/** Null is what couldn't be read. */
export interface Measured {
  recorded: Recorded | null;
  hosted: HostedCount | null;
  /** Of a gateway. */
  forwarded: Forwarded | null;
  /** CACHE_LIMIT, in bytes. */
  limit: number;
  endpoints: readonly { url: string; downFor: number; limitedFor: number }[];
  deployment: string;
  /** Milliseconds since the epoch. */
  now: number;
}

/** The media type of the format. */
export const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

export function metricsText({
  recorded,
  hosted,
  forwarded,
  limit,
  endpoints,
  deployment,
  now,
}: Measured): string {
  const metrics: Metric[] = [
    gauge("ledger_up", "1 while the ledger can be read; what it counts is left out else.", recorded ? 1 : 0),
    ...(recorded ? recordedMetrics(recorded, now) : []),
    gauge("store_limit_bytes", "CACHE_LIMIT.", limit),
    ...(hosted ? hostedMetrics(hosted) : []),
    ...(forwarded ? forwardedMetrics(forwarded) : []),
    {
      name: "portolan_circuit_open",
      help: "1 while an endpoint is down and gets no requests, as this isolate sees it.",
      type: "gauge",
      samples: endpoints.map(({ url, downFor }) => ({
        labels: { endpoint: url },
        value: downFor > 0 ? 1 : 0,
      })),
    },
    {
      name: "portolan_endpoint_limited_seconds",
      help: "Seconds for which an endpoint has said that it limits requests.",
      type: "gauge",
      samples: endpoints.map(({ url, limitedFor }) => ({ labels: { endpoint: url }, value: limitedFor })),
    },
    gauge("build_info", "The deployment, as a label.", 1, { deployment }),
  ];
  return metrics.map(text).join("");
}

function recordedMetrics({ traffic, activity, counted }: Recorded, now: number): Metric[] {
  return [
    {
      name: "portolan_requests_total",
      help: "Requests by upstream, what was requested, where the response came from, and its status.",
      type: "counter",
      samples: traffic.map(({ upstream, kind, served, status, requests }) => ({
        labels: { upstream, kind, served, code: String(status) },
        value: requests,
      })),
    },
    {
      name: "portolan_response_bytes_total",
      help: "Declared bytes of response bodies by upstream and where they came from.",
      type: "counter",
      samples: bytesBySource(traffic),
    },
    {
      name: "portolan_stale_served_total",
      help: "Tags and listings that were served as last known, because upstream failed.",
      type: "counter",
      samples: staleByUpstream(traffic),
    },
    {
      name: "portolan_upstream_requests_total",
      help: "Requests to an endpoint itself by how they ended.",
      type: "counter",
      samples: activity.upstream.map(({ upstream, endpoint, outcome, requests }) => ({
        labels: { upstream, endpoint, outcome },
        value: requests,
      })),
    },
    {
      name: "portolan_upstream_last_success_timestamp_seconds",
      help: "When an endpoint last responded as it was requested.",
      type: "gauge",
      samples: activity.upstream.flatMap(({ upstream, endpoint, outcome, last }) =>
        outcome === "ok" ? [{ labels: { upstream, endpoint }, value: last / 1000 }] : [],
      ),
    },
    {
      name: "portolan_upstream_pulls_remaining",
      help: "Pulls left in the window of an upstream's limit, as it said within the last 6 hours.",
      type: "gauge",
      samples: activity.remaining.flatMap(({ upstream, login, pulls, at }) =>
        now - at < LIMIT_WINDOW ? [{ labels: { upstream, login }, value: pulls }] : [],
      ),
    },
    {
      name: "portolan_fills_total",
      help: "Attempts to store a blob by how they ended.",
      type: "counter",
      samples: activity.fills.map(({ outcome, fills }) => ({ labels: { outcome }, value: fills })),
    },
    {
      name: "portolan_store_bytes",
      help: "Bytes of cached content by kind and visibility, as they were counted last.",
      type: "gauge",
      samples: counted.stored.map(({ kind, visibility, bytes }) => ({
        labels: { kind, visibility },
        value: bytes,
      })),
    },
    {
      name: "portolan_evicted_bytes_total",
      help: "Bytes that were evicted because the store exceeded its limit.",
      type: "counter",
      samples: [{ labels: {}, value: counted.evicted }],
    },
  ];
}

function gauge(name: string, help: string, value: number, labels: Record<string, string> = {}): Metric {
  return { name: `portolan_${name}`, help, type: "gauge", samples: [{ labels, value }] };
}

function hostedMetrics({ repositories, tags, bytes, uploads }: HostedCount): Metric[] {
  const counted = "as they were counted within the last 5 minutes.";
  return [
    gauge("hosted_repositories", `Hosted repositories, ${counted}`, repositories),
    gauge("hosted_tags", `Tags of hosted repositories, ${counted}`, tags),
    gauge("hosted_bytes", `Bytes of hosted content, ${counted}`, bytes),
    gauge("hosted_uploads", "Uploads to hosted repositories that are neither ended nor given up.", uploads),
  ];
}

function forwardedMetrics({ uploads, blobs, present, manifests, bytes, failed }: Forwarded): Metric[] {
  const counter = (name: string, help: string, samples: Metric["samples"]): Metric => {
    return { name: `portolan_forwarded_${name}_total`, help, type: "counter", samples };
  };
  const kinds = Object.entries({ blob: blobs, present, manifest: manifests });
  return [
    counter(
      "objects",
      "What a gateway has pushed to the other mirror: blobs, those that it had (present), and manifests.",
      kinds.map(([kind, value]) => ({ labels: { kind }, value })),
    ),
    counter("bytes", "Bytes of blobs that a gateway has sent.", [{ labels: {}, value: bytes }]),
    counter("failures", "Requests of pushes through a gateway that failed.", [{ labels: {}, value: failed }]),
    gauge("forwarded_uploads", "Uploads through a gateway that are neither ended nor given up.", uploads),
  ];
}

function bytesBySource(traffic: readonly Traffic[]): Metric["samples"] {
  const sums = new Map<string, { labels: { upstream: string; served: string }; value: number }>();
  for (const { upstream, served, bytes } of traffic) {
    const key = `${upstream} ${served}`;
    const before = sums.get(key)?.value ?? 0;
    sums.set(key, { labels: { upstream, served }, value: before + bytes });
  }
  return [...sums.values()];
}

/** 0 for every upstream of which anything was served, so that the first one counts as an increase. */
function staleByUpstream(traffic: readonly Traffic[]): Metric["samples"] {
  const served = traffic.filter(({ upstream }) => upstream !== "");
  return [...Map.groupBy(served, ({ upstream }) => upstream)].map(([upstream, group]) => {
    const stale = group.filter(({ served }) => served === "stale");
    return { labels: { upstream }, value: stale.reduce((sum, { requests }) => sum + requests, 0) };
  });
}

function text({ name, help, type, samples }: Metric): string {
  const lines = samples.map(({ labels, value }) => {
    const pairs = Object.entries(labels).map(([label, each]) => `${label}="${escaped(each)}"`);
    return `${name}${pairs.length > 0 ? `{${pairs.join(",")}}` : ""} ${value}\n`;
  });
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join("")}`;
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
