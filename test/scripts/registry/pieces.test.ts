/** Bytes gathered into pieces: their order, their sizes, and how much of them is in memory. */
import { expect, test } from "vitest";
import { inPieces } from "../../../scripts/registry/download.ts";

async function* counting(bytes: number, step: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes; at += step) {
    yield Uint8Array.from({ length: Math.min(step, bytes - at) }, (_, index) => at + index);
  }
}

test.each([1, 7, 10, 64])("have all bytes in order, from a source that gives %d at a time", async (step) => {
  const buffers = new Set<ArrayBuffer>();
  const sizes: number[] = [];
  const all: number[] = [];
  for await (const piece of inPieces(counting(95, step), 10)) {
    // The source is read on meanwhile.
    await new Promise((resolve) => setImmediate(resolve));
    buffers.add(piece.buffer);
    sizes.push(piece.byteLength);
    all.push(...piece);
  }
  expect(all).toEqual(Array.from({ length: 95 }, (_, index) => index));
  expect(sizes).toEqual([10, 10, 10, 10, 10, 10, 10, 10, 10, 5]);
  expect(buffers.size).toBe(2);
});
