import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { UpstreamClient } from "../../src/upstream/client.ts";
import { EndpointHealth } from "../../src/upstream/endpoint-health.ts";
import type { UpstreamRequest } from "../../src/upstream/request.ts";
import { behaviours, createFakeNetwork, createFakeRegistry } from "../support/fake-registry.ts";
import { useMirror } from "../support/mirror.ts";
import { createClient, createClock, DIGEST, failureOf, stub, upstreamOf } from "./support.ts";

const BLOB = `blobs/${DIGEST}`;
/** Milliseconds that a whole upstream request may take. */
const QUESTION = 10_000;
/** Milliseconds that a ping may take. */
const PING = 5_000;

afterEach(() => {
  vi.useRealTimers();
});

describe("an endpoint", () => {
  const createHealth = () => {
    const clock = createClock();
    const endpoint = { isUp: true, pings: 0 };
    const ping = async () => {
      endpoint.pings++;
      return endpoint.isUp;
    };
    const health = new EndpointHealth({ ping, now: clock.now });
    const fail = async (times: number) => {
      const background: Promise<unknown>[] = [];
      for (let time = 0; time < times; time++) health.failed((work) => background.push(work));
      await Promise.all(background);
    };
    const admits = () => health.admits();
    return { clock, health, endpoint, fail, admits };
  };

  test("is pinged after three failed requests in a row, and stays in use if the ping succeeds", async () => {
    const { fail, admits, endpoint } = createHealth();
    await fail(2);
    expect(endpoint.pings).toBe(0);
    await fail(1);
    expect(endpoint.pings).toBe(1);
    expect(await admits()).toBe(true);
  });

  test("isn't pinged while requests succeed in between", async () => {
    const { fail, health, endpoint } = createHealth();
    for (let round = 0; round < 5; round++) {
      await fail(2);
      health.succeeded();
    }
    expect(endpoint.pings).toBe(0);
  });

  test("is pinged at most every five seconds while requests keep failing", async () => {
    const { fail, clock, endpoint } = createHealth();
    await fail(50);
    expect(endpoint.pings).toBe(1);
    clock.pass(5);
    await fail(50);
    expect(endpoint.pings).toBe(2);
  });

  test.each([
    ["says no", async () => false],
    ["throws", () => Promise.reject(new TypeError("network connection lost"))],
  ])("is refused for five seconds when its ping %s", async (_, ping) => {
    const clock = createClock();
    const health = new EndpointHealth({ ping, now: clock.now });
    const background: Promise<unknown>[] = [];
    for (let time = 0; time < 3; time++) health.failed((work) => background.push(work));
    await Promise.all(background);
    expect(await health.admits()).toBe(false);
    expect(health.retryAfter()).toBe(5);
  });

  test("is probed by one caller after that, who continues if the probe succeeds; the others are refused meanwhile", async () => {
    const { fail, admits, clock, endpoint } = createHealth();
    endpoint.isUp = false;
    await fail(3);
    clock.pass(5);
    endpoint.isUp = true;
    expect(await Promise.all([admits(), admits(), admits()])).toEqual([true, false, false]);
    expect(await admits()).toBe(true);
    expect(endpoint.pings).toBe(2);
  });

  test("is refused for longer with each failed ping, not with each failed request", async () => {
    const { fail, admits, clock, endpoint, health } = createHealth();
    endpoint.isUp = false;
    await fail(30);
    expect(health.retryAfter()).toBe(5);
    clock.pass(5);
    expect(await admits()).toBe(false);
    expect(health.retryAfter()).toBe(10);
  });

  test.each(["succeeded", "failed"] as const)(
    "that sent wrong bytes isn't used for ten minutes, even if an earlier request %s",
    async (outcome) => {
      const { health, admits, clock } = createHealth();
      health.quarantine();
      health[outcome](() => {});
      expect(health.retryAfter()).toBe(600);
      clock.pass(599);
      expect(await admits()).toBe(false);
      clock.pass(1);
      expect(await admits()).toBe(true);
    },
  );
});

