/** Requests as the ledger counts them: gathered, kept in spans, and shown as statistics and metrics. */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { type Activity, NO_ACTIVITY } from "../../src/ledger/activity.ts";
import {
  type CountedRequest,
  type LedgerBatch,
  type Traffic,
  type TrafficLedger,
  TrafficRecorder,
} from "../../src/ledger/traffic.ts";
import type { Use } from "../../src/ledger/uses.ts";
import type { Ledger } from "../../src/objects/ledger.ts";
import type { Digest } from "../../src/oci/digest.ts";
import type { TagSighting } from "../../src/store/tag-history.ts";
import { patternBytes } from "../support/fake-registry.ts";
import { useMirror } from "../support/mirror.ts";

const ADMIN_KEY = "an-admin-key-of-more-than-32-characters";
const OWNER = { headers: { Authorization: `Bearer ${ADMIN_KEY}` } };
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const PATIENCE = { timeout: 30_000, interval: 20 };
// In the future, so that no alarm runs by itself.
const START = Date.UTC(2096, 5, 15);

const DIGEST: Digest = `sha256:${"1".repeat(64)}`;
const OTHER: Digest = `sha256:${"2".repeat(64)}`;

const mirror = useMirror({ ADMIN_KEY });
const { LEDGER } = env as unknown as { LEDGER: DurableObjectNamespace<Ledger> };
let ledger: DurableObjectStub<Ledger>;
beforeEach(() => {
  ledger = LEDGER.getByName("ledger");
});

const traffic = (given: Partial<Traffic> = {}): Traffic => ({
  upstream: "docker.io",
  kind: "blob",
  served: "store",
  status: 200,
  requests: 1,
  bytes: 10,
  ...given,
});

