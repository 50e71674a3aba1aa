/** The resumable stream: what its reader gets when its source bodies break off, and that it counts the bytes passed. */
import { describe, expect, test } from "vitest";
import { ResumableStream } from "../../src/pull/resumable-stream.ts";
import { patternBytes } from "../support/fake-registry.ts";

const WHOLE = patternBytes(300_000, 1);
/** Milliseconds; longer than a test. */
const STALL = 60_000;
const NEVER = new AbortController().signal;

async function read(stream: ResumableStream): Promise<Uint8Array> {
  return new Uint8Array(await new Response(stream.readable).arrayBuffer());
}

/** A body that breaks off after these bytes. */
function chunks(bytes: Uint8Array, size: number): ReadableStream<Uint8Array> {
  let offset = 0;
  return new ReadableStream({
    pull(controller) {
      if (offset >= bytes.byteLength) controller.error(new Error("broke off"));
      else controller.enqueue(bytes.slice(offset, offset + size));
      offset += size;
    },
  });
}

describe("a resumable stream", () => {
  test.each([0, 1, 65_535, 65_536, 65_537, 150_000, 299_999])(
    "continues seamlessly after an interruption at %i bytes",
    async (cut) => {
      const stream = new ResumableStream(WHOLE.byteLength);
      const got = read(stream);
      await expect(stream.feed(chunks(WHOLE.slice(0, cut), 50_000), NEVER, STALL)).rejects.toThrow(
        "broke off",
      );
      expect(stream.passed).toBe(cut);
      await expect(stream.feed(chunks(WHOLE.slice(cut), 7_000), NEVER, STALL)).rejects.toThrow("broke off");
      expect(stream.passed).toBe(WHOLE.byteLength);
      await stream.close();
      expect(await got).toEqual(WHOLE);
    },
  );

  test("can be split between two readers", async () => {
    const stream = new ResumableStream(WHOLE.byteLength);
    const [one, other] = stream.readable.tee();
    const got = [new Response(one).arrayBuffer(), new Response(other).arrayBuffer()];
    await expect(stream.feed(chunks(WHOLE.slice(0, 70_000), 10_000), NEVER, STALL)).rejects.toThrow(
      "broke off",
    );
    expect(stream.passed).toBe(70_000);
    await expect(stream.feed(chunks(WHOLE.slice(70_000), 10_000), NEVER, STALL)).rejects.toThrow("broke off");
    await stream.close();
    for (const bytes of await Promise.all(got)) expect(new Uint8Array(bytes)).toEqual(WHOLE);
  });

  test("closed too early errors for its reader", async () => {
    const stream = new ResumableStream(WHOLE.byteLength);
    const got = read(stream);
    got.catch(() => {});
    await stream.feed(chunks(WHOLE.slice(0, 1000), 1000), NEVER, STALL).catch(() => {});
    await expect(stream.close()).rejects.toThrow();
    await expect(got).rejects.toThrow();
  });

  test("aborted errors for its reader", async () => {
    const stream = new ResumableStream(WHOLE.byteLength);
    const got = read(stream);
    got.catch(() => {});
    await stream.feed(chunks(WHOLE.slice(0, 1000), 1000), NEVER, STALL).catch(() => {});
    await stream.abort(new Error("given up"));
    await expect(got).rejects.toThrow();
  });

  test("cancels its source when the reader cancels, and then reports no byte count", async () => {
    const stream = new ResumableStream(WHOLE.byteLength);
    const reader = stream.readable.getReader();
    const fed = stream.feed(chunks(WHOLE, 10_000), NEVER, STALL);
    await reader.read();
    await reader.cancel(new Error("left"));
    await expect(fed).rejects.toThrow();
    expect(stream.passed).toBe(null);
  });

  test("rejects more bytes than its length", async () => {
    const stream = new ResumableStream(1000);
    const got = read(stream);
    got.catch(() => {});
    await expect(stream.feed(chunks(WHOLE, 10_000), NEVER, STALL)).rejects.toThrow();
    await expect(got).rejects.toThrow();
    expect(stream.passed).toBe(null);
  });
});
