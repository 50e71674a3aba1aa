import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { hedge } from "../../src/upstream/hedge.ts";
import { createClient, DIGEST, stub, upstreamOf } from "./support.ts";

const PATIENCE = 2_000;
const FINAL = new Error("final");

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });
});

afterEach(() => {
  vi.useRealTimers();
});

/** A race of so many attempts, each of which ends when the test says so. */
function createRace(count: number) {
  const attempts = Array.from({ length: count }, () => {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    return { promise, response: resolve, fail: reject, start: vi.fn(() => promise) };
  });
  const discarded: string[] = [];
  const outcome = hedge(
    attempts.map(({ start }) => start),
    {
      decisive: [0],
      patience: PATIENCE,
      isFinal: (error) => error === FINAL,
      discard: (response) => discarded.push(response),
    },
  );
  let settled: string | null = null;
  outcome.then(
    (response) => {
      settled = `response ${response}`;
    },
    (error: unknown) => {
      settled = error instanceof Error ? `error ${error.message}` : "error";
    },
  );
  const at = (index: number) => {
    const attempt = attempts[index];
    if (attempt === undefined) throw new RangeError(`there is no attempt ${index}`);
    return attempt;
  };
  return {
    discarded,
    /** Ends an attempt, and lets everything that follows from it happen. */
    response: async (index: number) => {
      at(index).response(`#${index}`);
      await vi.advanceTimersByTimeAsync(0);
    },
    fail: async (index: number, error: Error = new Error(`#${index}`)) => {
      at(index).fail(error);
      await vi.advanceTimersByTimeAsync(0);
    },
    pass: (milliseconds: number) => vi.advanceTimersByTimeAsync(milliseconds),
    started: () => attempts.filter(({ start }) => start.mock.calls.length > 0).length,
    startedOnce: () => attempts.every(({ start }) => start.mock.calls.length <= 1),
    settled: () => settled,
  };
}

describe("the first attempt", () => {
  test("runs alone until patience is over, and no longer", async () => {
    const race = createRace(3);
    await race.pass(PATIENCE - 1);
    expect(race.started()).toBe(1);
    await race.pass(1);
    expect(race.started()).toBe(2);
  });

  test("that succeeds in time stays the only one", async () => {
    const race = createRace(3);
    await race.response(0);
    await race.pass(10 * PATIENCE);
    expect(race.settled()).toBe("response #0");
    expect(race.started()).toBe(1);
  });

  test("that fails is followed at once", async () => {
    const race = createRace(2);
    await race.fail(0);
    expect(race.started()).toBe(2);
  });

  test("that is final is followed by no other attempt", async () => {
    const race = createRace(3);
    await race.fail(0, FINAL);
    await race.pass(10 * PATIENCE);
    expect(race.settled()).toBe("error final");
    expect(race.started()).toBe(1);
  });

  test("that fails finally, even late, ends the race, and later results are discarded", async () => {
    const race = createRace(3);
    await race.pass(PATIENCE);
    await race.fail(0, FINAL);
    expect(race.settled()).toBe("error final");
    await race.response(1);
    expect(race.discarded).toEqual(["#1"]);
    expect(race.started()).toBe(2);
  });

  test("that is alone is waited for, however long it takes", async () => {
    const race = createRace(1);
    await race.pass(100 * PATIENCE);
    expect(race.settled()).toBe(null);
    await race.response(0);
    expect(race.settled()).toBe("response #0");
  });
});

describe("at most two run at a time", () => {
  test("when both are slow", async () => {
    const race = createRace(5);
    await race.pass(100 * PATIENCE);
    expect(race.started()).toBe(2);
  });

  test("when one of the two fails: only then comes the third", async () => {
    const race = createRace(5);
    await race.pass(PATIENCE);
    await race.fail(1);
    expect(race.started()).toBe(3);
    await race.pass(100 * PATIENCE);
    expect(race.started()).toBe(3);
    await race.fail(0);
    expect(race.started()).toBe(4);
  });

  test("when the first fails before patience is over: only one more runs beside the slow second", async () => {
    const race = createRace(5);
    await race.pass(PATIENCE / 2);
    await race.fail(0);
    await race.pass(100 * PATIENCE);
    expect(race.started()).toBe(3);
  });

  test("and none of them twice", async () => {
    const race = createRace(3);
    await race.pass(PATIENCE);
    for (const index of [0, 1, 2]) await race.fail(index);
    expect(race.startedOnce()).toBe(true);
  });
});

describe("the response", () => {
  test("is the first one, from any attempt", async () => {
    const race = createRace(2);
    await race.pass(PATIENCE);
    await race.response(1);
    expect(race.settled()).toBe("response #1");
  });

  test("that comes late is discarded, once, and the winner never is", async () => {
    const race = createRace(2);
    await race.pass(PATIENCE);
    await race.response(0);
    expect(race.discarded).toEqual([]);
    await race.response(1);
    expect(race.discarded).toEqual(["#1"]);
    expect(race.settled()).toBe("response #0");
  });

  test("of the last attempt counts as any other", async () => {
    const race = createRace(3);
    await race.fail(0);
    await race.fail(1);
    await race.response(2);
    expect(race.settled()).toBe("response #2");
  });

  test("starts no further attempt, even when a loser fails after it", async () => {
    const race = createRace(4);
    await race.pass(PATIENCE);
    await race.response(1);
    await race.fail(0);
    await race.pass(10 * PATIENCE);
    expect(race.started()).toBe(2);
  });
});

