/** Stop and start on the same data folder: what was stored still is, and an interrupted fill leaves nothing behind. */
import { createHash } from "node:crypto";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { EMPTY_OBJECT_DIGEST } from "../../src/oci/digest.ts";
import { type RawFaults, startRawFaults } from "../support/node/raw-faults.ts";
import { DEADLINE, until } from "./support/deadline.ts";
import { Download, download } from "./support/download.ts";
import { type Blob, MIB, requestsFor, type Stage, serveBlob, startStage } from "./support/stage.ts";

const NAME = "upstream.test";
/** Bytes for what the runtime keeps beside the content. */
const BOOKKEEPING = 2 * MIB;

let upstream: RawFaults;
let stage: Stage;
beforeEach(async () => {
  upstream = await startRawFaults();
  stage = await startStage({ [NAME]: upstream.url });
});
afterEach(async () => {
  await stage?.stop();
  await upstream?.close();
});

/** Stops the mirror during a fill, and restarts it. */
async function interruptFill(): Promise<Blob> {
  const fault = { type: "stall", after: 12 * MIB } as const;
  const blob = serveBlob(upstream, 16 * MIB, { fault, times: 1 });
  const client = await Download.open(stage.urlOf(NAME, blob));
  await client.readTo(8 * MIB);
  await stage.halt();
  expect(await client.end()).toBe("broken");
  await stage.start();
  return blob;
}

async function bytesOnDisk(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const sizes = await Promise.all(
    files.map(async ({ parentPath, name }) => (await stat(join(parentPath, name))).size),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

it("serves after a restart what it had stored before, without an upstream request", async () => {
  const blob = serveBlob(upstream, 4 * MIB);
  await download(stage.urlOf(NAME, blob));
  await stage.waitUntilStored(blob);
  await stage.halt();
  await stage.start();
  const { response, ending } = await download(stage.urlOf(NAME, blob));
  expect(response.servedBy).toBe("store");
  expect(ending).toBe("whole");
  expect(response.digest).toBe(blob.digest);
  expect(requestsFor(upstream, blob)).toHaveLength(1);
});

it("stores nothing of a blob whose fill a stop interrupted, and still serves it whole", async () => {
  const blob = await interruptFill();
  expect(await stage.isStored(blob)).toBe(false);
  const { response, ending } = await download(stage.urlOf(NAME, blob));
  expect(response.servedBy).toBe("upstream");
  expect(ending).toBe("whole");
  expect(response.digest).toBe(blob.digest);
});

it("stores on the next pull what a stop has interrupted", async () => {
  const blob = await interruptFill();
  await download(stage.urlOf(NAME, blob));
  await stage.waitUntilStored(blob);
});

it("leaves nothing on the disk of what was never published", async () => {
  const cut = serveBlob(upstream, 32 * MIB, { fault: { type: "cut", after: 16 * MIB } });
  await download(stage.urlOf(NAME, cut));
  await until("the mirror to try again by itself", DEADLINE, () => requestsFor(upstream, cut).length > 1);
  await interruptFill();
  // What is tried again meanwhile is on the disk until it breaks off.
  await until("the disk to be free", DEADLINE, async () => (await bytesOnDisk(stage.data)) < BOOKKEEPING);
});

it("describes a stored manifest alike by HEAD and by GET", async () => {
  const mediaType = "application/vnd.oci.image.manifest.v1+json";
  const descriptor = { mediaType: "application/vnd.oci.empty.v1+json", digest: EMPTY_OBJECT_DIGEST, size: 2 };
  const body = Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType, config: descriptor, layers: [descriptor] }),
  );
  const digest = `sha256:${createHash("sha256").update(body).digest("hex")}`;
  const path = `some/repository/manifests/${digest}`;
  upstream.serve(`/v2/${path}`, { body, headers: { "Content-Type": mediaType } });
  const seen: unknown[] = [];
  for (const method of ["GET", "HEAD", "GET"]) {
    const response = await fetch(`${stage.url}/v2/${NAME}/${path}`, { method });
    await response.arrayBuffer();
    seen.push([response.status, response.headers.get("Content-Type")]);
    // Its memory is gone.
    await stage.halt();
    await stage.start();
  }
  expect(seen).toEqual(Array(3).fill([200, mediaType]));
  expect(upstream.requests).toHaveLength(1);
});