describe("the recorder", () => {
  const record = {
    upstream: "docker.io",
    repository: "library/demo",
    resource: "blob",
    digest: DIGEST,
    servedBy: "store",
    key: null,
    status: 200,
    bytes: 5,
    method: "GET",
  };
  const createScene = (add: TrafficLedger["add"] = async () => true) => {
    const calls: (readonly Traffic[])[] = [];
    const uses: (readonly Use[] | undefined)[] = [];
    const activities: (Activity | undefined)[] = [];
    const sightings: (readonly TagSighting[] | undefined)[] = [];
    const clock = { now: START };
    const work: Promise<unknown>[] = [];
    const written = {
      add: (batch: LedgerBatch, at: number) => {
        calls.push(batch.traffic ?? []);
        uses.push(batch.uses);
        activities.push(batch.activity);
        sightings.push(batch.sightings);
        return add(batch, at);
      },
    };
    const recorder = new TrafficRecorder(
      () => written as unknown as TrafficLedger,
      () => clock.now,
      5,
    );
    const waitUntil = (each: Promise<unknown>) => work.push(each);
    const note = (given: Partial<CountedRequest> = {}) => recorder.note({ ...record, ...given }, waitUntil);
    const see = (tag: string) => {
      const name = { upstream: "docker.io", repository: "library/demo", tag, visibility: "public" } as const;
      recorder.see({ name, named: null, at: START }, waitUntil);
    };
    const done = () => Promise.all(work);
    return { recorder, note, see, calls, uses, activities, sightings, clock, waitUntil, done };
  };

  test("adds twenty requests in one call, those that are alike as one", async () => {
    const { note, calls, done } = createScene();
    for (let count = 0; count < 20; count++) note({ status: count % 2 ? 200 : 206 });
    await done();
    expect(calls).toEqual([
      [traffic({ status: 206, requests: 10, bytes: 50 }), traffic({ requests: 10, bytes: 50 })],
    ]);
  });

  test("adds fewer after a while, and counts no bytes of a HEAD", async () => {
    const { note, calls, done } = createScene();
    note();
    note({ method: "HEAD" });
    await done();
    expect(calls).toEqual([[traffic({ requests: 2, bytes: 5 })]]);
  });

  test("records what content was used, once an hour each, and what failed or is no content not at all", async () => {
    const { note, uses, clock, done } = createScene();
    note();
    note({ method: "HEAD", status: 304 });
    note({ status: 404 });
    note({ resource: "tags" });
    note({ digest: OTHER, resource: "manifest" });
    await done();
    clock.now += HOUR / 2;
    note();
    await done();
    clock.now += HOUR;
    note();
    await done();
    const source = "docker.io/library/demo";
    expect(uses).toEqual([
      [
        { digest: DIGEST, source },
        { digest: OTHER, source },
      ],
      [],
      [{ digest: DIGEST, source }],
    ]);
  });

  test("records a use again that the ledger couldn't take", async () => {
    const { note, uses, done } = createScene(async () => {
      throw new Error("the ledger is full");
    });
    vi.spyOn(console, "warn").mockImplementation(() => {});
    for (let time = 0; time < 2; time++) {
      note();
      await done();
    }
    expect(uses.map((each) => each?.length)).toEqual([1, 1]);
  });

  test("gathers five times as much, and no detail, while the ledger has no room for it", async () => {
    let hasRoom = false;
    const { note, calls, uses, clock, done } = createScene(async () => hasRoom);
    const pull = async (requests: number) => {
      for (let count = 0; count < requests; count++) note();
      await done();
      clock.now += HOUR;
    };
    await pull(1);
    await pull(99);
    hasRoom = true;
    await pull(100);
    await pull(40);
    expect(calls.flat().map(({ requests }) => requests)).toEqual([1, 99, 100, 20, 20]);
    expect(uses.map((each) => each?.length)).toEqual([1, 0, 0, 1, 0]);
  });

  test("adds what upstreams and fills did with the requests of the same time", async () => {
    const { recorder, calls, activities, done, waitUntil } = createScene();
    const request = { upstream: "docker.io", endpoint: "https://registry-1.docker.io/" };
    recorder.requested({ ...request, outcome: "unauthorized" }, waitUntil);
    recorder.requested({ ...request, outcome: "ok" }, waitUntil);
    recorder.requested({ ...request, outcome: "ok" }, waitUntil);
    recorder.pullsRemaining({ upstream: "docker.io", login: "#1", pulls: 77 }, waitUntil);
    recorder.pullsRemaining({ upstream: "docker.io", login: "#1", pulls: 76 }, waitUntil);
    recorder.filled("stored", waitUntil);
    await done();
    expect(calls).toEqual([[]]);
    expect(activities).toEqual([
      {
        upstream: [
          { ...request, outcome: "unauthorized", requests: 1, last: START },
          { ...request, outcome: "ok", requests: 2, last: START },
        ],
        remaining: [{ upstream: "docker.io", login: "#1", pulls: 76, at: START }],
        fills: [{ outcome: "stored", fills: 1 }],
      },
    ]);
  });

  test("adds what tags were seen to name with the requests, in the same call", async () => {
    const { note, see, calls, sightings, done } = createScene();
    see("latest");
    for (let count = 0; count < 20; count++) note();
    see("other");
    await done();
    expect(calls).toEqual([[traffic({ requests: 20, bytes: 100 })], []]);
    expect(sightings.map((each) => each?.map(({ name }) => name.tag))).toEqual([["latest"], ["other"]]);
  });

  test("loses what the ledger can't take, and says so", async () => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    const { note, calls, done } = createScene(async () => {
      throw new Error("the ledger is full");
    });
    note();
    await done();
    note();
    await done();
    expect(calls).toHaveLength(2);
    expect(warn).toHaveBeenCalledWith("the ledger can't be written: Error: the ledger is full");
  });
});

