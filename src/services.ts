/** Everything a pull needs, put together from the Worker's environment. */
import { Gate } from "./access/gate.ts";
import { Limits, type RateLimiter } from "./access/limits.ts";
import { StoredKeys } from "./access/stored-keys.ts";
import type { AnalyticsDataset } from "./analytics.ts";
import { type Config, ConfigError, readConfig } from "./config.ts";
import { countedBucket, countedKv, countedObjects } from "./counted-bindings.ts";
import { logFill } from "./fill-log.ts";
import type { HoldingsLedger } from "./ledger/cached.ts";
import type { HostedLedger } from "./ledger/hosted.ts";
import { type KeyLedger, ManagedKeys } from "./ledger/managed-keys.ts";
import { Pins } from "./ledger/pins.ts";
import type { PullLedger } from "./ledger/pulls.ts";
import type { Operation, UsageLedger } from "./ledger/quotas.ts";
import { type RecallLedger, Recalls } from "./ledger/recalls.ts";
import { type TrafficLedger, TrafficRecorder } from "./ledger/traffic.ts";
import type { WatchLedger } from "./ledger/watch.ts";
import { Webhooks } from "./ledger/webhooks.ts";
import { leasesIn, OBJECTS_OF_A_CLASS, type ObjectsOf, resolverIn } from "./objects/stubs.ts";
import { BODY_LIMITS, type Timing } from "./pull/body.ts";
import type { FillLeases } from "./pull/fill-leases.ts";
import type { Resolver } from "./pull/resolver.ts";
import type { PullServices } from "./pull/services.ts";
import type { Gateway, GatewayProcess } from "./push/forward.ts";
import type { HostedRecords } from "./push/records.ts";
import type { PushServices } from "./push/services.ts";
import { boundedMap } from "./registry/bounded-map.ts";
import { Remembered } from "./registry/remembered.ts";
import { viaOf } from "./registry/via.ts";
import { GATHER } from "./request-log.ts";
import { R2Store } from "./store/r2.ts";
import type { TagHistory } from "./store/tag-history.ts";
import { TagRecords } from "./store/tag-records.ts";
import { UPSTREAM_TIMING, UpstreamClient } from "./upstream/client.ts";
import { egress, type Network } from "./upstream/egress.ts";
import { HubSearch } from "./web/search/hub-search.ts";

/** The bindings of wrangler.toml. Variables are read by `config.ts`. */
export interface Env {
  STORE: R2Bucket;
  TAGS: KVNamespace;
  FILLS: ObjectsOf<FillLeases>;
  REPOSITORIES: ObjectsOf<Resolver>;
  HOSTED: ObjectsOf<HostedRecords & HostedLedger>;
  LEDGER: ObjectsOf<
    TrafficLedger &
      RecallLedger &
      HoldingsLedger &
      TagHistory &
      KeyLedger &
      WatchLedger &
      PullLedger &
      UsageLedger
  >;
  /** Absent unless wrangler.toml has it. */
  ANALYTICS?: AnalyticsDataset;
  /** Absent where the platform has no such counters. */
  ADDRESSES?: RateLimiter;
  /** This deployment's version; absent on one machine, where one isolate is all there is. */
  VERSION?: { id: string };
  /** The network that reaches this machine and private addresses; there is one where the mirror runs on one machine. */
  OPERATOR_NETWORK?: Network;
  /** Sends requests through proxies; there is one where the mirror runs on one machine. */
  FORWARDER?: Network;
  /** Sends requests for hosted repositories to another mirror; there is one where the mirror runs as a gateway to it. */
  GATEWAY?: GatewayProcess;
  /** Other times than the usual ones, for tests. */
  TIMING?: Timing;
}

export interface Services extends PullServices, PushServices {
  config: Config;
  gate: Gate;
  /** Milliseconds for which records of requests are gathered. */
  gatherLog: number;
  readonly hostedRecords: HostedRecords & HostedLedger;
  limits: Limits;
  /** Null where hosted repositories are this mirror's own. */
  gateway: Gateway | null;
  /** Null where the deployment has no dataset. */
  analytics: AnalyticsDataset | null;
  /** Whether the Free plan's daily quotas apply. */
  hasQuotas: boolean;
  /** Null where requests aren't counted. */
  traffic: TrafficRecorder | null;
  readonly ledger: TrafficLedger & HoldingsLedger & WatchLedger & PullLedger & UsageLedger;
  recalls: Recalls;
  webhooks: Webhooks;
  search: HubSearch;
  managedKeys: ManagedKeys;
  pins: Pins;
  /** Milliseconds for which hosted content stays that nothing references: a push that relies on it may be under way. */
  hostedGrace: number;
  /** When the isolate started; milliseconds since the epoch. */
  started: number;
}

/** Bytes of manifests an isolate keeps in memory, of the 128 MB it shares with all its requests. */
const REMEMBERED_MANIFESTS = 16 * 1024 * 1024;

/** Milliseconds. Most layers are filled by then; no client should wait longer for what may never come. */
const FILL_PATIENCE = 8_000;

/** Milliseconds. */
const FILL_LOOK = 150;

const HOSTED_GRACE = 24 * 3600 * 1000;

/** Of the 50 subrequests that a request has on the Free plan; on one machine nothing counts them. */
const STORE_READS = 40;

/** Milliseconds for which a repository has no listings to delete once they were; one that is stored ends it. */
const UNLISTED = 5 * 60_000;

