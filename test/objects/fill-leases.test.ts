/** Leases: one fills, the others don't; a leader that is never heard of again is looked after; no attempt is endless. */
import { reset, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, type MockInstance, test, vi } from "vitest";
import { Leases } from "../../src/objects/fill-leases.ts";
import type { FillJob, FillOutcome } from "../../src/pull/fill-leases.ts";
import type { TestBindings } from "../support/mirror.ts";

const { FILLS } = env as unknown as TestBindings;
const MINUTE = 60_000;
/** What an alarm is set to in these tests. */
const DELAYS = [0, 2_000, 10_000, 35_000, MINUTE, 5 * MINUTE, 15 * MINUTE];
const job: FillJob = {
  upstream: "docker.io",
  repository: "library/demo",
  digest: `sha256:${"a".repeat(64)}`,
  visibility: "public",
  via: "",
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
  leases: Leases;
  /** Milliseconds until the alarm; null where none is set. */
  untilAlarm(): Promise<number | null>;
}

let isStored: boolean;
beforeEach(() => {
  isStored = false;
});

/** Works on leases in real storage. Every call sees them as after a restart of the object. */
function withLeases<Result>(work: (tools: Tools) => Promise<Result>): Promise<Result> {
  return runInDurableObject(FILLS.getByName("leases"), (_, { storage }) => {
    const untilAlarm = async () => {
      const at = await storage.getAlarm();
      // Some of it has passed since the alarm was set.
      return at === null ? null : (DELAYS.find((each) => at - now() <= each) ?? Number.POSITIVE_INFINITY);
    };
    return work({ leases: new Leases(storage, { now, fillLook: 5 }, async () => isStored), untilAlarm });
  });
}

/** Takes the lease; null where that can't be. */
async function take(leases: Leases, of = job, patience = 0): Promise<string | null> {
  const claim = await leases.acquire(of, patience);
  return claim.kind === "leader" ? claim.holder : null;
}

async function leads(leases: Leases): Promise<string> {
  const holder = await take(leases);
  if (holder === null) throw new Error("somebody else leads");
  return holder;
}

const other: FillJob = { ...job, digest: `sha256:${"b".repeat(64)}` };

describe("a lease", () => {
  test("is for one alone", async () => {
    await withLeases(async ({ leases }) => {
      expect(await take(leases)).toEqual(expect.any(String));
      expect(await take(leases)).toBe(null);
    });
  });

  test("of one digest leaves others alone, and so does its end", async () => {
    await withLeases(async ({ leases, untilAlarm }) => {
      const holder = await leads(leases);
      expect(await take(leases, other)).toEqual(expect.any(String));
      await leases.release(job, holder);
      expect(await take(leases, other)).toBe(null);
      expect(await untilAlarm()).toBe(15 * MINUTE);
    });
  });

  test("outlives its object's memory", async () => {
    await withLeases(({ leases }) => leads(leases));
    expect(await withLeases(({ leases }) => take(leases))).toBe(null);
  });

  test("requested by many at once is for one alone", async () => {
    const fill = FILLS.getByName("aa");
    const got = await Promise.all(Array.from({ length: 20 }, () => fill.acquire(job, 0)));
    expect(got.filter(({ kind }) => kind === "leader")).toHaveLength(1);
  });

  test("ends by itself after a quarter of an hour, when the alarm looks after it", async () => {
    await withLeases(async ({ leases, untilAlarm }) => {
      await leads(leases);
      expect(await untilAlarm()).toBe(15 * MINUTE);
      ahead += 15 * MINUTE + 1;
      expect(await take(leases)).toEqual(expect.any(String));
    });
  });

  test("given back is free at once, and nothing is left of it", async () => {
    await withLeases(async ({ leases, untilAlarm }) => {
      await leases.release(job, await leads(leases));
      expect(await untilAlarm()).toBe(null);
    });
    const left = await runInDurableObject(FILLS.getByName("leases"), (_, { storage }) => storage.list());
    expect(left.size).toBe(0);
  });

  test("is ended or looked after by its holder alone", async () => {
    await withLeases(async ({ leases, untilAlarm }) => {
      await leads(leases);
      await leases.release(job, "somebody else");
      await leases.scheduleCheck(job, "somebody else", 0);
      expect(await untilAlarm()).toBe(15 * MINUTE);
      expect((await leases.join(job, 0)).kind).toBe("none");
    });
  });

  test("looked after again is still stored until then", async () => {
    await withLeases(async ({ leases, untilAlarm }) => {
      await leases.scheduleCheck(job, await leads(leases), 35_000);
      expect(await untilAlarm()).toBe(35_000);
      expect((await leases.join(job, 0)).kind).toBe("none");
    });
  });
});

