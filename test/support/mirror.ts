/** The mirror under test in workerd: the real app, bindings and Durable Objects, with fake registries for the Internet. */
import {
  createExecutionContext,
  reset,
  runDurableObjectAlarm,
  waitOnExecutionContext,
} from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, type MockInstance, vi } from "vitest";
import { createApp } from "../../src/app.ts";
import { BlobFill, RepositoryResolver } from "../../src/index.ts";
import { leasesName, OBJECTS_OF_A_CLASS } from "../../src/objects/stubs.ts";
import type { Digest } from "../../src/oci/digest.ts";
import { BODY_LIMITS, type Timing } from "../../src/pull/body.ts";
import { createServices, type Env, isolate, type Services } from "../../src/services.ts";
import {
  createFakeNetwork,
  createFakeRegistry,
  type FakeNetwork,
  type FakeRegistry,
  profiles,
} from "./fake-registry.ts";

/** The Worker's bindings, with all that tests do to Durable Objects. */
export type TestBindings = Omit<Env, "FILLS" | "REPOSITORIES"> & {
  FILLS: DurableObjectNamespace<BlobFill>;
  REPOSITORIES: DurableObjectNamespace<RepositoryResolver>;
};

export interface TestMirror {
  services: Services;
  /** The clock of everything; moves only by what is added here. */
  clock: { ahead: number };
  /** docker.io, with redirects to storage and tokens as it has them. */
  docker: FakeRegistry;
  /** ghcr.io, likewise. */
  ghcr: FakeRegistry;
  bindings: TestBindings;
  network: FakeNetwork;
  /** Asks the mirror as a client would, and waits until what goes on behind the response is done. */
  request(path: string, init?: RequestInit & { host?: string }): Promise<MirrorResponse>;
  /** Forgets what the isolate remembers, as if another one took over: memory is cold, store, KV and edge are warm. */
  newIsolate(): void;
  /** Makes an operation of the store or of KV reject from now on, for the Worker and the Durable Objects alike. */
  outage(binding: "STORE" | "TAGS", operation: string): MockInstance;
  /** Ends all faults, and lets the time pass for which the mirror may leave a failing upstream alone. */
  recover(): void;
  /** The Durable Object that keeps the leases of a digest. */
  fills(digest: string): DurableObjectStub<BlobFill>;
  /** Takes the lease of a public blob's fill, as a request that fills it would. @returns what kind it was given. */
  takeLease(digest: string, repository?: string, upstream?: string): Promise<string>;
  /** Brings the alarm of a blob's fill forward, if one is set, and waits until it has run. @returns whether one has. */
  runAlarm(digest: string): Promise<boolean>;
  /** Every key in the store. */
  stored(): Promise<string[]>;
  /** Operations since the last call, of the Worker and the Durable Objects together. */
  operations(): Operations;
}

export interface MirrorResponse {
  status: number;
  headers: Headers;
  bytes: Uint8Array;
  /** The body as JSON. */
  json(): Record<string, unknown>;
  /** Whether the body broke off before its end. */
  broken: boolean;
}

/** The codes of an error's body. */
export function codesOf({ json }: Pick<MirrorResponse, "json">): string[] {
  return (json() as { errors: { code: string }[] }).errors.map(({ code }) => code);
}

export interface Operations {
  storeReads: number;
  storePuts: number;
  kvReads: number;
  kvWrites: number;
  edgeReads: number;
  leases: number;
  resolutions: number;
}

/** Alarms of fills that are running, and how many have been started since the last look. */
const alarms = { running: 0, started: 0 };

/** Alarms fire by themselves: a test must not go on, or end, while one is at work. */
function watchAlarms(): void {
  const { alarm } = BlobFill.prototype;
  vi.spyOn(BlobFill.prototype, "alarm").mockImplementation(async function (this: BlobFill) {
    alarms.running++;
    try {
      // A late one of the test before finds nothing to do.
      const { storage } = Reflect.get(this, "ctx") as DurableObjectState;
      if ((await storage.list({ limit: 1 })).size > 0) alarms.started++;
      await alarm.call(this);
    } finally {
      alarms.running--;
    }
  });
}

async function alarmsEnded(): Promise<void> {
  // The alarm's promise belongs to its object, which alone may wait for it.
  while (alarms.running > 0) await scheduler.wait(5);
}

/**
 * Pauses that no test has to sit out, and time-outs that a busy machine doesn't meet: a test in which one is to pass, such
 * as the wait for the lease of a blob that was deleted, shortens it.
 */
export const TIMING: Timing = {
  fillPatience: 60_000,
  recallPatience: 60_000,
  fillLook: 5,
  bodyLimits: { ...BODY_LIMITS, pauses: BODY_LIMITS.pauses.map(() => 1) },
  upstream: { retryPause: 4 },
  trafficGather: 1,
};

