import { describe, expect, test } from "vitest";
import { isPattern, matchesAny } from "../../src/access/patterns.ts";

describe("a pattern", () => {
  test.each([
    ["docker.io/library/alpine", "docker.io/library/alpine", true],
    ["docker.io/library/alpine", "docker.io/library/alpine-edge", false],
    ["docker.io/library/*", "docker.io/library/alpine", true],
    ["docker.io/library/*", "docker.io/other/alpine", false],
    ["registry.gitlab.com/group/*", "registry.gitlab.com/group/sub/project", true],
    ["*", "ghcr.io/owner/image", true],
    ["*/owner/*", "ghcr.io/owner/image", true],
    ["*/owner/*", "ghcr.io/other/image", false],
    ["ghcr.io/*-dev", "ghcr.io/owner/image-dev", true],
    ["ghcr.io/*-dev", "ghcr.io/owner/image-dev2", false],
    ["a*a", "a", false],
    ["a*a", "aa", true],
    ["ghcr.io/owner", "ghcr.io/owner/image", false],
    // Only the star is special.
    ["ghcr.io/owner/image", "ghcrxio/owner/image", false],
  ])("%s matches %s: %s", (pattern, name, expected) => {
    expect(matchesAny([pattern], name)).toBe(expected);
  });

  test("one of several is enough, and an empty list matches nothing", () => {
    expect(matchesAny(["quay.io/*", "ghcr.io/*"], "ghcr.io/a/b")).toBe(true);
    expect(matchesAny([], "ghcr.io/a/b")).toBe(false);
  });

  test("takes linear time, however many stars it has", () => {
    // Backtracking would take years.
    expect(matchesAny([`${"a*".repeat(120)}b`], "a".repeat(255))).toBe(false);
  });

  test.each(["", "UPPER/*", "a b", "https://ghcr.io/*", "a?b", "a".repeat(256), "-a"])(
    "that can't match is rejected: %j",
    (text) => expect(isPattern(text)).toBe(false),
  );
});