describe("a dead primary", () => {
  const upstream = upstreamOf({
    endpoints: ["https://registry.test", "https://one.test", "https://two.test"],
  });
  const createScene = (answers: Record<string, (request: Request) => Response | Promise<Response>> = {}) => {
    const { fetch, requested } = stub(
      (request) => answers[new URL(request.url).host]?.(request) ?? new Response("content"),
    );
    const hosts = () => {
      const seen = requested.map(({ url }) => new URL(url).host);
      requested.length = 0;
      return seen;
    };
    return { ...createClient(fetch, Date.now), requested, hosts };
  };
  const silent = ({ signal }: Request) =>
    new Promise<Response>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  const lost = () => {
    throw new TypeError("network connection lost");
  };
  /** Advances the clock by so many milliseconds, during which it fails. */
  const failureAfter = async <Failure>(milliseconds: number, failing: Promise<Failure>) => {
    await vi.advanceTimersByTimeAsync(milliseconds);
    return failing;
  };
  /** Has three requests fail by their time-out, and then the ping that they lead to. */
  const goSilent = async ({ failure }: ReturnType<typeof createScene>) => {
    for (let round = 0; round < 3; round++) await failureAfter(QUESTION, failure({ upstream }));
    await vi.advanceTimersByTimeAsync(PING);
  };
  /** Milliseconds that a response takes on the test's clock. */
  const timed = async (asking: Promise<unknown>): Promise<number> => {
    const started = Date.now();
    let isSettled = false;
    const outcome = asking.finally(() => {
      isSettled = true;
    });
    outcome.catch(() => {});
    await vi.advanceTimersByTimeAsync(0);
    while (!isSettled) await vi.advanceTimersByTimeAsync(100);
    await outcome;
    return Date.now() - started;
  };

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });
  });

  test("costs three time-outs for tags, and then none: the client gets Retry-After at once", async () => {
    const scene = createScene({ "registry.test": silent });
    const { failure, requested, hosts } = scene;
    await goSilent(scene);
    const tag = "https://registry.test/v2/owner/image/manifests/latest";
    expect(requested.map(({ url }) => url)).toEqual([tag, tag, tag, "https://registry.test/v2/"]);
    hosts();
    await vi.advanceTimersByTimeAsync(1_000);
    const { kind, status, retryAfter, message } = await failure({ upstream });
    expect([kind, status, retryAfter]).toEqual(["unavailable", 0, 4]);
    expect(message).toBe("registry.test is down and gets no requests for another 4 s");
    expect(hosts()).toEqual([]);
  });

  test("costs digests no wait once tags have opened its circuit", async () => {
    const scene = createScene({ "registry.test": silent });
    const { status, hosts } = scene;
    await goSilent(scene);
    hosts();
    expect(await timed(status({ upstream, path: BLOB }))).toBe(0);
    expect(hosts()).toEqual(["one.test"]);
  });

  test("costs most digests no wait, also without requests for tags", async () => {
    const { status } = createScene({ "registry.test": silent });
    const waits: number[] = [];
    for (let round = 0; round < 20; round++) {
      waits.push(await timed(status({ upstream, path: BLOB })));
      await vi.advanceTimersByTimeAsync(500);
    }
    expect(Math.max(...waits)).toBeLessThanOrEqual(2_000);
    expect(waits.filter((wait) => wait === 0).length).toBeGreaterThan(10);
  });

  test("isn't one that is merely slower than its fallbacks: its tags are still resolved", async () => {
    const { status } = createScene({
      "registry.test": async ({ signal }) => {
        await new Promise((resolve, reject) => {
          setTimeout(resolve, 3_000);
          signal.addEventListener("abort", () => reject(signal.reason));
        });
        return new Response("content");
      },
    });
    for (let round = 0; round < 5; round++) await timed(status({ upstream, path: BLOB }));
    const tag = status({ upstream }).catch(String);
    await vi.advanceTimersByTimeAsync(3_000);
    expect(await tag).toBe(200);
  });

  test("is probed once its circuit is half-open, and back in use after one success", async () => {
    let isUp = false;
    const scene = createScene({
      "registry.test": (request) => (isUp ? new Response("content") : silent(request)),
    });
    const { failure, status, hosts } = scene;
    await goSilent(scene);
    isUp = true;
    expect((await failure({ upstream })).message).toContain("is down");
    await vi.advanceTimersByTimeAsync(5_000);
    hosts();
    expect([await status({ upstream }), await status({ upstream })]).toEqual([200, 200]);
    // The ping, and then the two.
    expect(hosts()).toHaveLength(3);
  });

  test("doesn't make content missing that one fallback lacks: the others are tried, or the primary's outage is reported", async () => {
    let hasTwo = true;
    const gone = () => new Response(null, { status: 404 });
    const scene = createScene({
      "registry.test": silent,
      "one.test": gone,
      "two.test": () => (hasTwo ? new Response("content") : gone()),
    });
    const { failure, status, hosts } = scene;
    await goSilent(scene);
    hosts();
    expect(await status({ upstream, path: BLOB })).toBe(200);
    expect(hosts()).toEqual(["one.test", "two.test"]);
    hasTwo = false;
    expect((await failure({ upstream, path: BLOB })).kind).toBe("unavailable");
  });

  test("is replaced by a fallback that was down itself, as soon as that one's circuit is half-open", async () => {
    let isFallbackUp = false;
    let isPrimaryUp = true;
    const { status, hosts } = createScene({
      "registry.test": () => (isPrimaryUp ? new Response("content") : new Response(null, { status: 429 })),
      "one.test": () => (isFallbackUp ? new Response("content") : lost()),
      "two.test": lost,
    });
    isPrimaryUp = false;
    for (let round = 0; round < 3; round++) {
      const asking = status({ upstream, path: BLOB }).catch(() => 0);
      await vi.advanceTimersByTimeAsync(1_000);
      await asking;
    }
    isPrimaryUp = true;
    isFallbackUp = true;
    await vi.advanceTimersByTimeAsync(6_000);
    // It doesn't need the fallback, so it mustn't take the fallback's probe either.
    expect(await status({ upstream, path: BLOB })).toBe(200);
    isPrimaryUp = false;
    hosts();
    expect(await status({ upstream, path: BLOB }).catch(() => 0)).toBe(200);
    expect(hosts()).toContain("one.test");
  });

  test("is one that is unreachable or behind a failing gateway, not one that answers 500, 404 or 429", async () => {
    for (const code of [500, 404, 429, 403, 400]) {
      const { failure, hosts } = createScene({ "registry.test": () => new Response(null, { status: code }) });
      for (let round = 0; round < 6; round++) await failure({ upstream });
      expect(hosts()).toHaveLength(6);
    }
    for (const response of [lost, () => new Response(null, { status: 503 })]) {
      const { failure, hosts } = createScene({ "registry.test": response });
      for (let round = 0; round < 6; round++) await failureAfter(500, failure({ upstream }));
      // Three requests of two attempts each, and the ping.
      expect(hosts()).toHaveLength(7);
    }
  });

  const isPing = ({ url }: Request) => new URL(url).pathname === "/v2/";

  test.each([401, 403, 404, 429, 307])("isn't one that answers its ping with %i", async (code) => {
    const { failure, status } = createScene({
      "registry.test": (request) => {
        if (isPing(request)) return new Response(null, { status: code, headers: { Location: "/v2" } });
        return request.url.includes("/broken/") ? lost() : new Response("content");
      },
    });
    for (let round = 0; round < 10; round++) {
      await failureAfter(500, failure({ upstream, repository: "owner/broken" }));
    }
    expect(await status({ upstream })).toBe(200);
  });

  test.each([
    ["fails", lost],
    ["is down behind its gateway", () => new Response(null, { status: 503 })],
  ])("isn't one whose storage %s: that of one object may be broken alone", async (_, response) => {
    const { failure, requested } = createScene({
      "registry.test": () =>
        new Response(null, { status: 307, headers: { Location: "https://storage.test/x" } }),
      "storage.test": response,
    });
    const alone = upstreamOf();
    const kinds: string[] = [];
    for (let round = 0; round < 10; round++) {
      const asking = failure({ upstream: alone, path: BLOB });
      kinds.push((await failureAfter(500, asking)).message);
    }
    expect(kinds.at(-1)).toMatch(/^storage\.test can't be reached|^upstream answered 503/);
    // Ten requests of two attempts each, each with a redirect, and no ping.
    expect(requested).toHaveLength(40);
    expect(requested.some(isPing)).toBe(false);
  });

  test("isn't one whose storage doesn't respond", async () => {
    const { failure, requested } = createScene({
      "registry.test": () =>
        new Response(null, { status: 307, headers: { Location: "https://storage.test/x" } }),
      "storage.test": silent,
    });
    const alone = upstreamOf();
    for (let round = 0; round < 5; round++) {
      const { message } = await failureAfter(QUESTION, failure({ upstream: alone, path: BLOB }));
      expect(message).toBe("storage.test doesn't respond");
    }
    expect(requested.some(isPing)).toBe(false);
  });
});

