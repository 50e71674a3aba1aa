/** Numbers, lengths of time and digests as they are printed. */
import { stripVTControlCharacters } from "node:util";
import { describe, expect, test } from "vitest";
import { ago, count, shortDigest, size, span } from "../../../scripts/terminal/format.ts";
import { table } from "../../../scripts/terminal/table.ts";

test.each([
  [0, "0 B"],
  [999, "999 B"],
  [1_234_567, "1.2 MB"],
  [4_995_000_000_000_000, "4995 TB"],
])("%d bytes are %s", (bytes, text) => {
  expect(size(bytes)).toBe(text);
});

test.each([
  [0, "0 seconds"],
  [1, "1 second"],
  [-90, "90 seconds"],
  [4_000, "67 minutes"],
  [10_799, "3 hours"],
  [45 * 86_400, "45 days"],
  [400 * 86_400, "13 months"],
  [3 * 366 * 86_400, "3 years"],
])("%d seconds are %s", (seconds, text) => {
  expect(span(seconds)).toBe(text);
});

test("the time since then is shown, whether it is given in milliseconds or ISO 8601", () => {
  const time = Date.now() - 4 * 86_400_000;
  expect([ago(time), ago(new Date(time).toISOString())]).toEqual(["4 days ago", "4 days ago"]);
});

test("singular and plural", () => {
  expect([count(1, "layer"), count(0, "layer"), count(2, "body"), count(2, "key")]).toEqual([
    ...["1 layer", "0 layers", "2 bodies", "2 keys"],
  ]);
});

test("a digest is cut to what tells it from others, after its algorithm", () => {
  expect(shortDigest(`sha512:${"0123456789abcdef".repeat(8)}`)).toBe("sha512:0123456789ab");
});

describe("a table", () => {
  test("has its columns below each other and no spaces at the ends", () => {
    const rows = [["one", "1 B", "x"], ["twenty", "20 kB", ""], ["three"]];
    expect(table(rows, { head: ["", "size", "note"], right: [1], indent: 2 })).toBe(
      ["           size  note", "  one       1 B  x", "  twenty  20 kB", "  three"].join("\n"),
    );
  });

  test("isn't put out of joint by colours or by wide characters", () => {
    const rows = [
      ["\u001b[32mok\u001b[39m", "|"],
      ["港口", "|"],
    ];
    expect(stripVTControlCharacters(table(rows))).toBe("ok    |\n港口  |");
  });
});
