/** Makes `toEqual` compare bytes at once: element by element, a few hundred kilobytes take seconds. */
import { expect } from "vitest";

expect.addEqualityTesters([
  (one: unknown, other: unknown) => {
    if (!(one instanceof Uint8Array) || !(other instanceof Uint8Array)) return undefined;
    if (one.byteLength !== other.byteLength) return false;
    return one.every((byte, index) => byte === other[index]);
  },
]);
