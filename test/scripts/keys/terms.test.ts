import { describe, expect, test } from "vitest";
import { expiry } from "../../../scripts/keys/terms.ts";

const NOW = Date.parse("2026-11-25T12:00:00Z");

describe("the end of a key", () => {
  test.each([
    ["90d", "2027-02-23T12:00:00.000Z"],
    ["12h", "2026-11-26T00:00:00.000Z"],
    ["4w", "2026-12-23T12:00:00.000Z"],
    ["2027-01-31", "2027-01-31T00:00:00.000Z"],
    ["never", null],
  ])("%s is %s", (text, end) => {
    expect(expiry(text, NOW)).toBe(end);
  });

  test.each([
    "",
    "90",
    "d",
    "-1d",
    "1y",
    "1.5d",
    "90 d",
    "0d",
    "999999w",
    "2026-11-25",
    "2027-13-01",
    "1/2/2027",
  ])("%j is refused with what would be right", (text) => {
    expect(() => expiry(text, NOW)).toThrow(/90d, 12h, 4w, 2027-01-31 or never/);
  });
});
