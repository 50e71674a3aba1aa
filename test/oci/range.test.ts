import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  contentRange,
  parseContentRange,
  parseRanges,
  resolveRange,
  resolveRanges,
  unsatisfiedRange,
} from "../../src/oci/range.ts";

const whole = fc.maxSafeNat();
const tooLarge = "9007199254740992";

describe("reading a Range", () => {
  test.each([
    ["bytes=0-499", { first: 0, last: 499 }],
    ["bytes=500-", { first: 500, last: null }],
    ["bytes=-500", { suffix: 500 }],
    ["bytes=-0", { suffix: 0 }],
    ["Bytes=7-7", { first: 7, last: 7 }],
  ])("understands %s", (header, range) => expect(parseRanges(header)).toEqual([range]));

  test("understands a list, in its order", () => {
    expect(parseRanges("bytes=5-9, -3,0-1")).toEqual([
      { first: 5, last: 9 },
      { suffix: 3 },
      { first: 0, last: 1 },
    ]);
    expect(parseRanges(`bytes=${Array(16).fill("0-1").join(",")}`)).toHaveLength(16);
  });

  test.each([
    null,
    "",
    "bytes",
    "bytes=",
    "bytes=-",
    "bytes=a-b",
    "bytes=2-1",
    "bytes=--1",
    "bytes=1.5-2",
    "bytes=0x1-2",
    "bytes 0-1",
    "items=0-1",
    "bytes=0-1,",
    "bytes=0-1,4-3",
    `bytes=${Array(17).fill("0-1").join(",")}`,
    `bytes=${tooLarge}-`,
    `bytes=0-${tooLarge}`,
    `bytes=-${tooLarge}`,
    `bytes=${"9".repeat(400)}-`,
  ])("ignores %j, so that the response is the whole", (header) => expect(parseRanges(header)).toEqual([]));

  test("understands every single range of safe integers", () => {
    fc.assert(
      fc.property(whole, whole, (a, b) => {
        const [first, last] = a < b ? [a, b] : [b, a];
        expect(parseRanges(`bytes=${first}-${last}`)).toEqual([{ first, last }]);
        expect(parseRanges(`bytes=${first}-`)).toEqual([{ first, last: null }]);
        expect(parseRanges(`bytes=-${last}`)).toEqual([{ suffix: last }]);
      }),
    );
  });
});

describe("laying several ranges on content", () => {
  test.each([
    [
      "bytes=0-1,4-5",
      [
        [0, 2],
        [4, 2],
      ],
    ],
    [
      "bytes=8-,0-1",
      [
        [8, 2],
        [0, 2],
      ],
    ],
    [
      "bytes=0-1,2-3",
      [
        [0, 2],
        [2, 2],
      ],
    ],
    ["bytes=0-1,10-", [[0, 2]]],
    ["bytes=10-,20-", []],
    ["bytes=0-5,5-9", null],
    ["bytes=0-,-1", null],
  ])("of ten bytes: %s", (header, expected) => {
    const slices = resolveRanges(parseRanges(header), 10);
    expect(slices?.map(({ offset, length }) => [offset, length]) ?? null).toEqual(expected);
  });
});

describe("laying a range on content", () => {
  test.each([
    [
      { first: 0, last: 4 },
      { offset: 0, length: 5 },
    ],
    [
      { first: 8, last: 100 },
      { offset: 8, length: 2 },
    ],
    [
      { first: 9, last: null },
      { offset: 9, length: 1 },
    ],
    [{ suffix: 3 }, { offset: 7, length: 3 }],
    [{ suffix: 100 }, { offset: 0, length: 10 }],
    [{ first: 10, last: null }, null],
    [{ suffix: 0 }, null],
  ])("of ten bytes: %j gives %j", (range, resolved) => expect(resolveRange(range, 10)).toEqual(resolved));

  test("of no bytes is never satisfiable", () => {
    expect(resolveRange({ first: 0, last: null }, 0)).toBeNull();
    expect(resolveRange({ suffix: 5 }, 0)).toBeNull();
  });

  test("gives the bytes that slicing gives, and a Content-Range that reads back", () => {
    const range = fc.oneof(
      fc.record({ suffix: fc.nat(60) }),
      fc.record({ first: fc.nat(60), last: fc.constant(null) }),
      fc.tuple(fc.nat(60), fc.nat(60)).map(([first, more]) => ({ first, last: first + more })),
    );
    fc.assert(
      fc.property(range, fc.nat(50), (requested, size) => {
        const content = Array.from({ length: size }, (_, index) => index);
        const expected =
          "suffix" in requested
            ? content.slice(Math.max(0, size - requested.suffix))
            : content.slice(requested.first, (requested.last ?? size) + 1);
        const resolved = resolveRange(requested, size);
        if (resolved === null) {
          expect(expected).toEqual([]);
          return;
        }
        const { offset, length } = resolved;
        expect(content.slice(offset, offset + length)).toEqual(expected);
        expect(length).toBeGreaterThan(0);
        expect(parseContentRange(contentRange(offset, length, size))).toEqual({
          first: offset,
          last: offset + length - 1,
          size,
        });
      }),
    );
  });
});

describe("Content-Range", () => {
  test("names the part that is sent, or the size that was exceeded", () => {
    expect(contentRange(0, 500, 1234)).toBe("bytes 0-499/1234");
    expect(unsatisfiedRange(1234)).toBe("bytes */1234");
  });

  test("is read with a size that upstream doesn't know", () => {
    expect(parseContentRange("bytes 42-1233/*")).toEqual({ first: 42, last: 1233, size: null });
  });

  test.each([
    null,
    "",
    "bytes */1234",
    "bytes 5-4/10",
    "bytes 0-10/10",
    "items 0-1/2",
    "bytes 0-1",
    "bytes=0-1/2",
    `bytes 0-1/${tooLarge}`,
    `bytes 0-${tooLarge}/*`,
  ])("is not taken from %j", (text) => expect(parseContentRange(text)).toBeNull());
});