describe("who finds a lease stored", () => {
  test.each(["acquire", "join"] as const)("waits until the object is stored: %s", async (how) => {
    await withLeases(async ({ leases }) => {
      await leads(leases);
      const waiting = Array.from({ length: 5 }, () => leases[how](job, MINUTE));
      isStored = true;
      expect(await Promise.all(waiting)).toEqual(Array(5).fill({ kind: "stored" }));
    });
  });

  test("takes it when the leader gives up, and one alone does", async () => {
    await withLeases(async ({ leases }) => {
      const holder = await leads(leases);
      const waiting = [leases.acquire(job, MINUTE), leases.acquire(job, MINUTE)];
      await leases.release(job, holder);
      expect((await Promise.all(waiting)).filter(({ kind }) => kind === "leader")).toHaveLength(1);
    });
  });

  test("goes on alone after its patience, and the object is filled in the background", async () => {
    await withLeases(async ({ leases, untilAlarm }) => {
      const holder = await leads(leases);
      expect(await leases.acquire(job, 20)).toEqual({ kind: "none" });
      expect(await untilAlarm()).toBe(0);
      // The slow leader has lost its lease.
      await leases.release(job, holder);
      expect((await leases.join(job, 0)).kind).toBe("none");
      expect(await untilAlarm()).toBe(0);
    });
  });

  test("doesn't wait where no fill is running", async () => {
    await withLeases(async ({ leases, untilAlarm }) => {
      expect(await leases.join(job, MINUTE)).toEqual({ kind: "none" });
      expect(await untilAlarm()).toBe(null);
    });
  });
});

describe("ranges", () => {
  test("have the whole filled once several have requested 8 MiB of it, and not before", async () => {
    await withLeases(async ({ leases, untilAlarm }) => {
      for (const bytes of [8 * 1024 * 1024 - 2, 1]) {
        expect(await leases.joinRange(job, bytes, 0)).toEqual({ kind: "none" });
        expect(await untilAlarm()).toBe(null);
      }
      await leases.joinRange(job, 1, 0);
      expect(await untilAlarm()).toBe(0);
      expect(await take(leases)).toBe(null);
    });
  });

  test("have nothing filled by a single one, however long", async () => {
    await withLeases(async ({ leases, untilAlarm }) => {
      expect(await leases.joinRange(job, Number.POSITIVE_INFINITY, 0)).toEqual({ kind: "none" });
      expect(await untilAlarm()).toBe(null);
    });
  });

  test("leave a leader alone", async () => {
    await withLeases(async ({ leases, untilAlarm }) => {
      await leads(leases);
      for (let at = 0; at < 2; at++) await leases.joinRange(job, Number.POSITIVE_INFINITY, 0);
      expect(await untilAlarm()).toBe(15 * MINUTE);
    });
  });
});

