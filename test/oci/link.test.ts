import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatLink, parseLinks } from "../../src/oci/link.ts";
import { hostileText, longTexts } from "./hostile.ts";

const next = (target: string) => ({ target, relations: ["next"], parameters: { rel: "next" } });

describe("reading links", () => {
  test("finds the next page's, relative or not", () => {
    expect(parseLinks('</v2/a/tags/list?n=2&last=b>; rel="next"')).toEqual([
      next("/v2/a/tags/list?n=2&last=b"),
    ]);
    expect(parseLinks("<https://r.example/v2/a/tags/list>;rel=next")).toEqual([
      next("https://r.example/v2/a/tags/list"),
    ]);
  });

  test("keeps commas and semicolons that are part of a target or of a quoted value", () => {
    expect(parseLinks('<a,b;c>; title="x, <y>; rel=z"; rel="next"')).toEqual([
      { target: "a,b;c", relations: ["next"], parameters: { title: "x, <y>; rel=z", rel: "next" } },
    ]);
  });

  test("tells several links apart, and the relations of one", () => {
    expect(parseLinks('<a>; rel="Prev  start", <b>; rel=next, <c>')).toEqual([
      { target: "a", relations: ["prev", "start"], parameters: { rel: "Prev  start" } },
      next("b"),
      { target: "c", relations: [], parameters: {} },
    ]);
  });

  test("ignores case of names, space around separators, and empty parameters", () => {
    expect(parseLinks(' , < a > ; ; REL = "next" ; flag ;,')).toEqual([
      { target: "a", relations: ["next"], parameters: { rel: "next", flag: "" } },
    ]);
  });

  test("lets the first rel count", () => {
    expect(parseLinks("<a>; rel=next; rel=prev")).toEqual([next("a")]);
  });

  test.each([null, "", "/v2/a", "<a", 'rel="next"', '"<a>"'])("finds none in %j", (header) => {
    expect(parseLinks(header)).toEqual([]);
  });

  test("passes over what is no link", () => {
    expect(parseLinks("oops, <a>; rel=next oops, <b>; rel=next")).toEqual([next("a"), next("b")]);
  });

  test("never throws", () => {
    fc.assert(
      fc.property(hostileText, (text) => {
        for (const { target } of parseLinks(text)) expect(text).toContain(target);
      }),
      { numRuns: 2_000 },
    );
  });

  test("takes linear time", () => {
    for (const text of [...longTexts, "<".repeat(1_000_000)]) expect(parseLinks(text)).toBeInstanceOf(Array);
  });
});

describe("writing a link", () => {
  test("gives what the distribution spec shows", () => {
    expect(formatLink("https://m.example/v2/a/tags/list?n=2&last=v2", "next")).toBe(
      '<https://m.example/v2/a/tags/list?n=2&last=v2>; rel="next"',
    );
  });

  test("lets a target neither end early nor break the header", () => {
    expect(formatLink("/a> <b\r\n€\ud800", "next")).toBe(
      '</a%3E%20%3Cb%0D%0A%E2%82%AC%EF%BF%BD>; rel="next"',
    );
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }), (target, relation) => {
        const link = formatLink(target, relation);
        new Headers({ Link: link });
        expect(parseLinks(link)).toHaveLength(1);
      }),
    );
  });

  test("is undone by reading it", () => {
    fc.assert(
      fc.property(fc.array(fc.webUrl({ withQueryParameters: true, withFragments: true })), (targets) => {
        const header = targets.map((target) => formatLink(target, "next")).join(", ");
        expect(parseLinks(header)).toEqual(targets.map(next));
      }),
    );
  });
});