/** To be called at the top of a test file: a fresh open mirror for every test, everything undone after it. */
export function useMirror(vars: Record<string, unknown> = {}): TestMirror {
  const test = {} as TestMirror;
  let app: ReturnType<typeof createApp>;

  beforeEach(() => {
    const clock = { ahead: 0 };
    const realNow = Date.now;
    vi.spyOn(Date, "now").mockImplementation(() => realNow() + clock.ahead);
    vi.spyOn(console, "log").mockImplementation(() => {});
    vi.spyOn(console, "warn").mockImplementation(() => {});
    const docker = createFakeRegistry(profiles["docker.io"]);
    const ghcr = createFakeRegistry(profiles["ghcr.io"]);
    const network = createFakeNetwork(docker, ghcr);
    vi.stubGlobal("fetch", network.fetch);
    const bindings = { ...(env as unknown as TestBindings), ACCESS: "open", TIMING, ...vars };
    const fills = (digest: string) =>
      bindings.FILLS.getByName(leasesName(digest as Digest, OBJECTS_OF_A_CLASS));
    const operations = countOperations(bindings);
    alarms.started = 0;
    watchAlarms();
    const newIsolate = () => {
      // Counting requests is tested by itself: here it would cost each test the start of an object.
      test.services = Object.assign(createServices(bindings), { gatherLog: 0, traffic: null });
      // The Durable Objects share the Worker's isolate here as they may in production.
      isolate.services = test.services;
      app = createApp(test.services);
    };
    newIsolate();
    Object.assign(test, {
      clock,
      docker,
      ghcr,
      network,
      bindings,
      newIsolate,
      operations,
      fills,
      outage: (binding: "STORE" | "TAGS", operation: string) =>
        vi
          .spyOn(Object.getPrototypeOf(bindings[binding]), operation)
          .mockImplementation(async (_key: unknown, body: unknown) => {
            const error = new Error(`${binding}.${operation} is out of order`);
            // As the runtime does: it never leaves an unread stream behind.
            if (body instanceof ReadableStream) await body.cancel(error);
            throw error;
          }),
      recover: () => {
        docker.clearFaults();
        clock.ahead += 11 * 60_000;
      },
      async takeLease(digest: string, repository = "library/demo", upstream = "docker.io") {
        const job = {
          upstream,
          repository,
          digest: digest as Digest,
          visibility: "public",
          via: "",
        } as const;
        return (await fills(digest).acquire(job, 0)).kind;
      },
      async runAlarm(digest: string) {
        const isRun = await runDurableObjectAlarm(fills(digest));
        // One that is due just now is about to fire by itself.
        for (let look = 0; look < 5 && !isRun && alarms.started === 0; look++) await scheduler.wait(5);
        await alarmsEnded();
        const { started } = alarms;
        alarms.started = 0;
        return isRun || started > 0;
      },
      stored: async () => (await bindings.STORE.list()).objects.map(({ key }) => key),
      async request(path: string, { host = "mirror.test", ...init }: RequestInit & { host?: string } = {}) {
        const context = createExecutionContext();
        const received = await app.fetch(new Request(`https://${host}${path}`, init), bindings, context);
        const response = await read(received);
        await waitOnExecutionContext(context);
        return response;
      },
    });
  });

  afterEach(async () => {
    await alarmsEnded();
    vi.restoreAllMocks();
    vi.unstubAllGlobals();
    await reset();
  });
  return test;
}

async function read(response: Response): Promise<MirrorResponse> {
  const { status, headers } = response;
  const body = await response.arrayBuffer().catch(() => null);
  const bytes = new Uint8Array(body ?? new ArrayBuffer(0));
  return {
    status,
    headers,
    bytes,
    broken: body === null,
    json: () => JSON.parse(new TextDecoder().decode(bytes)),
  };
}

/**
 * Counts on the prototypes, which the Worker and the Durable Objects share in this isolate: so what happens behind a
 * Durable Object counts too.
 */
function countOperations(bindings: TestBindings): () => Operations {
  const store = Object.getPrototypeOf(bindings.STORE);
  const kv = Object.getPrototypeOf(bindings.TAGS);
  const edge = Object.getPrototypeOf(caches.default);
  const spies = {
    storeReads: [vi.spyOn(store, "get"), vi.spyOn(store, "head")],
    storePuts: [vi.spyOn(store, "put")],
    kvReads: [vi.spyOn(kv, "get")],
    kvWrites: [vi.spyOn(kv, "put"), vi.spyOn(kv, "delete")],
    edgeReads: [vi.spyOn(edge, "match")],
    leases: (["acquire", "join", "joinRange", "scheduleCheck", "release"] as const).map((name) =>
      vi.spyOn(BlobFill.prototype, name),
    ),
    resolutions: (["resolve", "fetchManifest"] as const).map((name) =>
      vi.spyOn(RepositoryResolver.prototype, name),
    ),
  };
  return () => {
    const counted = Object.entries(spies).map(([name, group]) => {
      const calls = group.reduce((sum, spy) => sum + spy.mock.calls.length, 0);
      for (const spy of group) spy.mockClear();
      return [name, calls];
    });
    return Object.fromEntries(counted);
  };
}
