import { expect, test } from "vitest";
import { Portions } from "../../../scripts/registry/chunks.ts";

const MIB = 1024 * 1024;
const ORIGIN = "https://registry.example";
const UNBOUNDED = { least: null, most: null };

test("without a limit a blob of any size goes whole", () => {
  expect(new Portions().chunkFor(ORIGIN, 5_000 * MIB, UNBOUNDED)).toBeNull();
});

test.each([
  [90 * MIB, 90 * MIB, null],
  [90 * MIB, 90 * MIB + 1, 32 * MIB],
  [2 * MIB, 90 * MIB, 2 * MIB],
  [2 * MIB, 2 * MIB, null],
])("with a limit of %d a blob of %d goes in chunks of %s", (limit, size, chunk) => {
  expect(new Portions(limit).chunkFor(ORIGIN, size, UNBOUNDED)).toBe(chunk);
});

test("a limit bounds what a registry takes, and a registry's bound what the limit allows", () => {
  expect(new Portions(2 * MIB).chunkFor(ORIGIN, 90 * MIB, { least: null, most: 4 * MIB })).toBe(2 * MIB);
  expect(new Portions(90 * MIB).chunkFor(ORIGIN, 100 * MIB, { least: null, most: 4 * MIB })).toBe(4 * MIB);
});

test("after a blob broke off, chunks are smaller, and never larger than the limit", () => {
  for (const [limit, chunk] of [
    [90 * MIB, 8 * MIB],
    [2 * MIB, 2 * MIB],
  ] as const) {
    const portions = new Portions(limit);
    portions.brokeOff(ORIGIN);
    expect(portions.chunkFor(ORIGIN, 100 * MIB, UNBOUNDED)).toBe(chunk);
  }
});