describe("the alarm", () => {
  const ending = (outcome: FillOutcome) => vi.fn<(job: FillJob) => Promise<FillOutcome>>(async () => outcome);

  test("fills the job that was leased", async () => {
    const fill = ending("stored");
    await withLeases(async ({ leases }) => {
      await leads(leases);
      await leases.alarm(fill);
    });
    expect(fill.mock.calls).toEqual([[job]]);
  });

  test("fills what is due and leaves the others", async () => {
    const fill = ending("stored");
    await withLeases(async ({ leases, untilAlarm }) => {
      await leads(leases);
      for (let at = 0; at < 2; at++) await leases.joinRange(other, Number.POSITIVE_INFINITY, 0);
      await leases.alarm(fill);
      expect(await untilAlarm()).toBe(15 * MINUTE);
    });
    expect(fill.mock.calls).toEqual([[other]]);
  });

  test("without a lease does nothing", async () => {
    const fill = ending("stored");
    await withLeases(({ leases }) => leases.alarm(fill));
    expect(fill).not.toHaveBeenCalled();
  });

  test("holds the lease while it fills, whatever its leader says", async () => {
    await withLeases(async ({ leases }) => {
      const holder = await leads(leases);
      ahead += 15 * MINUTE + 1;
      await leases.alarm(async () => {
        await leases.release(job, holder);
        expect(await take(leases)).toBe(null);
        return "stored";
      });
    });
  });

  test.each(["stored", "permanent"] as const)(
    "that ends %s gives the lease back for good",
    async (outcome) => {
      await withLeases(async ({ leases, untilAlarm }) => {
        await leads(leases);
        await leases.alarm(ending(outcome));
        expect(await untilAlarm()).toBe(null);
        expect(await take(leases)).toEqual(expect.any(String));
      });
    },
  );

  test("that fails is tried four times more, later each time, and then no more", async () => {
    const fill = ending("failed");
    await withLeases(({ leases }) => leads(leases));
    const delays: (number | null)[] = [];
    for (let attempt = 0; attempt < 5; attempt++) {
      await withLeases(async ({ leases, untilAlarm }) => {
        await leases.alarm(fill);
        delays.push(await untilAlarm());
      });
    }
    expect(delays).toEqual([2000, 10_000, 60_000, 300_000, null]);
    expect(warn).toHaveBeenCalledWith(expect.stringContaining("gave up"));
    await withLeases(({ leases }) => leases.alarm(fill));
    expect(fill).toHaveBeenCalledTimes(5);
  });

  test("waiting for its next attempt leaves the lease to the next who asks", async () => {
    await withLeases(async ({ leases }) => {
      await leads(leases);
      await leases.alarm(ending("failed"));
      expect([await take(leases), await take(leases)]).toEqual([expect.any(String), null]);
    });
  });

  test("whose work throws leaves the job in place, for the runtime's own retry", async () => {
    const fill = ending("stored");
    await withLeases(async ({ leases }) => {
      await leads(leases);
      await expect(leases.alarm(() => Promise.reject(new Error("unforeseen")))).rejects.toThrow("unforeseen");
      await leases.alarm(fill);
    });
    expect(fill).toHaveBeenCalledTimes(1);
  });

  test("counts from the start for a new lease", async () => {
    await withLeases(async ({ leases, untilAlarm }) => {
      await leads(leases);
      await leases.alarm(ending("failed"));
      await leases.alarm(ending("failed"));
      ahead += MINUTE;
      await leads(leases);
      await leases.alarm(ending("failed"));
      expect(await untilAlarm()).toBe(2000);
    });
  });
});

describe("a fill that is requested", () => {
  const alarm = (outcome: FillOutcome) => withLeases(({ leases }) => leases.alarm(async () => outcome));
  const request = () => withLeases(({ leases }) => leases.requestFill(job));
  const next = () => withLeases(({ untilAlarm }) => untilAlarm());

  test("is due at once, and isn't requested again while it runs", async () => {
    expect([await request(), await next()]).toEqual(["filling", 0]);
    expect(await withLeases(({ leases }) => take(leases))).toBeNull();
  });

  test("doesn't bring a planned attempt forward, and counts as failed after two", async () => {
    await request();
    await alarm("failed");
    expect([await request(), await next()]).toEqual(["filling", 2_000]);
    ahead += 2_000;
    await alarm("failed");
    expect([await request(), await next()]).toEqual(["failed", 10_000]);
  });

  test("that was in vain isn't made again for a minute", async () => {
    await withLeases(async ({ leases }) => {
      await leases.requestFill(job);
      await leases.alarm(async () => "permanent");
      expect(await leases.requestFill(job)).toBe("failed");
      ahead += MINUTE;
      expect(await leases.requestFill(job)).toBe("filling");
    });
  });
});
