/** A cold blob streams: into the store at upstream's pace, and to each client as it arrives, at the client's own pace. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { listen } from "../support/node/listen.ts";
import { type RawFaults, startRawFaults } from "../support/node/raw-faults.ts";
import { DEADLINE, within } from "./support/deadline.ts";
import { Download, download } from "./support/download.ts";
import { MIB, newBlob, requestsFor, type Stage, serveBlob, startStage } from "./support/stage.ts";

const NAME = "upstream.test";
/** More than what waits between the mirror and a client that doesn't read. */
const LARGE = 48 * MIB;

let upstream: RawFaults;
let stage: Stage;
beforeAll(async () => {
  upstream = await startRawFaults();
  stage = await startStage({ [NAME]: upstream.url });
});
afterAll(async () => {
  await stage?.stop();
  await upstream?.close();
});

it("serves a cold blob byte for byte while storing it", async () => {
  const blob = serveBlob(upstream, 24 * MIB);
  const cold = await download(stage.urlOf(NAME, blob));
  expect(cold.response.status).toBe(200);
  expect(cold.response.headers["content-length"]).toBe(String(24 * MIB));
  expect(cold.response.headers["transfer-encoding"]).toBeUndefined();
  expect(cold.response.servedBy).toBe("upstream");
  expect(cold.ending).toBe("whole");
  expect(cold.response.received).toBe(24 * MIB);
  expect(cold.response.digest).toBe(blob.digest);

  await stage.waitUntilStored(blob);
  const warm = await download(stage.urlOf(NAME, blob));
  expect(warm.response.servedBy).toBe("store");
  expect(warm.response.headers["content-length"]).toBe(String(24 * MIB));
  expect(warm.ending).toBe("whole");
  expect(warm.response.digest).toBe(blob.digest);
  expect(requestsFor(upstream, blob)).toHaveLength(1);
});

it.each([0, 1, 65_535, 65_537, 5 * MIB + 3])(
  "keeps a length of %i bytes exact, cold and warm",
  async (size) => {
    const blob = serveBlob(upstream, size);
    for (const servedBy of ["upstream", "store"]) {
      const { response, ending } = await download(stage.urlOf(NAME, blob));
      expect(response.servedBy).toBe(servedBy);
      expect(response.headers["content-length"]).toBe(String(size));
      expect(ending).toBe("whole");
      expect(response.digest).toBe(blob.digest);
      await stage.waitUntilStored(blob);
    }
  },
);

it("sends the client the first bytes before upstream has sent the last", async () => {
  const blob = newBlob(4 * MIB);
  const half = blob.bytes.byteLength / 2;
  const gate = Promise.withResolvers<void>();
  const gated = await listen(() => {
    const pieces = [blob.bytes.slice(0, half), blob.bytes.slice(half)];
    const body = new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          if (pieces.length === 1) await gate.promise;
          const piece = pieces.shift();
          if (piece) controller.enqueue(piece);
          else controller.close();
        },
      },
      { highWaterMark: 0 },
    );
    return new Response(body, { headers: { "Content-Length": String(blob.bytes.byteLength) } });
  });
  const gatedStage = await startStage({ [NAME]: gated.url });
  try {
    const response = await Download.open(gatedStage.urlOf(NAME, blob));
    await response.readTo(half);
    expect(response.received).toBe(half);
    gate.resolve();
    expect(await response.end()).toBe("whole");
    expect(response.digest).toBe(blob.digest);
    await gatedStage.waitUntilStored(blob);
  } finally {
    gate.resolve();
    await gatedStage.stop();
    await gated.close();
  }
});

it("serves the right bytes of one cold blob to twenty clients at once", async () => {
  const blob = serveBlob(upstream, 3 * MIB);
  const clients = Array.from({ length: 20 }, () => download(stage.urlOf(NAME, blob)));
  const answers = await within("twenty downloads at once", DEADLINE, Promise.all(clients));
  for (const { response, ending } of answers) {
    expect(ending).toBe("whole");
    expect(response.headers["content-length"]).toBe(String(3 * MIB));
    expect(response.digest).toBe(blob.digest);
  }
  const filling = answers.filter(({ response }) =>
    String(response.headers["cache-status"]).includes("stored"),
  );
  expect(filling).toHaveLength(1);
  await stage.waitUntilStored(blob);
  expect((await download(stage.urlOf(NAME, blob))).response.servedBy).toBe("store");
});

it("stores at upstream's pace in spite of a slow client, which gets the rest at its own", async () => {
  const blob = serveBlob(upstream, LARGE);
  const slow = await Download.open(stage.urlOf(NAME, blob));
  await slow.readTo(MIB);
  const fast = await download(stage.urlOf(NAME, blob));
  expect(fast.response.digest).toBe(blob.digest);
  await stage.waitUntilStored(blob);
  expect(await slow.end()).toBe("whole");
  expect(slow.digest).toBe(blob.digest);
  expect(requestsFor(upstream, blob)).toHaveLength(1);
});

it("serves several ranges of a stored blob in one response, and nothing else", async () => {
  const blob = serveBlob(upstream, 12 * MIB);
  await download(stage.urlOf(NAME, blob));
  await stage.waitUntilStored(blob);
  const Range = `bytes=${MIB}-${2 * MIB - 1},${6 * MIB}-${9 * MIB - 1},-3`;
  const response = await fetch(stage.urlOf(NAME, blob), { headers: { Range } });
  expect(response.status).toBe(206);
  const bytes = Buffer.from(await response.arrayBuffer());
  expect(response.headers.get("Content-Length")).toBe(String(bytes.byteLength));
  expect(bytes.byteLength).toBeLessThan(4 * MIB + 1024);
  for (const [first, end] of [
    [MIB, 2 * MIB],
    [6 * MIB, 9 * MIB],
    [12 * MIB - 3, 12 * MIB],
  ] as const) {
    const head = `Content-Range: bytes ${first}-${end - 1}/${12 * MIB}\r\n\r\n`;
    const start = bytes.indexOf(head) + head.length;
    expect(bytes.subarray(start, start + end - first).equals(blob.bytes.subarray(first, end))).toBe(true);
  }
});
