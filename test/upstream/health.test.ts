import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { UpstreamClient } from "../../src/upstream/client.ts";
import { Health } from "../../src/upstream/health.ts";
import type { Question } from "../../src/upstream/question.ts";
import { behaviours, createFakeNetwork, createFakeRegistry } from "../support/fake-registry.ts";
import { useMirror } from "../support/mirror.ts";
import { createAsker, createClock, DIGEST, failureOf, stub, upstreamOf } from "./asking.ts";

const AUTHORITY = new URL("https://registry.test");
const ALTERNATE = new URL("https://one.test");
const BLOB = `blobs/${DIGEST}`;
/** Milliseconds that a whole question may take. */
const QUESTION = 10_000;

afterEach(() => {
  vi.useRealTimers();
});

describe("an endpoint", () => {
  test("is forgotten when there are very many others: callers choose which there are of a family", () => {
    const health = new Health(createClock().now);
    const failed = (name: string) => {
      for (let time = 0; time < 3; time++) health.failed(new URL(`https://${name}.gcr.io`));
      return new URL(`https://${name}.gcr.io`);
    };
    const first = failed("first");
    expect(health.mayAsk(first)).toBe(false);
    for (let index = 0; index < 10_000; index++) failed(`x${index}`);
    expect(health.mayAsk(first)).toBe(true);
  });

  const createHealth = () => {
    const clock = createClock();
    const health = new Health(clock.now);
    const fail = (times: number, endpoint = AUTHORITY) => {
      for (let time = 0; time < times; time++) health.failed(endpoint);
    };
    /** Seconds until it may be asked again, told by asking as seldom as can be. */
    const rest = (endpoint = AUTHORITY) => {
      const seconds = health.restOf(endpoint);
      clock.pass(seconds - 1);
      expect(health.mayAsk(endpoint)).toBe(false);
      clock.pass(1);
      return seconds;
    };
    return { clock, health, fail, rest, may: (endpoint = AUTHORITY) => health.mayAsk(endpoint) };
  };

  test("that nothing is known of may be asked", () => {
    expect(createHealth().may()).toBe(true);
  });

  test("is tolerated failing twice in a row, by any number of callers; the third time it rests", () => {
    const { fail, may } = createHealth();
    fail(2);
    expect([may(), may(), may()]).toEqual([true, true, true]);
    fail(1);
    expect(may()).toBe(false);
  });

  test("has its failures forgotten with its next answer", () => {
    const { fail, may, health } = createHealth();
    fail(2);
    health.succeeded(AUTHORITY);
    fail(2);
    expect(may()).toBe(true);
  });

  test("rests alone: neither another host nor another path of the same one rests with it", () => {
    const { fail, may } = createHealth();
    fail(3, new URL("https://m.test/docker.io"));
    expect(may(new URL("https://m.test/docker.io"))).toBe(false);
    expect(may(new URL("https://m.test/ghcr.io"))).toBe(true);
    expect(may(ALTERNATE)).toBe(true);
  });

  test("rests for five seconds, then for twice as long after every failed probe, five minutes at most", () => {
    const { fail, may, rest } = createHealth();
    fail(3);
    const rests = Array.from({ length: 9 }, () => {
      const seconds = rest();
      expect(may()).toBe(true);
      fail(1);
      return seconds;
    });
    expect(rests).toEqual([5, 10, 20, 40, 80, 160, 300, 300, 300]);
  });

  test("is asked by one caller at a time when its rest is over", () => {
    const { fail, may, rest } = createHealth();
    fail(3);
    rest();
    expect([may(), may(), may()]).toEqual([true, false, false]);
  });

  test("isn't asked by another while the first may still be waiting for it", () => {
    const { fail, may, rest, clock } = createHealth();
    fail(3);
    rest();
    expect(may()).toBe(true);
    clock.pass(QUESTION / 1000 - 0.5);
    expect(may()).toBe(false);
  });

  test("is asked by the next where the first never came back with a word", () => {
    const { fail, may, rest, clock } = createHealth();
    fail(3);
    rest();
    may();
    clock.pass(60);
    expect(may()).toBe(true);
  });

  test("is as good as ever after one success", () => {
    const { fail, may, rest, health } = createHealth();
    fail(5);
    rest();
    may();
    health.succeeded(AUTHORITY);
    fail(2);
    expect([may(), may()]).toEqual([true, true]);
  });

  test("that fails many at once rests no longer for it: it is one misfortune", () => {
    const { fail, health } = createHealth();
    fail(20);
    expect(health.restOf(AUTHORITY)).toBe(5);
  });

  test("that sent wrong bytes is left alone for ten minutes, at once", () => {
    const { health, rest, may } = createHealth();
    health.distrust(ALTERNATE);
    expect(rest(ALTERNATE)).toBe(600);
    expect([may(ALTERNATE), may(ALTERNATE)]).toEqual([true, false]);
  });

  test.each(["succeeded", "failed"] as const)(
    "that sent wrong bytes isn't asked sooner because another answer of it, under way before, %s",
    (outcome) => {
      const { health, may, clock } = createHealth();
      health.distrust(ALTERNATE);
      health[outcome](ALTERNATE);
      clock.pass(300);
      expect(may(ALTERNATE)).toBe(false);
    },
  );
});

