/** The relay: what its reader gets when the bodies that feed it break off, and that it knows how many bytes have passed. */
import { describe, expect, test } from "vitest";
import { Relay } from "../../src/pull/relay.ts";
import { patternBytes } from "../support/fake-registry.ts";

const WHOLE = patternBytes(300_000, 1);
/** Milliseconds; longer than a test. */
const STALL = 60_000;
const NEVER = new AbortController().signal;

async function read(relay: Relay): Promise<Uint8Array> {
  return new Uint8Array(await new Response(relay.readable).arrayBuffer());
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

describe("a relay", () => {
  test.each([0, 1, 65_535, 65_536, 65_537, 150_000, 299_999])(
    "goes on after %i bytes as if nothing had been",
    async (cut) => {
      const relay = new Relay(WHOLE.byteLength);
      const got = read(relay);
      await expect(relay.feed(chunks(WHOLE.slice(0, cut), 50_000), NEVER, STALL)).rejects.toThrow(
        "broke off",
      );
      expect(relay.passed).toBe(cut);
      await expect(relay.feed(chunks(WHOLE.slice(cut), 7_000), NEVER, STALL)).rejects.toThrow("broke off");
      expect(relay.passed).toBe(WHOLE.byteLength);
      await relay.close();
      expect(await got).toEqual(WHOLE);
    },
  );

  test("can be split between two readers", async () => {
    const relay = new Relay(WHOLE.byteLength);
    const [one, other] = relay.readable.tee();
    const got = [new Response(one).arrayBuffer(), new Response(other).arrayBuffer()];
    await expect(relay.feed(chunks(WHOLE.slice(0, 70_000), 10_000), NEVER, STALL)).rejects.toThrow(
      "broke off",
    );
    expect(relay.passed).toBe(70_000);
    await expect(relay.feed(chunks(WHOLE.slice(70_000), 10_000), NEVER, STALL)).rejects.toThrow("broke off");
    await relay.close();
    for (const bytes of await Promise.all(got)) expect(new Uint8Array(bytes)).toEqual(WHOLE);
  });

  test("that is closed too early breaks off what is read", async () => {
    const relay = new Relay(WHOLE.byteLength);
    const got = read(relay);
    got.catch(() => {});
    await relay.feed(chunks(WHOLE.slice(0, 1000), 1000), NEVER, STALL).catch(() => {});
    await expect(relay.close()).rejects.toThrow();
    await expect(got).rejects.toThrow();
  });

  test("that is given up breaks off what is read", async () => {
    const relay = new Relay(WHOLE.byteLength);
    const got = read(relay);
    got.catch(() => {});
    await relay.feed(chunks(WHOLE.slice(0, 1000), 1000), NEVER, STALL).catch(() => {});
    await relay.abort(new Error("given up"));
    await expect(got).rejects.toThrow();
  });

  test("lets go of a body when its reader leaves, and doesn't say then how much has passed", async () => {
    const relay = new Relay(WHOLE.byteLength);
    const reader = relay.readable.getReader();
    const fed = relay.feed(chunks(WHOLE, 10_000), NEVER, STALL);
    await reader.read();
    await reader.cancel(new Error("left"));
    await expect(fed).rejects.toThrow();
    expect(relay.passed).toBe(null);
  });

  test("refuses more bytes than its length", async () => {
    const relay = new Relay(1000);
    const got = read(relay);
    got.catch(() => {});
    await expect(relay.feed(chunks(WHOLE, 10_000), NEVER, STALL)).rejects.toThrow();
    await expect(got).rejects.toThrow();
    expect(relay.passed).toBe(null);
  });
});