describe("wrong bytes", () => {
  test("quarantine a fallback but not the primary: nothing new could be fetched without it", async () => {
    const clock = createClock();
    let isLimited = true;
    const { fetch, requested } = stub(({ url }) =>
      new URL(url).host === "registry.test" && isLimited
        ? new Response(null, { status: 429 })
        : new Response("wrong"),
    );
    const client = new UpstreamClient({ fetch, now: clock.now });
    const upstream = upstreamOf({ endpoints: ["https://registry.test", "https://one.test"] });
    const sketch: UpstreamRequest = { upstream, repository: "owner/image", method: "GET", path: BLOB };
    const request = () => client.fetch(sketch, () => {});
    client.quarantine(await request(), upstream);
    expect((await failureOf(request())).kind).toBe("limited");
    expect(requested.map(({ url }) => new URL(url).host)).toEqual([
      "registry.test",
      "one.test",
      "registry.test",
    ]);
    isLimited = false;
    client.quarantine(await request(), upstream);
    expect((await request()).status).toBe(200);
  });

  describe("through the mirror", () => {
    const endpoints = ["https://registry-1.docker.io", "https://bad.example.org", "https://good.example.org"];
    const mirror = useMirror({ UPSTREAMS: { "docker.io": { endpoints } } });

    test.each(["blob", "manifest"] as const)(
      "as a %s from a fallback are never stored, and the next pull uses another endpoint",
      async (kind) => {
        const bad = createFakeRegistry({ registryHost: "bad.example.org", auth: "none" });
        const good = createFakeRegistry({ registryHost: "good.example.org", auth: "none" });
        vi.stubGlobal("fetch", createFakeNetwork(mirror.docker, bad, good).fetch);
        const [image] = await Promise.all(
          [mirror.docker, bad, good].map((registry) => registry.addImage("library/demo", "latest")),
        );
        const digest = kind === "blob" ? image?.layers[0]?.digest : image?.target.digest;
        const path = `/v2/library/demo/${kind}s/${digest}`;
        const stored = async () =>
          (await mirror.stored()).filter((key) => key.endsWith(`${digest}`.replace("sha256:", "")));
        mirror.docker.fail({ kind }, behaviours.tooManyRequests());
        bad.fail({ kind }, behaviours.corrupted());
        good.fail({ kind }, { status: 404 });
        await mirror.request(path);
        expect(bad.count({ kind, status: 200 })).toBe(1);
        expect(await stored()).toEqual([]);
        good.clearFaults();
        expect((await mirror.request(path)).status).toBe(200);
        // The failed fill may still hold the lease; then its alarm fills.
        if (kind === "blob") await mirror.runAlarm(`${digest}`);
        expect(await stored()).toHaveLength(1);
        expect(bad.count({ kind })).toBe(1);
      },
    );
  });
});
