import { describe, expect, test } from "vitest";
import { newestOf, pattern } from "../../../scripts/copy/patterns.ts";

describe("a pattern", () => {
  test.each([
    ["1.*", "1.2", true],
    ["1.*", "1x2", false],
    ["1.*", "11.2", false],
    ["*-rc*", "1.0-rc12", true],
    ["*-rc*", "1.0", false],
    ["owner/*", "owner/group/image", true],
    ["owner/*", "owners/image", false],
    ["/^v\\d+$/", "v12", true],
    ["/^v\\d+$/", "v12-alpine", false],
    ["/alpine/", "3-alpine3.20", true],
    ["latest", "latest", true],
    ["latest", "latest2", false],
  ])("%s on %s is %s", (text, tried, matches) => {
    expect(pattern(text)(tried)).toBe(matches);
  });

  test("that is no regular expression is reported", () => {
    expect(() => pattern("/(/")).toThrow(/\/\(\/ is no regular expression/);
  });
});

describe("the newest", () => {
  test.each<[string[], number, string[]]>([
    [["1.9.0", "1.10.0", "1.2.0"], 2, ["1.10.0", "1.9.0"]],
    [["1.0-rc1", "1.0", "1.0-rc10", "1.0-rc2"], 4, ["1.0", "1.0-rc10", "1.0-rc2", "1.0-rc1"]],
    [["v2", "1", "v10"], 2, ["v10", "v2"]],
    [["latest", "edge", "3"], 5, ["3"]],
  ])("of %j, %d, are %j", (tags, count, newest) => {
    expect(newestOf(tags, count)).toEqual(newest);
  });
});
