import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { ADDRESS_RATE, Buckets, Limits, networkOf, type RateLimiter } from "../../src/access/limits.ts";

let now: number;
beforeEach(() => {
  now = Date.UTC(2026, 0, 1);
});
const clock = () => now;

describe("a bucket", () => {
  test("permits a minute's worth at once, then one as each token is added", () => {
    const buckets = new Buckets(clock);
    for (let taken = 0; taken < 60; taken++) expect(buckets.take("one", 60)).toBe(0);
    expect(buckets.take("one", 60)).toBe(1);
    now += 1000;
    expect(buckets.take("one", 60)).toBe(0);
    expect(buckets.take("one", 60)).toBe(1);
  });

  test("reports how long to wait where tokens are added slowly", () => {
    const buckets = new Buckets(clock);
    expect(buckets.take("one", 2)).toBe(0);
    expect(buckets.take("one", 2)).toBe(0);
    expect(buckets.take("one", 2)).toBe(30);
  });

  test("never holds more than a minute's worth, and isn't emptied by a clock that goes back", () => {
    const buckets = new Buckets(clock);
    buckets.take("one", 2);
    now += 3_600_000;
    expect([1, 2, 3].map(() => buckets.take("one", 2) === 0)).toEqual([true, true, false]);
    now -= 7_200_000;
    expect(buckets.take("one", 2)).toBe(30);
  });

  test("is separate for each client", () => {
    const buckets = new Buckets(clock);
    buckets.take("one", 1);
    expect(buckets.take("one", 1)).toBe(60);
    expect(buckets.take("other", 1)).toBe(0);
  });
});

describe("an address", () => {
  const flood = async (limits: Limits, address: string, times: number) => {
    await Promise.all(Array.from({ length: times }, () => limits.countAddress(address)));
  };

  test("is limited by buckets where the platform has no counters", async () => {
    const limits = new Limits(null, clock);
    await flood(limits, "203.0.113.7", ADDRESS_RATE);
    await expect(limits.countAddress("203.0.113.7")).rejects.toMatchObject({
      status: 429,
      code: "TOOMANYREQUESTS",
      headers: { "Retry-After": "1" },
    });
    await limits.countAddress("203.0.113.8");
  });

  test("is limited by the platform's counters where it has them, as wrangler.toml says", async () => {
    const { ADDRESSES } = env as unknown as { ADDRESSES: RateLimiter };
    const limits = new Limits(ADDRESSES, clock);
    // The counters' minutes follow the clock: a new one may begin at any moment, but not twice.
    await flood(limits, "198.51.100.9", ADDRESS_RATE);
    const further = async () => {
      for (let sent = 0; sent <= 2 * ADDRESS_RATE; sent++) await limits.countAddress("198.51.100.9");
    };
    await expect(further()).rejects.toMatchObject({ status: 429 });
  });

  test("isn't refused because the counters fail", async () => {
    vi.spyOn(console, "warn").mockImplementation(() => {});
    const limits = new Limits({ limit: () => Promise.reject(new Error("down")) }, clock);
    await limits.countAddress("203.0.113.7");
  });

  test("of this machine isn't limited, nor an unknown one", async () => {
    const limits = new Limits({ limit: async () => ({ success: false }) }, clock);
    for (const address of [null, "127.0.0.1", "::1", "::ffff:127.0.0.1"]) await limits.countAddress(address);
    await expect(limits.countAddress("203.0.113.7")).rejects.toThrow();
  });

  test.each([
    ["203.0.113.7", "203.0.113.7"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2"],
    ["2001:db8:1:2::1", "2001:db8:1:2"],
    ["2001:0DB8:0001:0002:ffff::", "2001:db8:1:2"],
    ["2001:db8::1", "2001:db8:0:0"],
    ["::1", "0:0:0:0"],
    ["::ffff:203.0.113.7", "::ffff:cb00:7107"],
  ])("%s belongs to the network %s", (address, network) => expect(networkOf(address)).toBe(network));
});

test("a key is limited by its own rate, and not at all without one", () => {
  const limits = new Limits(null, clock);
  limits.countKey({ hash: "a", rate: 1 });
  expect(() => limits.countKey({ hash: "a", rate: 1 })).toThrow(/access key/);
  limits.countKey({ hash: "b", rate: 1 });
  for (let sent = 0; sent < 100; sent++) limits.countKey({ hash: "c", rate: null });
});