/** @throws ConfigError */
export function createServices(given: Env): Services {
  // On one machine nothing is counted by a platform.
  const env = given.VERSION ? countedEnv(given, (operation) => services.traffic?.operated(operation)) : given;
  const now = () => Date.now();
  const config = readConfig(env);
  const {
    upstream: upstreamTiming,
    trafficGather,
    recallPatience,
    addressRate,
    ...timing
  } = env.TIMING ?? {};
  const objects = env.VERSION ? OBJECTS_OF_A_CLASS : 1;
  const stored = new StoredKeys(env.TAGS, now);
  const via = viaOf(env.VERSION?.id ?? crypto.randomUUID());
  const outgoing = egress({
    operatorNetwork: env.OPERATOR_NETWORK ?? null,
    forwarder: env.FORWARDER ?? null,
    isOperators: config.isOperators,
    proxies: config.proxies,
    bound: relayNetworks(env, config),
  });
  const services: Services = {
    config,
    gatherLog: GATHER,
    started: now(),
    analytics: env.ANALYTICS ?? null,
    hasQuotas: env.VERSION !== undefined && config.plan === "free",
    traffic: new TrafficRecorder(() => env.LEDGER.getByName("ledger"), now, trafficGather),
    get ledger() {
      return env.LEDGER.getByName("ledger");
    },
    tagHistory: () => env.LEDGER.getByName("ledger"),
    webhooks: new Webhooks({ ...config.webhooks, fetch: outgoing, now }),
    recalls: new Recalls(() => env.LEDGER.getByName("ledger"), now, recallPatience),
    gateway: env.GATEWAY ? { process: env.GATEWAY, via } : null,
    gate: new Gate(config, now, stored),
    managedKeys: new ManagedKeys({
      ledger: () => env.LEDGER.getByName("ledger"),
      stored,
      configured: config.keys,
      access: config.access,
      now,
    }),
    pins: new Pins(env.TAGS, config.pin),
    limits: new Limits(env.ADDRESSES ?? null, now, addressRate),
    store: new R2Store(env.STORE),
    tags: new TagRecords({ kv: env.TAGS, edge: openEdge, now }),
    manifests: boundedMap(REMEMBERED_MANIFESTS, {
      sizeCalculation: ({ bytes }) => bytes.byteLength || 1,
    }),
    search: new HubSearch({ fetch: outgoing, relays: config.relays, via, openEdge, now }),
    upstream: new UpstreamClient({
      fetch: outgoing,
      now,
      credentials: config.credentials,
      via,
      relays: config.relays,
      quorums: config.tagQuorums,
      timing: { ...UPSTREAM_TIMING, ...upstreamTiming },
      observer: {
        requested: (request, waitUntil) => services.traffic?.requested(request, waitUntil),
        pullsRemaining: (remaining, waitUntil) => services.traffic?.pullsRemaining(remaining, waitUntil),
      },
    }),
    leasesOf: leasesIn(env.FILLS, objects),
    fillPatience: FILL_PATIENCE,
    hostedGrace: HOSTED_GRACE,
    fillLook: FILL_LOOK,
    bodyLimits: BODY_LIMITS,
    onFilled: (fill, waitUntil) => {
      logFill(fill);
      services.traffic?.filled("stored", waitUntil);
    },
    onFillFailed: (outcome, waitUntil) => services.traffic?.filled(outcome, waitUntil),
    resumes: { count: 0 },
    ...timing,
    storeReads: env.VERSION ? STORE_READS : Number.POSITIVE_INFINITY,
    unlisted: new Remembered(UNLISTED, now),
    resolverOf: resolverIn(env.REPOSITORIES, objects),
    get hostedRecords() {
      return env.HOSTED.getByName("hosted");
    },
    via,
    now,
  };
  return services;
}

function countedEnv(env: Env, count: (operation: Operation) => void): Env {
  return {
    ...env,
    STORE: countedBucket(env.STORE, count),
    TAGS: countedKv(env.TAGS, count),
    FILLS: countedObjects(env.FILLS, count),
    REPOSITORIES: countedObjects(env.REPOSITORIES, count),
    HOSTED: countedObjects(env.HOSTED, count),
    LEDGER: countedObjects(env.LEDGER, count),
  };
}

/**
 * The isolate's one mirror. The Worker and the Durable Objects that happen to live in the same isolate share it, since
 * they share the isolate's memory, and since what one has learnt of an upstream (tokens, challenges) serves the others.
 */
export const isolate: { services: Services | null } = { services: null };

/** @throws ConfigError */
export function servicesOf(env: Env): Services {
  isolate.services ??= createServices(env);
  return isolate.services;
}

/** The networks of relays that are reached by a binding, by host. @throws ConfigError if there is no such binding. */
function relayNetworks(env: object, { relays }: Config): ReadonlyMap<string, Network> {
  const networks = relays.flatMap(({ url, binding }): [string, Network][] => {
    if (binding === null) return [];
    const network: unknown = Reflect.get(env, binding);
    if (isNetwork(network)) return [[url.host, network]];
    throw new ConfigError([`RELAYS: no service or VPC binding is named ${binding}`]);
  });
  return new Map(networks);
}

function isNetwork(value: unknown): value is Network {
  return typeof value === "object" && value !== null && "fetch" in value;
}

/** A cache of our own beside the zone's default one, so that no request for a page can ever be answered from it. */
async function openEdge(): Promise<Cache | null> {
  return typeof caches === "undefined" ? null : caches.open("portolan");
}
