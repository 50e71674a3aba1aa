/** One fill and its readers: how many there are, what each requests, and what they get when it fails. */
import { createHash } from "node:crypto";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type RawFaults, startRawFaults } from "../support/node/raw-faults.ts";
import { DEADLINE, until } from "./support/deadline.ts";
import { Download, download } from "./support/download.ts";
import { type Blob, MIB, newBlob, requestsFor, type Stage, serveBlob, startStage } from "./support/stage.ts";

const NAME = "upstream.test";

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

const open = (blob: Blob, headers: Record<string, string> = {}): Promise<Download> =>
  Download.open(stage.urlOf(NAME, blob), headers);

/** A blob of 8 MiB whose fill goes on from its second MiB when `open` is called. */
function serveGated(): { blob: Blob; open: () => void } {
  const gate = Promise.withResolvers<void>();
  const fault = { type: "gate", after: 2 * MIB, opened: gate.promise } as const;
  return { blob: serveBlob(upstream, 8 * MIB, { fault, ranges: true }), open: () => gate.resolve() };
}

function filesLeft(): string[] {
  return readdirSync(join(stage.data, "incoming"), { recursive: true }).map(String);
}

it("streams to twenty clients from one request, to all of them before it has ended", async () => {
  const { blob, open: go } = serveGated();
  const clients = await Promise.all(Array.from({ length: 20 }, () => open(blob)));
  for (const client of clients) await client.readTo(MIB);
  expect(await stage.isStored(blob)).toBe(false);
  go();
  for (const client of clients) {
    expect(await client.end()).toBe("whole");
    expect(client.digest).toBe(blob.digest);
  }
  expect(requestsFor(upstream, blob)).toHaveLength(1);
  await stage.waitUntilStored(blob);
  await until("the fill to leave nothing behind", DEADLINE, () => filesLeft().length === 0);
});

it("answers ranges and HEADs of a running fill from it", async () => {
  const { blob, open: go } = serveGated();
  const leader = await open(blob);
  await leader.readTo(MIB);
  const url = stage.urlOf(NAME, blob);
  const head = await fetch(url, { method: "HEAD" });
  expect(head.status).toBe(200);
  expect(head.headers.get("Content-Length")).toBe(String(8 * MIB));
  const ranges = [
    [0, 9],
    [4 * MIB, 6 * MIB - 1],
    [8 * MIB - 3, 8 * MIB - 1],
  ] as const;
  for (const [first, last] of ranges) {
    const response = await fetch(url, { headers: { Range: `bytes=${first}-${last}` } });
    if (first > 0) go();
    expect(response.status).toBe(206);
    expect(response.headers.get("Content-Range")).toBe(`bytes ${first}-${last}/${8 * MIB}`);
    const bytes = Buffer.from(await response.arrayBuffer());
    expect(bytes.equals(blob.bytes.subarray(first, last + 1))).toBe(true);
  }
  const beyond = await fetch(url, { headers: { Range: `bytes=${8 * MIB}-` } });
  expect(beyond.status).toBe(416);
  expect(await leader.end()).toBe("whole");
  expect(requestsFor(upstream, blob)).toHaveLength(1);
});

it("resumes a body that breaks off, and no client notices", async () => {
  const fault = { type: "cut", after: 5 * MIB } as const;
  const blob = serveBlob(upstream, 8 * MIB, { fault, times: 1, ranges: true });
  const clients = await Promise.all([open(blob), open(blob), open(blob)]);
  for (const client of clients) {
    expect(await client.end()).toBe("whole");
    expect(client.digest).toBe(blob.digest);
  }
  expect(requestsFor(upstream, blob).map(({ bytesSent }) => bytesSent)).toEqual([5 * MIB, 3 * MIB]);
});

it("breaks every client's connection before the last byte of wrong content, and stores none of it", async () => {
  const blob = newBlob(8 * MIB);
  const digest = `sha256:${createHash("sha256").update("other content").digest("hex")}`;
  const wrong = { ...blob, digest, path: blob.path.replace(blob.digest, digest) };
  const gate = Promise.withResolvers<void>();
  const fault = { type: "gate", after: 2 * MIB, opened: gate.promise } as const;
  upstream.serve(wrong.path, { body: blob.bytes, fault, times: 1 });
  const clients = await Promise.all(Array.from({ length: 5 }, () => open(wrong)));
  for (const client of clients) await client.readTo(MIB);
  gate.resolve();
  const [first] = requestsFor(upstream, wrong);
  for (const client of clients) {
    expect(await client.end()).toBe("broken");
    expect(client.received).toBeLessThan(8 * MIB);
    expect(client.received).toBeGreaterThanOrEqual(MIB);
  }
  expect(first?.bytesSent).toBe(8 * MIB);
  await until("the fills to leave nothing behind", DEADLINE, () => filesLeft().length === 0);
  expect(await stage.isStored(wrong)).toBe(false);
});

it("serves small blobs whole, whose files are published while they are opened", async () => {
  for (let round = 0; round < 40; round++) {
    const blobs = Array.from({ length: 4 }, () => serveBlob(upstream, 60_000));
    const downloads = await Promise.all(blobs.map((blob) => download(stage.urlOf(NAME, blob))));
    for (const [at, { response, ending }] of downloads.entries())
      expect([ending, response.digest]).toEqual(["whole", blobs[at]?.digest]);
  }
});

it("leaves nothing behind of a fill whose last reader left long after it was stored", async () => {
  const blob = serveBlob(upstream, 48 * MIB);
  const client = await open(blob);
  await client.readTo(MIB);
  await stage.waitUntilStored(blob);
  expect(filesLeft()).not.toEqual([]);
  client.leave();
  await until("the fill to leave nothing behind", DEADLINE, () => filesLeft().length === 0);
});
