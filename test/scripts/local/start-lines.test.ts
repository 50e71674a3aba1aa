/** How npm start names the registries that it mirrors, and the ways to them. */
import { describe, expect, test } from "vitest";
import { mirrorsText, registriesHelp, wayLines } from "../../../scripts/local/start-lines.ts";
import type { Way } from "../../../scripts/local/ways.ts";
import { REGISTRIES } from "../../../src/upstream/registries.ts";

const BUILT_IN = Object.keys(REGISTRIES).sort();
const PROXY = "http://proxy.test:3128";

describe("what is mirrored", () => {
  test("is the registries that most use, the operator's own, and how many more", () => {
    const names = [...BUILT_IN, "local.test", "a.test"].sort();
    expect(mirrorsText(names)).toBe(
      `docker.io, ghcr.io, quay.io, a.test, local.test and ${BUILT_IN.length - 3} more (--help)`,
    );
  });

  test("is short, however many are the operator's own", () => {
    const own = Array.from({ length: 50 }, (_, index) => `own${index}.test`);
    const text = mirrorsText([...BUILT_IN, ...own]);
    expect(text).toContain("quay.io, own0.test, ");
    expect(text).toMatch(/ and \d+ more \(--help\)$/);
    expect(text.split(", ")).toHaveLength(12);
  });

  test("is named in whole where no more than one would be left out", () => {
    expect(mirrorsText(["docker.io", "gcr.io", "ghcr.io", "quay.io"])).toBe(
      "docker.io, ghcr.io, quay.io, gcr.io",
    );
    expect(mirrorsText(["gcr.io"])).toBe("gcr.io");
  });

  test("is listed in the help, within the width of a terminal", () => {
    const lines = registriesHelp().split("\n");
    expect(lines.flatMap((line) => line.trim().replace(/,$/, "").split(", "))).toEqual(BUILT_IN);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(lines.length).toBeLessThan(BUILT_IN.length / 2);
  });
});

describe("ways out", () => {
  const way = (through: string | null, upstreams: readonly string[], isSecond = false): Way => ({
    ...{ through, isSecond, upstreams },
  });

  test("that all go are one line without names", () => {
    expect(wayLines([way(PROXY, BUILT_IN)], BUILT_IN)).toEqual([`all through ${PROXY}`]);
    const relay = way("the relay https://relay.test", BUILT_IN, true);
    expect(wayLines([way(null, BUILT_IN), relay], BUILT_IN)).toEqual([
      "all directly",
      "all through the relay https://relay.test when limited",
    ]);
  });

  test("that few go have their names, before the way of all others", () => {
    const few = ["gcr.io", "quay.io"];
    const others = BUILT_IN.filter((name) => !few.includes(name));
    const relay = way("the relay https://relay.test", ["docker.io"], true);
    expect(wayLines([way(PROXY, others), way(null, few), relay], BUILT_IN)).toEqual([
      "gcr.io, quay.io directly",
      `all others through ${PROXY}`,
      "docker.io through the relay https://relay.test when limited",
    ]);
  });

  test("that many go, but fewer than another, are shortened", () => {
    const many = BUILT_IN.slice(0, 14);
    const [line = ""] = wayLines([way(null, many), way(PROXY, BUILT_IN.slice(14))], BUILT_IN);
    expect(line).toBe(`${many.slice(0, 12).join(", ")} and 2 more directly`);
  });

  test("of single upstreams name each", () => {
    expect(wayLines([way(null, ["a.test"]), way(PROXY, ["b.test"])], ["a.test", "b.test"])).toEqual([
      `b.test through ${PROXY}`,
      "a.test directly",
    ]);
  });

  test("where all are reached directly are not named", () => {
    expect(wayLines([], BUILT_IN)).toEqual([]);
  });
});