describe("the ledger", () => {
  test("knows of each digest when it was used first and last, in how many hours, and out of which repository", async () => {
    const use = (source: string): Use => ({ digest: DIGEST, source });
    await ledger.add({ uses: [use("docker.io/a/a")] }, START + HOUR / 2);
    await ledger.add({ uses: [use("docker.io/a/a")] }, START + 2 * HOUR);
    await ledger.add({ uses: [use("quay.io/b/b")] }, START + 25 * HOUR);
    await ledger.add({ uses: [use("docker.io/a/a")] }, START + HOUR);
    expect((await ledger.index()).uses).toEqual([
      { digest: DIGEST, source: "quay.io/b/b", first: START, last: START + 25 * HOUR, uses: 3, level: 0 },
    ]);
  });

  test("counts what is alike in one minute together, and nothing else", async () => {
    await ledger.add({ traffic: [traffic(), traffic({ status: 404, served: "" })] }, START);
    await ledger.add({ traffic: [traffic({ requests: 2, bytes: 20 })] }, START + 59_000);
    await ledger.add({ traffic: [traffic()] }, START + MINUTE);
    expect(await ledger.since(START)).toEqual([
      { start: START, ...traffic({ status: 404, served: "" }) },
      { start: START, ...traffic({ requests: 3, bytes: 30 }) },
      { start: START + MINUTE, ...traffic() },
    ]);
  });

  test("merges minutes into hours, hours into days, and days into one sum, of which nothing is lost", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: START });
    try {
      await ledger.add({ traffic: [traffic()] }, START);
      await ledger.add({ traffic: [traffic()] }, START + 5 * MINUTE);
      await ledger.add({ traffic: [traffic()] }, START + HOUR);
      const later = async (milliseconds: number) => {
        vi.setSystemTime(START + milliseconds);
        await runInDurableObject(ledger, (object) => object.alarm());
        return (await ledger.since(0)).map(({ start, requests }) => [start - START, requests]);
      };
      expect(await later(DAY)).toHaveLength(3);
      expect(await later(DAY + 2 * HOUR)).toEqual([
        [0, 2],
        [HOUR, 1],
      ]);
      expect(await later(33 * DAY)).toEqual([[0, 3]]);
      expect(await later(400 * DAY)).toEqual([]);
      expect(await ledger.totals()).toEqual([traffic({ requests: 3, bytes: 30 })]);
    } finally {
      vi.useRealTimers();
    }
  });

  test("sets its alarm by itself", async () => {
    await ledger.add({ traffic: [traffic()] }, Date.now());
    expect(await runDurableObjectAlarm(ledger)).toBe(true);
  });
});

