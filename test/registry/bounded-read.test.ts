/** Bodies that are parsed: read whole or not at all, and never further than a chunk beyond their bound. */
import { expect, test } from "vitest";
import { readBounded, TooLarge } from "../../src/registry/bounded-read.ts";
import { UpstreamError } from "../../src/registry/failure.ts";

const CHUNK = 1024;

/** @param failing whether it breaks off after its last chunk. */
function body(chunks: number, failing = false) {
  const seen = { sent: 0, isCancelled: false };
  async function* sending() {
    try {
      for (;;) {
        if (seen.sent === chunks) {
          if (failing) throw new Error("reset");
          return;
        }
        yield new Uint8Array(CHUNK).fill(seen.sent++);
      }
    } finally {
      seen.isCancelled = seen.sent < chunks;
    }
  }
  return { seen, body: sending() };
}

test("a body as long as its bound is read whole, in order", async () => {
  const bytes = await readBounded(body(3), 3 * CHUNK, "a list");
  expect([...bytes].filter((_, at) => at % CHUNK === 0)).toEqual([0, 1, 2]);
  expect(bytes).toHaveLength(3 * CHUNK);
});

test("a body is cancelled with the first chunk beyond its bound", async () => {
  const long = body(1_000);
  const reading = readBounded(long, 3 * CHUNK, "a token");
  await expect(reading).rejects.toThrow(TooLarge);
  await expect(reading).rejects.toThrow(`a token has more than ${3 * CHUNK} bytes`);
  expect(long.seen).toEqual({ sent: 4, isCancelled: true });
});

test("a body that breaks off is a failure of upstream's", async () => {
  const reading = readBounded(body(2, true), 3 * CHUNK, "a list");
  await expect(reading).rejects.toThrow(UpstreamError);
  await expect(reading).rejects.toThrow("upstream broke off while sending a list");
});

test("a response without a body has no bytes", async () => {
  expect(await readBounded({ body: null }, 1, "a list")).toHaveLength(0);
});
