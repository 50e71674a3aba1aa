import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatLink, nextTarget } from "../../src/oci/link.ts";
import { hostileText, longTexts } from "./hostile.ts";

describe("the next page's target", () => {
  test.each([
    ['</v2/a/tags/list?n=2&last=b>; rel="next"', "/v2/a/tags/list?n=2&last=b"],
    ["<https://r.example/v2/a/tags/list>;rel=next", "https://r.example/v2/a/tags/list"],
    ['<a,b;c>; title="x, <y>; rel=z"; rel="next"', "a,b;c"],
    ['<a>; rel="Prev  start", <b>; rel=NEXT, <c>', "b"],
    ["<a>; rel=next; rel=prev", "a"],
    ['<a>; rel="prev next"', "a"],
    ['<a>; REL = "next"', "a"],
  ])("is read from %s", (header, target) => {
    expect(nextTarget(header)).toBe(target);
  });

  test.each([
    null,
    "",
    "/v2/a",
    "<a",
    'rel="next"',
    '"<a>"',
    "<a>",
    "<a>; rel=prev",
    "oops, <a>; rel=next",
    "<a>; title*=x",
  ])("is null for %j", (header) => {
    expect(nextTarget(header)).toBeNull();
  });

  test("is read from any text without an exception", () => {
    fc.assert(
      fc.property(hostileText, (text) => {
        const target = nextTarget(text);
        if (target !== null) expect(text).toContain(target);
      }),
      { numRuns: 2_000 },
    );
  });

  test("isn't looked for in a field that no registry sends", () => {
    for (const text of [...longTexts, `<a>; rel=next${" ".repeat(8 * 1024)}`])
      expect(nextTarget(text)).toBeNull();
  });
});

describe("writing a link", () => {
  test("gives the form of the distribution spec", () => {
    expect(formatLink("https://m.example/v2/a/tags/list?n=2&last=v2", "next")).toBe(
      '<https://m.example/v2/a/tags/list?n=2&last=v2>; rel="next"',
    );
  });

  test("encodes a target that would end early or break the header", () => {
    expect(formatLink("/a> <b\r\n€\ud800", "next")).toBe(
      '</a%3E%20%3Cb%0D%0A%E2%82%AC%EF%BF%BD>; rel="next"',
    );
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (target) => {
        const link = formatLink(target, "next");
        new Headers({ Link: link });
        expect(nextTarget(link)).not.toBeNull();
      }),
    );
  });

  test("is undone by reading it", () => {
    fc.assert(
      fc.property(fc.webUrl({ withQueryParameters: true, withFragments: true }), (target) => {
        expect(nextTarget(formatLink(target, "next"))).toBe(target);
      }),
    );
  });
});
