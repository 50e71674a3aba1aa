/** Clients that leave: what they began is still stored, and no other client notices. */
import { readdirSync } from "node:fs";
import { get } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Listening, listen } from "../support/node/listen.ts";
import { type RawFaults, startRawFaults } from "../support/node/raw-faults.ts";
import { DEADLINE, until } from "./support/deadline.ts";
import { Download, download } from "./support/download.ts";
import { type Blob, MIB, newBlob, requestsFor, type Stage, serveBlob, startStage } from "./support/stage.ts";

const NAME = "upstream.test";
const SLOW = "slow.test";

let upstream: RawFaults;
let slowUpstream: Listening;
let stage: Stage;
/** What the slow upstream serves once the gate is open. */
const slow = { blob: newBlob(0), requests: 0, gate: Promise.withResolvers<void>() };
beforeAll(async () => {
  upstream = await startRawFaults();
  slowUpstream = await listen(async () => {
    slow.requests++;
    await slow.gate.promise;
    return new Response(slow.blob.bytes.slice(), {
      headers: { "Content-Length": String(slow.blob.bytes.byteLength) },
    });
  });
  stage = await startStage({ [NAME]: upstream.url, [SLOW]: slowUpstream.url });
});
afterAll(async () => {
  await stage?.stop();
  await upstream?.close();
  await slowUpstream?.close();
});

const open = (blob: Blob): Promise<Download> => Download.open(stage.urlOf(NAME, blob));

/** A blob whose fill pauses after its second MiB until `go` is called. */
function serveGated(size: number): { blob: Blob; go: () => void } {
  const gate = Promise.withResolvers<void>();
  const fault = { type: "gate", after: 2 * MIB, opened: gate.promise } as const;
  return { blob: serveBlob(upstream, size, { fault }), go: () => gate.resolve() };
}

async function expectWarm(blob: Blob): Promise<void> {
  const before = requestsFor(upstream, blob).length;
  const { response, ending } = await download(stage.urlOf(NAME, blob));
  expect(response.servedBy).toBe("store");
  expect(ending).toBe("whole");
  expect(response.digest).toBe(blob.digest);
  expect(requestsFor(upstream, blob)).toHaveLength(before);
}

it.concurrent("fills the store from the same fetch when the client leaves in mid-download", async () => {
  const { blob, go } = serveGated(16 * MIB);
  const client = await open(blob);
  await client.readTo(2 * MIB);
  client.leave();
  go();
  await stage.waitUntilStored(blob);
  expect(requestsFor(upstream, blob)).toHaveLength(1);
  await expectWarm(blob);
});

it.concurrent("fills the store when the client leaves before upstream has answered", async () => {
  const blob = newBlob(MIB);
  slow.blob = blob;
  const leaver = get(stage.urlOf(SLOW, blob), { agent: false }).on("error", () => {});
  await until("the mirror's upstream request", DEADLINE, () => slow.requests > 0);
  leaver.destroy();
  slow.gate.resolve();
  await stage.waitUntilStored(blob);
  const { response } = await download(stage.urlOf(SLOW, blob));
  expect(response.servedBy).toBe("store");
  expect(response.digest).toBe(blob.digest);
  expect(slow.requests).toBe(1);
});

it.concurrent("lets the others finish when the one whose download fills the store leaves", async () => {
  const { blob, go } = serveGated(8 * MIB);
  const leader = await open(blob);
  await leader.readTo(MIB);
  const others = await Promise.all([open(blob), open(blob), open(blob)]);
  for (const other of others) expect(other.headers["cache-status"]).not.toContain("stored");
  leader.leave();
  go();
  for (const other of others) {
    expect(await other.end()).toBe("whole");
    expect(other.digest).toBe(blob.digest);
  }
  await stage.waitUntilStored(blob);
  await expectWarm(blob);
});

