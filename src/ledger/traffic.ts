/** What counts of the requests, and what tags were seen to name: gathered in the isolate, kept by the ledger's object. */
import { parseDigest } from "../oci/digest.ts";
import type { FillOutcome } from "../pull/fill-leases.ts";
import type { WaitUntil } from "../registry/wait-until.ts";
import type { TagSighting } from "../store/tag-history.ts";
import type { UpstreamObserver } from "../upstream/observer.ts";
import { type Activity, GatheredActivity, NO_ACTIVITY } from "./activity.ts";
import { type KeyPull, PullGatherer } from "./pulls.ts";
import type { Operation } from "./quotas.ts";
import { type Use, UseGatherer } from "./uses.ts";

/** What of a request counts. */
export interface CountedRequest {
  method: string;
  upstream: string | null;
  repository: string | null;
  resource: string | null;
  /** Of the content that the response is or stands for; null where there is none. */
  digest: string | null;
  servedBy: string | null;
  /** Name of the access key that admitted it; null where none was needed. */
  key: string | null;
  status: number;
  /** Declared length of the response's body; null where it isn't known. */
  bytes: number | null;
}

/** Requests that are alike, counted together. */
export interface Traffic {
  /** `docker.io`; "" where a request is about none. */
  upstream: string;
  /** `manifest`, `blob`, `tags` …; "" where it is none of them. */
  kind: string;
  /** Where the responses came from: `store`, `upstream`, `stale` …; "" for errors and pages. */
  served: string;
  status: number;
  requests: number;
  /** Declared lengths of the responses' bodies. */
  bytes: number;
}

/** Traffic of one span of time. */
export interface TrafficAt extends Traffic {
  /** Milliseconds since the epoch. */
  start: number;
}

/** What an isolate has gathered; what is left out is nothing. */
export interface LedgerBatch {
  traffic?: readonly Traffic[];
  uses?: readonly Use[];
  pulls?: readonly KeyPull[];
  operations?: readonly { operation: Operation; count: number }[];
  activity?: Activity;
  sightings?: readonly TagSighting[];
}

/** The ledger's object. */
export interface TrafficLedger {
  /**
   * @param at milliseconds since the epoch.
   * @returns whether there is room for detail, which are uses and pulls; without it they aren't kept.
   */
  add(batch: LedgerBatch, at: number): Promise<boolean>;
  /** All that was ever added. */
  totals(): Promise<Traffic[]>;
  /** In spans of a minute, an hour or a day, whichever is kept of that time. @param since milliseconds since the epoch. */
  since(since: number): Promise<TrafficAt[]>;
  /** All that was ever added. */
  activity(): Promise<Activity>;
}

/** Requests that are added without waiting any longer. */
const ENOUGH = 20;
/** Milliseconds after which those that were gathered are added. */
const TRAFFIC_GATHER = 5_000;
/** By how much more is gathered for a call while there is no room for detail. A Worker may wait for 30 s after a response. */
const SPARINGLY = 5;

/** One isolate's requests that aren't in the ledger yet. What the ledger can't take is lost, and no request waits for it. */
export class TrafficRecorder implements UpstreamObserver {
  readonly #ledger: () => TrafficLedger;
  readonly #now: () => number;
  readonly #gather: number;
  readonly #uses = new UseGatherer();
  readonly #pulls = new PullGatherer();
  #operations = new Map<Operation, number>();
  readonly #activity = new GatheredActivity();
  #gathered = new Map<string, Traffic>();
  #sightings: TagSighting[] = [];
  #count = 0;
  /** Whether the ledger had room for detail at the last call. */
  #hasRoom = true;
  /** Whether what is gathered will be added without another request. */
  #isScheduled = false;

  /** @param gather milliseconds. */
  constructor(ledger: () => TrafficLedger, now: () => number, gather = TRAFFIC_GATHER) {
    this.#ledger = ledger;
    this.#now = now;
    this.#gather = gather;
  }

  note(request: CountedRequest, waitUntil: WaitUntil): void {
    const { upstream, resource, servedBy, status, bytes, method } = request;
    const group = { upstream: upstream ?? "", kind: resource ?? "", served: servedBy ?? "", status };
    const key = JSON.stringify(Object.values(group));
    const counted = this.#gathered.get(key) ?? { ...group, requests: 0, bytes: 0 };
    counted.requests++;
    counted.bytes += method === "HEAD" ? 0 : (bytes ?? 0);
    this.#gathered.set(key, counted);
    const use = this.#hasRoom ? useOf(request) : null;
    if (use) this.#uses.note(use, this.#now());
    const isPull = method === "GET" && status < 300;
    if (use && isPull) this.#pulls.note({ digest: use.digest, key: request.key ?? "" }, this.#now());
    this.#count++;
    if (this.#count >= ENOUGH * this.#patience) waitUntil(this.#flush());
    else this.#schedule(waitUntil);
  }

  requested(request: Parameters<UpstreamObserver["requested"]>[0], waitUntil: WaitUntil): void {
    this.#activity.requested(request, this.#now());
    this.#schedule(waitUntil);
  }

  pullsRemaining(remaining: Parameters<UpstreamObserver["pullsRemaining"]>[0], waitUntil: WaitUntil): void {
    this.#activity.pullsRemaining({ ...remaining, at: this.#now() });
    this.#schedule(waitUntil);
  }

  filled(outcome: FillOutcome, waitUntil: WaitUntil): void {
    this.#activity.filled(outcome);
    this.#schedule(waitUntil);
  }

  /** Has what a tag was seen to name recorded. */
  see(sighting: TagSighting, waitUntil: WaitUntil): void {
    this.#sightings.push(sighting);
    this.#schedule(waitUntil);
  }

  /** Has an operation counted, with what comes next: it is always part of something else. */
  operated(operation: Operation): void {
    this.#operations.set(operation, (this.#operations.get(operation) ?? 0) + 1);
  }

  get #patience(): number {
    return this.#hasRoom ? 1 : SPARINGLY;
  }

  #schedule(waitUntil: WaitUntil): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    waitUntil(pause(this.#gather * this.#patience).then(() => this.#flush()));
  }

  async #flush(): Promise<void> {
    const traffic = [...this.#gathered.values()];
    const uses = this.#uses.take();
    const pulls = this.#pulls.take();
    const operations = [...this.#operations].map(([operation, count]) => ({ operation, count }));
    this.#operations = new Map();
    const activity = this.#activity.take();
    const sightings = this.#sightings;
    this.#gathered = new Map();
    this.#sightings = [];
    this.#count = 0;
    this.#isScheduled = false;
    if (traffic.length + sightings.length === 0 && activity === NO_ACTIVITY) return;
    try {
      const batch = { traffic, uses, pulls, operations, activity, sightings };
      this.#hasRoom = await this.#ledger().add(batch, this.#now());
    } catch (error) {
      this.#uses.forget(uses);
      this.#pulls.forget(pulls);
      console.warn(`the ledger can't be written: ${error}`);
    }
  }
}

/** Null for a request that got no content. A response of 304 says that what the client has is still used. */
function useOf({ upstream, repository, resource, digest, status }: CountedRequest): Use | null {
  const isContent = (resource === "manifest" || resource === "blob") && (status < 300 || status === 304);
  const parsed = isContent && parseDigest(digest ?? "");
  return parsed && upstream && repository ? { digest: parsed, source: `${upstream}/${repository}` } : null;
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
