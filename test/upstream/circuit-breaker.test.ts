import { afterEach, describe, expect, test, vi } from "vitest";
import { CircuitBreaker } from "../../src/upstream/circuit-breaker.ts";
import { Endpoints } from "../../src/upstream/endpoints.ts";
import { createClock, stub } from "./support.ts";

/** Milliseconds that a whole upstream request may take. */
const QUESTION = 10_000;

afterEach(() => {
  vi.useRealTimers();
});

describe("a circuit breaker", () => {
  const createBreaker = (threshold = 3) => {
    const clock = createClock();
    const breaker = new CircuitBreaker(threshold, clock.now);
    const fail = (times: number) => {
      for (let time = 0; time < times; time++) breaker.failed();
    };
    /** Seconds until it is half-open, before which no probe is possible. */
    const pause = () => {
      const seconds = breaker.retryAfter();
      clock.pass(seconds - 1);
      expect(breaker.tryAcquireProbe()).toBe(false);
      clock.pass(1);
      return seconds;
    };
    const isClosed = () => breaker.isClosed;
    return { clock, breaker, fail, pause, isClosed, probe: () => breaker.tryAcquireProbe() };
  };

  test("starts closed, without a probe", () => {
    const { isClosed, probe } = createBreaker();
    expect([isClosed(), probe()]).toEqual([true, false]);
  });

  test("opens with the failure that reaches the threshold", () => {
    const { fail, isClosed } = createBreaker();
    fail(2);
    expect(isClosed()).toBe(true);
    fail(1);
    expect(isClosed()).toBe(false);
  });

  test("forgets failures with a success", () => {
    const { fail, isClosed, breaker } = createBreaker();
    fail(2);
    breaker.succeeded();
    fail(2);
    expect(isClosed()).toBe(true);
  });

  test("is open for five seconds, then for twice as long after every failed probe, five minutes at most", () => {
    const { fail, probe, pause } = createBreaker();
    fail(3);
    const pauses = Array.from({ length: 9 }, () => {
      const seconds = pause();
      expect(probe()).toBe(true);
      fail(1);
      return seconds;
    });
    expect(pauses).toEqual([5, 10, 20, 40, 80, 160, 300, 300, 300]);
  });

  test("half-open lets one probe through at a time, and another when the first is lost", () => {
    const { fail, probe, pause, clock } = createBreaker();
    fail(3);
    pause();
    expect([probe(), probe(), probe()]).toEqual([true, false, false]);
    clock.pass(QUESTION / 1000 - 0.5);
    expect(probe()).toBe(false);
    clock.pass(60);
    expect(probe()).toBe(true);
  });

  test("closes with one success, and counts from zero again", () => {
    const { fail, isClosed, probe, pause, breaker } = createBreaker();
    fail(3);
    pause();
    probe();
    breaker.succeeded();
    fail(2);
    expect(isClosed()).toBe(true);
  });

  test("isn't open longer because of many concurrent failures", () => {
    const { fail, breaker } = createBreaker();
    fail(20);
    expect(breaker.retryAfter()).toBe(5);
  });
});

describe("the record of an endpoint", () => {
  const createRecords = () => {
    const endpoints = new Endpoints({
      fetch: stub(() => new Response()).fetch,
      now: Date.now,
      via: "1.1 portolan",
    });
    const of = (url: string) => endpoints.of(new URL(url));
    return {
      of,
      quarantine: (url: string) => of(url).health.quarantine(),
      admits: (url: string) => of(url).health.admits(),
    };
  };

  test("is for its address: neither another host nor another path of the same one", async () => {
    const { of, quarantine, admits } = createRecords();
    quarantine("https://m.test/docker.io");
    expect(of("https://m.test/docker.io")).toBe(of("https://m.test/docker.io"));
    expect(await admits("https://m.test/docker.io")).toBe(false);
    expect(await admits("https://m.test/ghcr.io")).toBe(true);
    expect(await admits("https://one.test")).toBe(true);
  });

  test("is evicted when there are very many others, since clients choose a family's members", async () => {
    const { of, quarantine, admits } = createRecords();
    quarantine("https://first.gcr.io");
    for (let index = 0; index < 9_999; index++) of(`https://x${index}.gcr.io`);
    expect(await admits("https://first.gcr.io")).toBe(false);
    for (let index = 0; index < 10_000; index++) of(`https://y${index}.gcr.io`);
    expect(await admits("https://first.gcr.io")).toBe(true);
  });
});