it.concurrent("lets the others finish when one of them leaves", async () => {
  const { blob, go } = serveGated(8 * MIB);
  const leader = await open(blob);
  const [leaver, stayer] = await Promise.all([open(blob), open(blob)]);
  await leaver.readTo(MIB);
  leaver.leave();
  go();
  expect(await leader.end()).toBe("whole");
  expect(leader.digest).toBe(blob.digest);
  expect(await stayer.end()).toBe("whole");
  expect(stayer.digest).toBe(blob.digest);
  await stage.waitUntilStored(blob);
  await expectWarm(blob);
});

it.concurrent("resumes what upstream cut after the client had left", async () => {
  const fault = { type: "cut", after: 36 * MIB } as const;
  const blob = serveBlob(upstream, 40 * MIB, { fault, times: 1, ranges: true });
  const client = await open(blob);
  await client.readTo(MIB);
  client.leave();
  await stage.waitUntilStored(blob);
  expect(requestsFor(upstream, blob).map(({ bytesSent }) => bytesSent)).toEqual([36 * MIB, 4 * MIB]);
  await expectWarm(blob);
});

it.concurrent("stops reading an open range once its client leaves", async () => {
  // At a pace: of a body at full speed the runtime drops what comes until its abort signal has fired, which can be all of it.
  const fault = { type: "trickle", bytesPerSecond: 2 * MIB } as const;
  const blob = serveBlob(upstream, 128 * MIB, { ranges: true, fault });
  const client = await Download.open(stage.urlOf(NAME, blob), { Range: "bytes=0-" });
  expect(client.status).toBe(206);
  await client.readTo(MIB);
  client.leave();
  await until(
    "the mirror to leave upstream",
    DEADLINE,
    () => requestsFor(upstream, blob)[0]?.clientLeft === true,
  );
  expect(requestsFor(upstream, blob)[0]?.bytesSent).toBeLessThan(64 * MIB);
  expect(requestsFor(upstream, blob)).toHaveLength(1);
});

it.concurrent("fetches a blob little more than once when all its parts are requested at once, as Ollama does", async () => {
  const [size, parts] = [64 * MIB, 16];
  const blob = serveBlob(upstream, size, { ranges: true });
  const url = stage.urlOf(NAME, blob);
  expect((await fetch(url, { method: "HEAD" })).headers.get("Content-Length")).toBe(String(size));
  const part = size / parts;
  const bytes = await Promise.all(
    Array.from({ length: parts }, async (_, at) => {
      const headers = { Range: `bytes=${at * part}-${(at + 1) * part - 1}` };
      const response = await fetch(url, { headers });
      expect(response.status).toBe(206);
      return Buffer.from(await response.arrayBuffer());
    }),
  );
  expect(Buffer.concat(bytes).equals(blob.bytes)).toBe(true);
  await stage.waitUntilStored(blob);
  const whole = requestsFor(upstream, blob).filter(
    ({ method, headers }) => method === "GET" && !headers.range,
  );
  expect(whole).toHaveLength(1);
  const sent = requestsFor(upstream, blob).map(({ bytesSent }) => bytesSent);
  expect(sent.reduce((sum, bytes) => sum + bytes, 0) / size).toBeLessThan(1.1);
});

it("leaves no file behind for each blob that isn't there", async () => {
  const digests = Array.from({ length: 40 }, (_, at) => `sha256:00${at.toString(16).padStart(62, "0")}`);
  const statuses = await Promise.all(
    digests.map(async (digest, at) => {
      const response = await fetch(`${stage.url}/v2/${NAME}/unknown/${at}/blobs/${digest}`);
      await response.arrayBuffer();
      return response.status;
    }),
  );
  expect(statuses).toEqual(Array(40).fill(404));
  const names = readdirSync(join(stage.data, "objects/BlobFill"));
  // One object for the digests that begin alike, and those of this file's other blobs.
  expect(names.filter((name) => name.endsWith(".sqlite")).length).toBeLessThan(20);
});
