/** Requests as the ledger counts them: gathered, kept in spans, and shown as statistics and metrics. */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, test, vi } from "vitest";
import {
  type CountedRequest,
  type Traffic,
  type TrafficLedger,
  TrafficRecorder,
} from "../../src/ledger/traffic.ts";
import type { Use } from "../../src/ledger/uses.ts";
import type { Ledger } from "../../src/objects/ledger.ts";
import type { Digest } from "../../src/oci/digest.ts";
import { patternBytes } from "../support/fake-registry.ts";
import { useMirror } from "../support/mirror.ts";

const ADMIN_KEY = "an-admin-key-of-more-than-32-characters";
const OWNER = { headers: { Authorization: `Bearer ${ADMIN_KEY}` } };
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
// In the future, so that no alarm runs by itself.
const START = Date.UTC(2096, 5, 15);

const DIGEST: Digest = `sha256:${"1".repeat(64)}`;
const OTHER: Digest = `sha256:${"2".repeat(64)}`;

const mirror = useMirror({ ADMIN_KEY });
let ledger: DurableObjectStub<Ledger>;
beforeEach(() => {
  ledger = (env as unknown as { LEDGER: DurableObjectNamespace<Ledger> }).LEDGER.getByName("ledger");
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
    status: 200,
    bytes: 5,
    method: "GET",
  };
  const createScene = (add: TrafficLedger["add"] = async () => {}) => {
    const calls: (readonly Traffic[])[] = [];
    const uses: (readonly Use[])[] = [];
    const clock = { now: START };
    const work: Promise<unknown>[] = [];
    const written = {
      add: (each: readonly Traffic[], used: readonly Use[], at: number) => {
        calls.push(each);
        uses.push(used);
        return add(each, used, at);
      },
    };
    const recorder = new TrafficRecorder(
      () => written as unknown as TrafficLedger,
      () => clock.now,
      5,
    );
    const note = (given: Partial<CountedRequest> = {}) =>
      recorder.note({ ...record, ...given }, (each) => work.push(each));
    return { note, calls, uses, clock, done: () => Promise.all(work) };
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
    expect(uses.map((each) => each.length)).toEqual([1, 1]);
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
  test("knows of each digest when it was used first and last, on how many days, and out of which repository", async () => {
    const use = (source: string): Use => ({ digest: DIGEST, source });
    await ledger.add([], [use("docker.io/a/a")], START + HOUR / 2);
    await ledger.add([], [use("docker.io/a/a")], START + 2 * HOUR);
    await ledger.add([], [use("quay.io/b/b")], START + 25 * HOUR);
    await ledger.add([], [use("docker.io/a/a")], START + HOUR);
    expect(await ledger.uses()).toEqual([
      { digest: DIGEST, source: "quay.io/b/b", first: START, last: START + 25 * HOUR, days: 2 },
    ]);
  });

  test("counts what is alike in one minute together, and nothing else", async () => {
    await ledger.add([traffic(), traffic({ status: 404, served: "" })], [], START);
    await ledger.add([traffic({ requests: 2, bytes: 20 })], [], START + 59_000);
    await ledger.add([traffic()], [], START + MINUTE);
    expect(await ledger.since(START)).toEqual([
      { start: START, ...traffic({ status: 404, served: "" }) },
      { start: START, ...traffic({ requests: 3, bytes: 30 }) },
      { start: START + MINUTE, ...traffic() },
    ]);
  });

  test("merges minutes into hours, hours into days, and days into one sum, of which nothing is lost", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: START });
    try {
      await ledger.add([traffic()], [], START);
      await ledger.add([traffic()], [], START + 5 * MINUTE);
      await ledger.add([traffic()], [], START + HOUR);
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
    await ledger.add([traffic()], [], Date.now());
    expect(await runDurableObjectAlarm(ledger)).toBe(true);
  });
});

describe("what the owner sees", () => {
  beforeEach(() => {
    mirror.services.traffic = new TrafficRecorder(
      () => ledger,
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
    const { json } = await mirror.request("/_/stats?hours=1", OWNER);
    expect(json()).toMatchObject({
      requests: 3,
      bytes: expect.any(Number),
      hitRatio: 0.5,
      bytesSaved: 1000,
      errors: 0,
      byUpstream: { "docker.io": { requests: 2, bytes: 2000 } },
      bySource: { upstream: { requests: 1, bytes: 1000 }, store: { requests: 1, bytes: 1000 } },
    });
    expect((await mirror.request("/_/stats?hours=soon", OWNER)).status).toBe(400);
  });

  test("are metrics without a repository or a key in them", async () => {
    await pullTwice();
    const { headers, bytes } = await mirror.request("/_/metrics", OWNER);
    const text = new TextDecoder().decode(bytes);
    expect(headers.get("Content-Type")).toContain("text/plain; version=0.0.4");
    expect(text).toContain(
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