describe("what the owner sees", () => {
  beforeEach(() => {
    // A stub for each call, as in production: what is gathered may be added by another object.
    mirror.services.traffic = new TrafficRecorder(
      () => LEDGER.getByName("ledger"),
      () => Date.now(),
      1,
    );
  });

  async function pullTwice(): Promise<void> {
    const { layers } = await mirror.docker.addImage("library/demo", "latest", {
      layers: [patternBytes(1000, 1)],
    });
    for (let time = 0; time < 2; time++) await mirror.request(`/v2/library/demo/blobs/${layers[0]?.digest}`);
    await mirror.request("/v2/library/demo/manifests/none");
  }

  test("is how much of what was pulled came from the mirror itself", async () => {
    await pullTwice();
    // What the owner requests counts too, as a page.
    const expected = {
      bytes: expect.any(Number),
      hitRatio: 0.5,
      bytesSaved: 1000,
      errors: 0,
      byUpstream: { "docker.io": { requests: 2, bytes: 2000 } },
      bySource: { upstream: { requests: 1, bytes: 1000 }, store: { requests: 1, bytes: 1000 } },
    };
    await vi.waitFor(async () => {
      const { json } = await mirror.request("/_/stats?hours=1", OWNER);
      expect(json()).toMatchObject(expected);
      expect(json().requests).toBeGreaterThanOrEqual(3);
    }, PATIENCE);
    expect((await mirror.request("/_/stats?hours=soon", OWNER)).status).toBe(400);
  });

  /** The metrics once they have a line, in the order of the page. */
  async function metricsWith(line: string): Promise<string> {
    let text = "";
    await vi.waitFor(async () => {
      text = new TextDecoder().decode((await mirror.request("/_/metrics", OWNER)).bytes);
      expect(text).toContain(line);
    }, PATIENCE);
    return text;
  }

  test("are requests to endpoints by how they ended, what is left of a limit, and fills", async () => {
    const limited = (response: Response) => {
      const headers = new Headers(response.headers);
      headers.set("ratelimit-remaining", "76;w=21600");
      return new Response(response.body, { status: response.status, headers });
    };
    mirror.docker.fail({ kind: "manifest", method: "GET" }, { transform: limited });
    await pullTwice();
    await mirror.request("/v2/library/demo/manifests/latest");
    const endpoint = 'upstream="docker.io",endpoint="https://registry-1.docker.io/"';
    await metricsWith('portolan_fills_total{outcome="stored"} 1\n');
    await metricsWith('portolan_upstream_pulls_remaining{upstream="docker.io",login="anonymous"} 76\n');
    // The blob's redirect and the manifest; the challenge; the tag that isn't there.
    const text = await metricsWith(`portolan_upstream_requests_total{${endpoint},outcome="ok"} 2\n`);
    expect(text).toContain(`portolan_upstream_requests_total{${endpoint},outcome="unauthorized"} 1\n`);
    expect(text).toContain(`portolan_upstream_requests_total{${endpoint},outcome="missing"} 1\n`);
    const success = /^portolan_upstream_last_success_timestamp_seconds\{(.*)\} ([\d.]+)$/m.exec(text);
    expect(success?.[1]).toBe(endpoint);
    expect(Number(success?.[2])).toBeGreaterThan(Date.now() / 1000 - 3600);
  });

  test("are tags that were served stale", async () => {
    const { layers } = await mirror.docker.addImage("library/demo", "latest", {
      layers: [patternBytes(10, 1)],
    });
    const tag = "/v2/library/demo/manifests/latest";
    await mirror.request(tag);
    await mirror.request(`/v2/library/demo/blobs/${layers[0]?.digest}`);
    await metricsWith('portolan_stale_served_total{upstream="docker.io"} 0\n');
    mirror.clock.ahead += 600_000;
    mirror.docker.fail({}, { status: 503 });
    expect((await mirror.request(tag)).headers.get("Warning")).not.toBeNull();
    await metricsWith('portolan_stale_served_total{upstream="docker.io"} 1\n');
  });

  test("forget what an upstream said of its limit once the limit is over", async () => {
    const remaining = { upstream: "docker.io", login: "#1", pulls: 3, at: Date.now() };
    await ledger.add({ activity: { ...NO_ACTIVITY, remaining: [remaining] } }, Date.now());
    await metricsWith('portolan_upstream_pulls_remaining{upstream="docker.io",login="#1"} 3\n');
    mirror.clock.ahead += 7 * HOUR;
    const text = new TextDecoder().decode((await mirror.request("/_/metrics", OWNER)).bytes);
    expect(text).not.toContain('login="#1"');
  });

  test("are metrics without a repository or a key in them", async () => {
    await pullTwice();
    const { headers } = await mirror.request("/_/metrics", OWNER);
    expect(headers.get("Content-Type")).toContain("text/plain; version=0.0.4");
    const text = await metricsWith(
      'portolan_requests_total{upstream="docker.io",kind="blob",served="store",code="200"} 1\n',
    );
    expect(text).toContain('portolan_response_bytes_total{upstream="docker.io",served="upstream"} 1000\n');
    expect(text).toContain("portolan_store_limit_bytes 9500000000\n");
    expect(text).toContain('portolan_circuit_open{endpoint="https://registry-1.docker.io/"} 0\n');
    expect(text).not.toContain("demo");
  });

  test("is shown to no other client", async () => {
    for (const path of ["stats", "metrics"]) expect((await mirror.request(`/_/${path}`)).status).toBe(401);
  });

  test("a ledger that fails fails no pull", async () => {
    mirror.services.traffic = new TrafficRecorder(
      () => ({ add: () => Promise.reject(new Error("over quota")) }) as unknown as TrafficLedger,
      () => Date.now(),
      1,
    );
    await mirror.docker.addImage("library/demo", "latest", { layers: [patternBytes(1000, 1)] });
    expect((await mirror.request("/v2/library/demo/manifests/latest")).status).toBe(200);
  });
});

test("members of families, which clients choose, are counted by name up to a number of them", async () => {
  const names = Array.from({ length: 600 }, (_, at) => `m${at}.gcr.io`);
  const upstreams = [...names, "docker.io", "m0.gcr.io"];
  await ledger.add({ traffic: upstreams.map((upstream) => traffic({ upstream })) }, START);
  const totals = new Map((await ledger.totals()).map(({ upstream, requests }) => [upstream, requests]));
  expect(totals.size).toBe(502);
  expect([totals.get("docker.io"), totals.get("m0.gcr.io"), totals.get("other")]).toEqual([1, 2, 100]);
});
