/** The ledger's tables of activity: counts add up, the latest limit counts, and clients can't make them grow without end. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { type Activity, NO_ACTIVITY } from "../../src/ledger/activity.ts";
import { ActivityTables } from "../../src/objects/activity-tables.ts";
import type { Ledger } from "../../src/objects/ledger.ts";

/** What tables of at most two rows of upstream requests have after some additions. */
function after(...additions: Partial<Activity>[]): Promise<Activity> {
  const { LEDGER } = env as unknown as { LEDGER: DurableObjectNamespace<Ledger> };
  return runInDurableObject(LEDGER.getByName(crypto.randomUUID()), (_, { storage }) => {
    const tables = new ActivityTables(storage.sql, 2);
    for (const each of additions) tables.add({ ...NO_ACTIVITY, ...each });
    return tables.all();
  });
}

const requests = (upstream: string, given: { requests?: number; last?: number } = {}) => ({
  upstream: [{ upstream, endpoint: `https://${upstream}/`, outcome: "ok", requests: 1, last: 1, ...given }],
});

test("counts add up, with the latest time", async () => {
  const { upstream, fills } = await after(
    { ...requests("a.test", { requests: 2, last: 20 }), fills: [{ outcome: "stored", fills: 1 }] },
    { ...requests("a.test", { requests: 3, last: 10 }), fills: [{ outcome: "stored", fills: 4 }] },
  );
  expect(upstream).toEqual(requests("a.test", { requests: 5, last: 20 }).upstream);
  expect(fills).toEqual([{ outcome: "stored", fills: 5 }]);
});

test("the latest word on a limit counts, in whatever order isolates report", async () => {
  const said = (pulls: number, at: number) => ({
    remaining: [{ upstream: "docker.io", login: "#1", pulls, at }],
  });
  const { remaining } = await after(said(80, 100), said(90, 50), said(70, 200));
  expect(remaining).toEqual(said(70, 200).remaining);
});

test("what would be a row too many counts as another upstream's", async () => {
  const { upstream } = await after(
    requests("a.test"),
    requests("b.test"),
    requests("c.test"),
    requests("a.test"),
  );
  expect(upstream.map(({ upstream, requests }) => [upstream, requests])).toEqual([
    ["a.test", 2],
    ["b.test", 1],
    ["other", 1],
  ]);
});