describe("a dead authority", () => {
  const upstream = upstreamOf({
    endpoints: ["https://registry.test", "https://one.test", "https://two.test"],
  });
  const createScene = (answers: Record<string, (request: Request) => Response | Promise<Response>> = {}) => {
    const { fetch, asked } = stub(
      (request) => answers[new URL(request.url).host]?.(request) ?? new Response("content"),
    );
    const hosts = () => {
      const seen = asked.map(({ url }) => new URL(url).host);
      asked.length = 0;
      return seen;
    };
    return { ...createAsker(fetch, Date.now), asked, hosts };
  };
  const silent = ({ signal }: Request) =>
    new Promise<Response>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  const lost = () => {
    throw new TypeError("network connection lost");
  };
  /** Lets so many milliseconds pass, in which it fails. */
  const failureAfter = async <Failure>(milliseconds: number, failing: Promise<Failure>) => {
    await vi.advanceTimersByTimeAsync(milliseconds);
    return failing;
  };
  /** Milliseconds that an answer takes on the test's clock. */
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

  test("costs a tag a time-out three times, and then none: it is told at once when to ask again", async () => {
    const { failure, hosts } = createScene({ "registry.test": silent });
    for (let round = 0; round < 3; round++) await failureAfter(QUESTION, failure({ upstream }));
    expect(hosts()).toHaveLength(3);
    await vi.advanceTimersByTimeAsync(1_000);
    const { kind, status, retryAfter, message } = await failure({ upstream });
    expect([kind, status, retryAfter]).toEqual(["unavailable", 0, 4]);
    expect(message).toBe("registry.test has failed several times in a row and is left alone for 4 s");
    expect(hosts()).toEqual([]);
  });

  test("costs digests no wait once tags have shown that it is dead", async () => {
    const { failure, status, hosts } = createScene({ "registry.test": silent });
    for (let round = 0; round < 3; round++) await failureAfter(QUESTION, failure({ upstream }));
    hosts();
    expect(await timed(status({ upstream, path: BLOB }))).toBe(0);
    expect(hosts()).toEqual(["one.test"]);
  });

  test("costs most digests no wait, also where no tag is asked for", async () => {
    const { status } = createScene({ "registry.test": silent });
    const waits: number[] = [];
    for (let round = 0; round < 20; round++) {
      waits.push(await timed(status({ upstream, path: BLOB })));
      await vi.advanceTimersByTimeAsync(500);
    }
    expect(Math.max(...waits)).toBeLessThanOrEqual(2_000);
    expect(waits.filter((wait) => wait === 0).length).toBeGreaterThan(10);
  });

  test("isn't one that is merely slower than its alternates: its tags are still to be had", async () => {
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

  test("is asked again after its rest, and back for good with one answer", async () => {
    let isUp = false;
    const { failure, status, hosts } = createScene({
      "registry.test": (request) => (isUp ? new Response("content") : silent(request)),
    });
    for (let round = 0; round < 3; round++) await failureAfter(QUESTION, failure({ upstream }));
    isUp = true;
    expect((await failure({ upstream })).message).toContain("left alone");
    await vi.advanceTimersByTimeAsync(5_000);
    hosts();
    expect([await status({ upstream }), await status({ upstream })]).toEqual([200, 200]);
    expect(hosts()).toEqual(["registry.test", "registry.test"]);
  });

  test("doesn't make missing what an alternate just hasn't got: the others are asked, and else it is told as down", async () => {
    let hasTwo = true;
    const gone = () => new Response(null, { status: 404 });
    const { failure, status, hosts } = createScene({
      "registry.test": silent,
      "one.test": gone,
      "two.test": () => (hasTwo ? new Response("content") : gone()),
    });
    for (let round = 0; round < 3; round++) await failureAfter(QUESTION, failure({ upstream }));
    hosts();
    expect(await status({ upstream, path: BLOB })).toBe(200);
    expect(hosts()).toEqual(["one.test", "two.test"]);
    hasTwo = false;
    expect((await failure({ upstream, path: BLOB })).kind).toBe("unavailable");
  });

  test("has an alternate stand in that was down itself, as soon as that one's rest is over", async () => {
    let isAlternateUp = false;
    let isAuthorityUp = true;
    const { status, hosts } = createScene({
      "registry.test": () => (isAuthorityUp ? new Response("content") : new Response(null, { status: 429 })),
      "one.test": () => (isAlternateUp ? new Response("content") : lost()),
      "two.test": lost,
    });
    isAuthorityUp = false;
    for (let round = 0; round < 3; round++) {
      const asking = status({ upstream, path: BLOB }).catch(() => 0);
      await vi.advanceTimersByTimeAsync(1_000);
      await asking;
    }
    isAuthorityUp = true;
    isAlternateUp = true;
    await vi.advanceTimersByTimeAsync(6_000);
    // It doesn't need the alternate, so it mustn't use up the alternate's chance either.
    expect(await status({ upstream, path: BLOB })).toBe(200);
    isAuthorityUp = false;
    hosts();
    expect(await status({ upstream, path: BLOB }).catch(() => 0)).toBe(200);
    expect(hosts()).toContain("one.test");
  });

  test("is one that can't be reached or is behind a failing gateway, not one that says 500, 404 or 429", async () => {
    for (const code of [500, 404, 429, 403, 400]) {
      const { failure, hosts } = createScene({ "registry.test": () => new Response(null, { status: code }) });
      for (let round = 0; round < 6; round++) await failure({ upstream });
      expect(hosts()).toHaveLength(6);
    }
    for (const answer of [lost, () => new Response(null, { status: 503 })]) {
      const { failure, hosts } = createScene({ "registry.test": answer });
      for (let round = 0; round < 6; round++) await failureAfter(500, failure({ upstream }));
      // Three questions of two tries each.
      expect(hosts()).toHaveLength(6);
    }
  });
});

describe("wrong bytes", () => {
  test("from an alternate end its being asked, from the authority they don't: nothing new could be had without it", async () => {
    const clock = createClock();
    let isLimited = true;
    const { fetch, asked } = stub(({ url }) =>
      new URL(url).host === "registry.test" && isLimited
        ? new Response(null, { status: 429 })
        : new Response("wrong"),
    );
    const client = new UpstreamClient({ fetch, now: clock.now });
    const upstream = upstreamOf({ endpoints: ["https://registry.test", "https://one.test"] });
    const question: Question = { upstream, repository: "owner/image", method: "GET", path: BLOB };
    const ask = () => client.ask(question, () => {});
    client.distrust(await ask(), upstream);
    expect((await failureOf(ask())).kind).toBe("limited");
    expect(asked.map(({ url }) => new URL(url).host)).toEqual(["registry.test", "one.test", "registry.test"]);
    isLimited = false;
    client.distrust(await ask(), upstream);
    expect((await ask()).status).toBe(200);
  });

  describe("through the mirror", () => {
    const endpoints = ["https://registry-1.docker.io", "https://bad.example.org", "https://good.example.org"];
    const mirror = useMirror({ UPSTREAMS: { "docker.io": { endpoints } } });

    test.each(["blob", "manifest"] as const)(
      "as a %s from an alternate are never stored, and the next pull goes elsewhere",
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
        await mirror.ask(path);
        expect(bad.count({ kind, status: 200 })).toBe(1);
        expect(await stored()).toEqual([]);
        good.clearFaults();
        expect((await mirror.ask(path)).status).toBe(200);
        // The failed fill may hold the lease still: then it is its alarm that fills.
        if (kind === "blob") await mirror.runAlarm(`${digest}`);
        expect(await stored()).toHaveLength(1);
        expect(bad.count({ kind })).toBe(1);
      },
    );
  });
});