describe("the error", () => {
  test.each([
    ["the order they began in", [0, 1, 2]],
    ["another order", [1, 2, 0]],
  ])("is the first attempt's if none succeeds, when they fail in %s", async (_, order) => {
    const race = createRace(3);
    await race.pass(PATIENCE);
    for (const index of order) await race.fail(index);
    expect(race.settled()).toBe("error #0");
  });

  test("of any but the first never ends the race", async () => {
    const race = createRace(3);
    await race.fail(0);
    await race.fail(1, FINAL);
    expect(race.settled()).toBe(null);
    await race.response(2);
    expect(race.settled()).toBe("response #2");
  });

  test("isn't reported while another attempt may still succeed", async () => {
    const race = createRace(2);
    await race.pass(PATIENCE);
    await race.fail(0);
    expect(race.settled()).toBe(null);
    await race.fail(1);
    expect(race.settled()).toBe("error #0");
  });

  test("of a loser has no effect", async () => {
    const race = createRace(2);
    await race.pass(PATIENCE);
    await race.response(1);
    await race.fail(0);
    const ended = createRace(2);
    await ended.pass(PATIENCE);
    await ended.fail(0, FINAL);
    await ended.fail(1);
    vi.useRealTimers();
    // Vitest fails a run in which a rejection is left unhandled.
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect([race.settled(), ended.settled()]).toEqual(["response #1", "error final"]);
  });
});

describe("an upstream with a fallback", () => {
  const upstream = upstreamOf({ endpoints: ["https://registry.test", "https://one.test"] });
  const path = `blobs/${DIGEST}`;
  /** The primary takes so long, the fallback responds at once. */
  const createScene = (milliseconds: number) => {
    const cancelled = vi.fn();
    const { fetch, requested } = stub(async ({ url, signal }) => {
      if (new URL(url).host === "one.test") return new Response("from the fallback");
      await new Promise((resolve, reject) => {
        setTimeout(resolve, milliseconds);
        signal.addEventListener("abort", () => reject(signal.reason));
      });
      return new Response(new ReadableStream({ cancel: cancelled }));
    });
    const hosts = () => requested.map(({ url }) => new URL(url).host);
    return { ...createClient(fetch), requested, hosts, cancelled };
  };

  test("has it requested beside a slow primary after two seconds, and leaves no request to the primary open", async () => {
    const { request, requested, hosts, cancelled, background } = createScene(5_000);
    const response = request({ upstream, path });
    await vi.advanceTimersByTimeAsync(PATIENCE - 1);
    expect(hosts()).toEqual(["registry.test"]);
    await vi.advanceTimersByTimeAsync(1);
    expect(await (await response).text()).toBe("from the fallback");
    await vi.advanceTimersByTimeAsync(3_000);
    await Promise.all(background);
    // Either the request was aborted when overtaken, or its late response was cancelled.
    expect(requested[0]?.signal.aborted || cancelled.mock.calls.length === 1).toBe(true);
    expect(requested[1]?.signal.aborted).toBe(false);
  });

  test("doesn't request a tag from it, however slow the primary is", async () => {
    const { request, hosts } = createScene(9_000);
    const response = request({ upstream, path: "manifests/latest" });
    await vi.advanceTimersByTimeAsync(9_000);
    expect((await response).status).toBe(200);
    expect(hosts()).toEqual(["registry.test"]);
  });

  test("whose primary is merely slow still gets content there that the fallback lacks", async () => {
    const { fetch } = stub(async ({ url, signal }) => {
      const isAlternate = new URL(url).host === "one.test";
      if (isAlternate) return new Response(null, { status: url.endsWith(path) ? 200 : 404 });
      await new Promise((resolve, reject) => {
        setTimeout(resolve, 3_000);
        signal.addEventListener("abort", () => reject(signal.reason));
      });
      return new Response("from the primary");
    });
    const { status } = createClient(fetch);
    const after = async (milliseconds: number, at: string) => {
      const code = status({ upstream, path: at }).catch(String);
      await vi.advanceTimersByTimeAsync(milliseconds);
      return code;
    };
    for (let round = 0; round < 5; round++) expect(await after(PATIENCE, path)).toBe(200);
    expect(await after(3_000, `blobs/${DIGEST.replaceAll("a1", "b2")}`)).toBe(200);
  });

  test("doesn't leave the primary's request open when the fallback has responded", async () => {
    const { request, requested } = createScene(3_600_000);
    const response = request({ upstream, path });
    await vi.advanceTimersByTimeAsync(PATIENCE);
    await response;
    await vi.advanceTimersByTimeAsync(20_000);
    expect(requested[0]?.signal.aborted).toBe(true);
  });
});
