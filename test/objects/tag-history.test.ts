/** The tables of tags' history, in the ledger's real object. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, test } from "vitest";
import type { Ledger } from "../../src/objects/ledger.ts";
import { TagHistoryTables } from "../../src/objects/tag-history-tables.ts";
import type { Digest } from "../../src/oci/digest.ts";
import type { TagSighting } from "../../src/store/tag-history.ts";
import { useMirror } from "../support/mirror.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const START = Date.UTC(2026, 5, 15);
const digest = (of: number) => `sha256:${of.toString(16).padStart(64, "0")}` as Digest;
const demo = {
  upstream: "docker.io",
  repository: "library/demo",
  tag: "latest",
  visibility: "public",
} as const;

useMirror();
let ledger: DurableObjectStub<Ledger>;
beforeEach(() => {
  ledger = (env as unknown as { LEDGER: DurableObjectNamespace<Ledger> }).LEDGER.getByName("ledger");
});

const sighting = (of: number | null, at: number, name: Partial<TagSighting["name"]> = {}): TagSighting => ({
  name: { ...demo, ...name },
  named:
    of === null
      ? null
      : { digest: digest(of), mediaType: "application/vnd.oci.image.index.v1+json", size: of },
  at,
});

/** Runs with tables in the object's own database. @param most tags that are recorded. */
const withTables = <Result>(run: (tables: TagHistoryTables) => Result, most?: number): Promise<Result> =>
  runInDurableObject(ledger, (_, state) => run(new TagHistoryTables(state.storage.sql, most)));

/** What is recorded of a tag: digests by their numbers, and hours since the start. */
const recorded = (tables: TagHistoryTables, name: Partial<TagSighting["name"]> = {}) =>
  tables
    .pastOf({ ...demo, ...name })
    .names.map(({ named, from }) => [
      named && Number.parseInt(named.digest.slice(7), 16),
      (from - START) / HOUR,
    ]);

describe("what a tag is seen to name", () => {
  test("is recorded when it changes, with its deletion and its return", async () => {
    const past = await withTables((tables) => {
      for (const [of, hour] of [
        [1, 0],
        [1, 1],
        [2, 2],
        [null, 3],
        [null, 4],
        [2, 5],
        [1, 6],
      ] as const) {
        tables.see(sighting(of, START + hour * HOUR));
      }
      return recorded(tables);
    });
    expect(past).toEqual([
      [1, 0],
      [2, 2],
      [null, 3],
      [2, 5],
      [1, 6],
    ]);
  });

  test("is put in its place where its record arrives late", async () => {
    const past = await withTables((tables) => {
      for (const [of, hour] of [
        [1, 0],
        [3, 4],
        [2, 2],
        [1, 1],
      ] as const)
        tables.see(sighting(of, START + hour * HOUR));
      return recorded(tables);
    });
    expect(past).toEqual([
      [1, 0],
      [2, 2],
      [3, 4],
    ]);
  });

  test("is a move where it named something else before, and at first sight none", async () => {
    const moves = await withTables((tables) =>
      [sighting(1, START), sighting(2, START + HOUR), sighting(null, START + 2 * HOUR)].map((each) =>
        tables.see(each),
      ),
    );
    expect(moves).toEqual([
      null,
      { ...demo, id: 2, at: START + HOUR, digest: digest(2), before: digest(1) },
      { ...demo, id: 3, at: START + 2 * HOUR, digest: null, before: digest(2) },
    ]);
  });

  test("is kept apart by tag, repository and visibility", async () => {
    const pasts = await withTables((tables) => {
      const others = [{ tag: "other" }, { repository: "library/other" }, { visibility: "private" as const }];
      tables.see(sighting(1, START));
      for (const [index, name] of others.entries()) tables.see(sighting(index + 2, START, name));
      return [{}, ...others].map((name) => recorded(tables, name));
    });
    expect(pasts).toEqual([[[1, 0]], [[2, 0]], [[3, 0]], [[4, 0]]]);
  });

  test("a deletion of a tag that was never seen is not recorded", async () => {
    expect(await withTables((tables) => tables.see(sighting(null, START)) ?? recorded(tables))).toEqual([]);
  });
});

describe("bounds", () => {
  test("of a tag that moves all the time, the last of each day is kept", async () => {
    const past = await withTables((tables) => {
      for (let hour = 0; hour <= 30 * 24; hour++) tables.see(sighting(hour + 1, START + hour * HOUR));
      return recorded(tables);
    });
    expect(past.length).toBeLessThan(150);
    const lasts = Array.from({ length: 30 }, (_, day) => [day * 24 + 24, day * 24 + 23]);
    expect(past.filter(([, hour]) => Number(hour) % 24 === 23)).toEqual(lasts);
  });

  test("a flood of other tags drives nothing out: further ones aren't recorded", async () => {
    const pasts = await withTables((tables) => {
      tables.see(sighting(1, START));
      for (let other = 0; other < 5; other++)
        tables.see(sighting(9, START + HOUR, { tag: `other-${other}` }));
      tables.see(sighting(2, START + 2 * HOUR));
      return [recorded(tables), recorded(tables, { tag: "other-1" }), recorded(tables, { tag: "other-2" })];
    }, 3);
    expect(pasts).toEqual([
      [
        [1, 0],
        [2, 2],
      ],
      [[9, 1]],
      [],
    ]);
  });

  test("what is too old goes, except what the tag named at the oldest time that is kept", async () => {
    const pasts = await withTables((tables) => {
      tables.see(sighting(1, START, { tag: "abandoned" }));
      for (const [of, day] of [
        [1, 0],
        [2, 10],
        [3, 450],
      ] as const)
        tables.see(sighting(of, START + day * DAY));
      tables.prune(START + 450 * DAY);
      return [recorded(tables), recorded(tables, { tag: "abandoned" })];
    });
    expect(pasts).toEqual([
      [
        [2, 240],
        [3, 10_800],
      ],
      [],
    ]);
  });

  test("the ledger's alarm drops what is too old", async () => {
    await ledger.add({ sightings: [sighting(1, START - 500 * DAY)] }, START - 500 * DAY);
    const midnight = Date.UTC(2026, 10, 17);
    await runInDurableObject(ledger, async (object) => {
      const { now } = Date;
      Date.now = () => midnight;
      await object.alarm().finally(() => {
        Date.now = now;
      });
    });
    expect(await ledger.tagHistory(demo, null)).toEqual([]);
  });
});

test("a tag for which there is no room is decided upon as at first sight", async () => {
  const full = (env as unknown as { LEDGER: DurableObjectNamespace<Ledger> }).LEDGER.getByName(
    crypto.randomUUID(),
  );
  const decisions = await runInDurableObject(full, async (instance, { storage }) => {
    storage.sql.exec(
      `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
       INSERT INTO history_tags (upstream, repository, tag, visibility, checked)
       SELECT 'docker.io', 'flood/demo', 't' || i, 'public', ? FROM n`,
      START,
    );
    const rules = { at: START, cooldown: DAY, keep: false };
    return {
      serve: await instance.decide(demo, { ...rules, unknown: "serve" }, sighting(1, START)),
      refuse: await instance.decide(demo, { ...rules, unknown: "refuse" }, sighting(1, START)),
      before: await instance.decide(
        demo,
        { ...rules, at: START - DAY, unknown: "serve" },
        sighting(1, START),
      ),
      kept: await instance.tagHistory(demo, null),
    };
  });
  expect(decisions).toMatchObject({
    serve: { kind: "serve", named: { digest: digest(1) } },
    refuse: { kind: "young" },
    before: { kind: "unknown" },
    kept: [],
  });
});
