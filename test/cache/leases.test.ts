/** Leases: one fills, the others don't; a leader that is never heard of again is looked after; no attempt is endless. */
import { reset, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, type MockInstance, test, vi } from "vitest";
import { type FillJob, type FillOutcome, Lease } from "../../src/cache/leases.ts";
import type { Env } from "../../src/pull/mirror.ts";

const { FILLS } = env as unknown as Env;
const MINUTE = 60_000;
const job: FillJob = {
  upstream: "docker.io",
  repository: "library/demo",
  digest: `sha256:${"a".repeat(64)}`,
  sphere: "public",
};

/** Milliseconds ahead of the real clock: days, so that no alarm ever goes off by itself. */
let ahead: number;
const now = () => Date.now() + ahead;
let warn: MockInstance;

beforeEach(() => {
  ahead = 10 * 24 * 60 * MINUTE;
  warn = vi.spyOn(console, "warn").mockImplementation(() => {});
});

afterEach(async () => {
  vi.restoreAllMocks();
  await reset();
});

interface Tools {
  lease: Lease;
  /** Milliseconds until the alarm; null where none is set. */
  untilAlarm(): Promise<number | null>;
}

/** Works on a lease in real storage. Every call sees it anew, as after a restart of the object. */
function withLease<Result>(work: (tools: Tools) => Promise<Result>): Promise<Result> {
  return runInDurableObject(FILLS.getByName("leases"), (_, { storage }) => {
    const untilAlarm = async () => {
      const at = await storage.getAlarm();
      // Tens of milliseconds pass in a test; the sum makes a nought of the -0 they can leave.
      return at === null ? null : Math.round((at - now()) / 1000) * 1000 + 0;
    };
    return work({ lease: new Lease(storage, now), untilAlarm });
  });
}

describe("a lease", () => {
  test("is for one alone", async () => {
    const got = await withLease(async ({ lease }) => [await lease.acquire(job), await lease.acquire(job)]);
    expect(got).toEqual([true, false]);
  });

  test("doesn't outlive its object: whoever held it was ended too, and the next may fill at once", async () => {
    expect(await withLease(({ lease }) => lease.acquire(job))).toBe(true);
    expect(await withLease(({ lease }) => lease.acquire(job))).toBe(true);
  });

  test("asked for by many at once is for one alone", async () => {
    const fill = FILLS.getByName(job.digest);
    const got = await Promise.all(Array.from({ length: 20 }, () => fill.acquire(job)));
    expect(got.filter(Boolean)).toHaveLength(1);
  });

  test("ends by itself after a quarter of an hour, when the alarm looks after it", async () => {
    await withLease(async ({ lease, untilAlarm }) => {
      await lease.acquire(job);
      expect(await untilAlarm()).toBe(15 * MINUTE);
      ahead += 15 * MINUTE - 1000;
      expect(await lease.acquire(job)).toBe(false);
      ahead += 1001;
      expect(await lease.acquire(job)).toBe(true);
    });
  });

  test("given back is free at once, and no alarm is left", async () => {
    await withLease(async ({ lease, untilAlarm }) => {
      await lease.acquire(job);
      await lease.release();
      expect(await untilAlarm()).toBe(null);
      expect(await lease.acquire(job)).toBe(true);
    });
  });

  test("looked after again is still held until then", async () => {
    await withLease(async ({ lease, untilAlarm }) => {
      await lease.acquire(job);
      await lease.lookAgain(35_000);
      expect(await untilAlarm()).toBe(35_000);
      expect(await lease.acquire(job)).toBe(false);
    });
  });

  test("that nobody has can't be looked after", async () => {
    await withLease(async ({ lease, untilAlarm }) => {
      await lease.lookAgain(0);
      expect(await untilAlarm()).toBe(null);
    });
  });

  test("to fill apart is due at once, and once", async () => {
    await withLease(async ({ lease, untilAlarm }) => {
      await lease.fillApart(job);
      expect(await untilAlarm()).toBe(0);
      expect(await lease.acquire(job)).toBe(false);
    });
  });

  test("to fill apart leaves a leader alone", async () => {
    await withLease(async ({ lease, untilAlarm }) => {
      await lease.acquire(job);
      await lease.fillApart(job);
      expect(await untilAlarm()).toBe(15 * MINUTE);
    });
  });
});

describe("the alarm", () => {
  const ending = (outcome: FillOutcome) => vi.fn<(job: FillJob) => Promise<FillOutcome>>(async () => outcome);

  test("fills the job that was leased", async () => {
    const fill = ending("held");
    await withLease(async ({ lease }) => {
      await lease.acquire(job);
      await lease.alarm(fill);
    });
    expect(fill.mock.calls).toEqual([[job]]);
  });

  test("without a lease does nothing", async () => {
    const fill = ending("held");
    await withLease(({ lease }) => lease.alarm(fill));
    expect(fill).not.toHaveBeenCalled();
  });

  test("holds the lease while it fills", async () => {
    await withLease(async ({ lease }) => {
      await lease.acquire(job);
      ahead += 15 * MINUTE + 1;
      await lease.alarm(async () => {
        expect(await lease.acquire(job)).toBe(false);
        return "held";
      });
    });
  });

  test.each(["held", "hopeless"] as const)("that ends %s gives the lease back for good", async (outcome) => {
    await withLease(async ({ lease, untilAlarm }) => {
      await lease.acquire(job);
      await lease.alarm(ending(outcome));
      expect(await untilAlarm()).toBe(null);
      expect(await lease.acquire(job)).toBe(true);
    });
  });

  test("that fails is tried four times more, later each time, and then no more", async () => {
    const fill = ending("failed");
    await withLease(({ lease }) => lease.acquire(job));
    const delays: (number | null)[] = [];
    for (let attempt = 0; attempt < 5; attempt++) {
      await withLease(async ({ lease, untilAlarm }) => {
        await lease.alarm(fill);
        delays.push(await untilAlarm());
      });
    }
    expect(delays).toEqual([2000, 10_000, 60_000, 300_000, null]);
    expect(warn).toHaveBeenCalledWith(expect.stringContaining("gave up"));
    await withLease(({ lease }) => lease.alarm(fill));
    expect(fill).toHaveBeenCalledTimes(5);
  });

  test("waiting for its next attempt lets whoever is given the content meanwhile fill", async () => {
    await withLease(async ({ lease }) => {
      await lease.acquire(job);
      await lease.alarm(ending("failed"));
      expect([await lease.acquire(job), await lease.acquire(job)]).toEqual([true, false]);
    });
  });

  test("whose work throws leaves the job in place, for the runtime's own retry", async () => {
    const fill = ending("held");
    await withLease(async ({ lease }) => {
      await lease.acquire(job);
      await expect(lease.alarm(() => Promise.reject(new Error("unforeseen")))).rejects.toThrow("unforeseen");
      await lease.alarm(fill);
    });
    expect(fill).toHaveBeenCalledTimes(1);
  });

  test("starts counting anew for a new lease", async () => {
    await withLease(async ({ lease, untilAlarm }) => {
      await lease.acquire(job);
      await lease.alarm(ending("failed"));
      await lease.alarm(ending("failed"));
      ahead += MINUTE;
      await lease.acquire(job);
      await lease.alarm(ending("failed"));
      expect(await untilAlarm()).toBe(2000);
    });
  });
});
