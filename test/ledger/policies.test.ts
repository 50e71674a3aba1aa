/** The ranking that docs/eviction.md reports, on smaller traces than its table. */
import { describe, expect, test } from "vitest";
import { CONTESTANTS, compare } from "../bench/eviction/comparison.ts";
import { createTrace, USUAL } from "../bench/eviction/trace.ts";

const SMALLER = { ...USUAL, days: 20, pullsPerDay: 350, repositories: 1_000 };
const BUILT = CONTESTANTS.find(({ name }) => name.startsWith("as built"));
const OTHERS = ["FIFO, objects", "FIFO with a second chance", "LRU", "SIEVE", "S3-FIFO"];

describe("the policy that the mirror has", () => {
  const contestants = CONTESTANTS.filter((each) => each === BUILT || OTHERS.includes(each.name));
  const { results } = compare([1, 2], SMALLER, contestants, [1, 10, 100]);
  const at = (multiple: number) => results.filter((each) => each.multiple === multiple);

  test.each([
    [10, OTHERS],
    [100, ["FIFO, objects", "FIFO with a second chance", "LRU"]],
  ])("keeps more images whole, and serves more requests, than others: %d× the limit", (multiple, names) => {
    const built = at(multiple).find(({ name }) => name === BUILT?.name);
    const others = at(multiple).filter(({ name }) => names.includes(name));
    expect(others).toHaveLength(names.length);
    for (const { name, requestHits, wholeImages } of others) {
      expect([name, (built?.wholeImages ?? 0) > wholeImages]).toEqual([name, true]);
      expect([name, (built?.requestHits ?? 0) > requestHits]).toEqual([name, true]);
    }
  });

  test("serves nearly as many bytes as the best, where the content is ten times the limit", () => {
    const built = at(10).find(({ name }) => name === BUILT?.name)?.byteHits ?? 0;
    for (const { name, byteHits } of at(10)) expect([name, built > byteHits - 0.01]).toEqual([name, true]);
  });

  test("keeps as many whole images as every other policy where everything fits", () => {
    expect(new Set(at(1).map(({ wholeImages }) => wholeImages)).size).toBe(1);
  });
});

test("a trace is the same for the same seed", () => {
  const settings = { ...SMALLER, days: 2 };
  expect(createTrace(5, settings)).toEqual(createTrace(5, settings));
  expect(createTrace(6, settings)).not.toEqual(createTrace(5, settings));
});
