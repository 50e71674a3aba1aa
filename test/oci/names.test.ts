import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isRepository, isTag } from "../../src/oci/names.ts";

const alphanumeric = fc.stringMatching(/^[a-z0-9]{1,8}$/);
const separator = fc.oneof(fc.constantFrom(".", "_", "__"), fc.stringMatching(/^-{1,4}$/));
const component = fc
  .tuple(alphanumeric, fc.array(fc.tuple(separator, alphanumeric), { maxLength: 3 }))
  .map(([head, tail]) => head + tail.flat().join(""));
const repository = fc.array(component, { minLength: 1, maxLength: 4 }).map((parts) => parts.join("/"));

describe("repository names", () => {
  test.each(["alpine", "library/alpine", "a/b/c/d", "a__b", "a---b", "a.b_c-d", "0", "manifests/blobs/tags"])(
    "accepts %s",
    (name) => expect(isRepository(name)).toBe(true),
  );

  test.each([
    ["nothing", ""],
    ["upper case", "Alpine"],
    ["a leading separator", "-a"],
    ["a trailing separator", "a_"],
    ["three underscores", "a___b"],
    ["two dots", "a..b"],
    ["mixed separators", "a._b"],
    ["an empty component", "a//b"],
    ["a leading slash", "/a"],
    ["a trailing slash", "a/"],
    ["the way up", "../a"],
    ["a host's port", "host:5000/a"],
    ["an own page", "_/health"],
    ["a final line break", "a\n"],
    ["a letter from elsewhere", "ä"],
  ])("rejects %s", (_, name) => expect(isRepository(name)).toBe(false));

  test("end at 255 characters", () => {
    expect(isRepository("a".repeat(255))).toBe(true);
    expect(isRepository("a".repeat(256))).toBe(false);
  });

  test("are decided without backtracking, which would take years here, however close a wrong one comes", () => {
    for (const part of ["a", "-", "a-", "a_", "a/"]) expect(isRepository(`${part.repeat(120)}!`)).toBe(false);
  });

  test("hold for whatever the grammar derives", () => {
    fc.assert(fc.property(repository, (name) => isRepository(name) === name.length <= 255));
  });

  test("never hold two slashes, a dot component or a space, whatever comes in", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(..."ab0._-/ A%\n") }), (text) => {
        if (isRepository(text)) expect(text).not.toMatch(/\/\/|(^|\/)\.|[ A%\n]/);
      }),
    );
  });
});

describe("tags", () => {
  test.each(["latest", "_", "1.0", "V1_x-y.z", "sha256-abc.sig", "a".repeat(128)])("accepts %s", (tag) => {
    expect(isTag(tag)).toBe(true);
  });

  test.each(["", ".a", "-a", "a/b", "a:b", "a b", "a\n", "a".repeat(129)])("rejects %j", (tag) => {
    expect(isTag(tag)).toBe(false);
  });
});
