/** Which tags a rule of HOSTED_RETENTION keeps. */
import { describe, expect, test } from "vitest";
import { expiredTags, retentionFor, subjectOf } from "../../src/push/retention.ts";

const NOW = Date.parse("2026-11-01T00:00:00Z");
const DAY = 24 * 3600 * 1000;
const DIGEST = `sha256:${"0".repeat(64)}` as const;
/** Pushed so many days ago. */
const pushed = (days: Record<string, number>) =>
  Object.entries(days).map(([tag, age]) => ({ tag, digest: DIGEST, updated: NOW - age * DAY }));
const rule = { pattern: "hosted/*", keep: 0, younger: 0, tags: [] as string[] };
const expired = (days: Record<string, number>, given: Partial<typeof rule>) =>
  expiredTags(pushed(days), { ...rule, ...given }, NOW).map(({ tag }) => tag);

describe("a tag is kept", () => {
  const TAGS = { a: 50, b: 40, c: 3, d: 2, v1: 400 };

  test("while it is among the last ones", () => {
    expect(expired(TAGS, { keep: 3 })).toEqual(["a", "v1"]);
    expect(expired(TAGS, { keep: 5 })).toEqual([]);
  });

  test("while it is young enough", () => {
    expect(expired(TAGS, { younger: 3 * DAY })).toEqual(["c", "b", "a", "v1"]);
    expect(expired(TAGS, { younger: 41 * DAY })).toEqual(["a", "v1"]);
  });

  test("if its name matches", () => {
    expect(expired(TAGS, { tags: ["v*", "c"] })).toEqual(["d", "b", "a"]);
  });

  test("for one reason of several", () => {
    expect(expired(TAGS, { keep: 1, younger: 45 * DAY, tags: ["v*"] })).toEqual(["a"]);
  });

  test("if it is a signature, which doesn't count among the last ones", () => {
    const signature = `sha256-${"a".repeat(64)}.sig`;
    expect(expired({ old: 3, new: 2, [signature]: 1 }, { keep: 1 })).toEqual(["old"]);
  });
});

test("two that were pushed at once are ordered by name", () => {
  expect(expired({ a: 1, b: 1 }, { keep: 1 })).toEqual(["a"]);
  expect(expired({ b: 1, a: 1 }, { keep: 1 })).toEqual(["a"]);
});

test.each([
  [`sha256-${"a".repeat(64)}`, `sha256:${"a".repeat(64)}`],
  [`sha256-${"a".repeat(64)}.att`, `sha256:${"a".repeat(64)}`],
  [`sha256-${"a".repeat(63)}`, null],
  [`sha256-${"a".repeat(64)}b`, null],
  ["latest", null],
])("%s belongs to %s", (tag, digest) => {
  expect(subjectOf(tag)).toBe(digest);
});

describe("the rule", () => {
  const settings = {
    path: "hosted",
    immutable: ["hosted/ci/release"],
    retention: [
      { ...rule, pattern: "hosted/ci/*", keep: 1 },
      { ...rule, pattern: "hosted/*", keep: 2 },
    ],
  };

  test.each([
    ["ci/app", 1],
    ["team/app", 2],
    ["ci/release", undefined],
  ])("for %s is that of the first pattern that matches, if it isn't immutable", (repository, keep) => {
    expect(retentionFor(settings, repository)?.keep).toBe(keep);
  });
});
