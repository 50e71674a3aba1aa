/** Bodies that upstream breaks or misstates: never accepted as complete, never stored, and fetched again once upstream is intact. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EIGHT_MIB, type RawFault, type RawFaults, startRawFaults } from "../support/node/raw-faults.ts";
import { DEADLINE, until } from "./support/deadline.ts";
import { download } from "./support/download.ts";
import { type Blob, MIB, requestsFor, type Stage, serveBlob, startStage } from "./support/stage.ts";

const BREAKS: Record<string, RawFault> = {
  "cut with a Content-Length": { type: "cut", after: MIB },
  "cut before its first byte": { type: "cut", after: 0 },
  "cut while chunked": { type: "cut", after: MIB, framing: "chunked" },
  "reset with a Content-Length": { type: "reset", after: MIB },
  "reset while chunked": { type: "reset", after: MIB, framing: "chunked" },
  "cut at a multiple of 8 MiB": { type: "cut-at-8-mib" },
  "shorter than its Content-Length": { type: "wrong-length", by: 1000 },
};
const WRONG_LENGTHS = ["too small", "two lengths, the second too small", "two lengths, the second too large"];

/** An upstream for each test, so that what the mirror learns about one doesn't affect the others. */
const upstreams = new Map<string, RawFaults>();
let stage: Stage;
beforeAll(async () => {
  for (const fault of [...Object.keys(BREAKS), ...WRONG_LENGTHS, "none", "unsized"])
    upstreams.set(fault, await startRawFaults());
  stage = await startStage(
    Object.fromEntries([...upstreams].map(([fault, { url }]) => [nameFor(fault), url])),
  );
});
afterAll(async () => {
  await stage?.stop();
  for (const upstream of upstreams.values()) await upstream.close();
});

function nameFor(fault: string): string {
  return `${fault.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-")}.test`;
}

function upstreamFor(fault: string): RawFaults {
  const upstream = upstreams.get(fault);
  if (!upstream) throw new Error(`no upstream was started for "${fault}"`);
  return upstream;
}

/** From now on upstream serves the blob intact. */
function serveIntact(upstream: RawFaults, blob: Blob): void {
  upstream.serve(blob.path, { body: blob.bytes, ranges: true });
}

/**
 * Downloads what must break off.
 * @returns the bytes received; 0 also where the connection broke before the headers were sent.
 */
async function downloadBroken(url: string): Promise<number> {
  const result = await download(url).catch((error: unknown) => {
    expect(String(error)).toMatch(/socket hang up|ECONNRESET/);
    return null;
  });
  if (!result) return 0;
  expect(result.response.status).toBe(200);
  expect(result.ending).toBe("broken");
  return result.response.received;
}

describe("a body that is", () => {
  it.concurrent.for(Object.entries(BREAKS))(
    "%s, which can't be resumed, breaks the client's connection and stays out of the store",
    async ([name, fault]) => {
      const upstream = upstreamFor(name);
      // A body with a length would be resumed; without one, a range request is the only way to learn it.
      const blob = serveBlob(upstream, EIGHT_MIB + MIB, { fault, ranges: "framing" in fault });
      expect(await downloadBroken(stage.urlOf(nameFor(name), blob))).toBeLessThanOrEqual(
        blob.bytes.byteLength,
      );

      await until(
        "the mirror to try again by itself",
        DEADLINE,
        () => requestsFor(upstream, blob).length > 1,
      );
      expect(await stage.isStored(blob)).toBe(false);
      serveIntact(upstream, blob);
      await stage.waitUntilStored(blob);

      const healed = await download(stage.urlOf(nameFor(name), blob));
      expect(healed.response.servedBy).toBe("store");
      expect(healed.response.digest).toBe(blob.digest);
    },
  );
});

it.concurrent("stores nothing of a body whose Content-Length is too small", async () => {
  const upstream = upstreamFor("too small");
  const blob = serveBlob(upstream, MIB, { fault: { type: "wrong-length", by: -1000 } });
  // It is exactly what upstream declared; only the digest shows that it isn't the blob.
  expect(await downloadBroken(stage.urlOf(nameFor("too small"), blob))).toBeLessThan(MIB - 1000);

  await until("the mirror to try again by itself", DEADLINE, () => requestsFor(upstream, blob).length > 1);
  expect(await stage.isStored(blob)).toBe(false);
  serveIntact(upstream, blob);
  await stage.waitUntilStored(blob);
});

it.concurrent.for([
  ["two lengths, the second too small", -1000],
  ["two lengths, the second too large", 1000],
] as const)("answers %s with an error, and stores nothing", async ([name, by]) => {
  const upstream = upstreamFor(name);
  const blob = serveBlob(upstream, MIB, { fault: { type: "two-lengths", by } });
  const { response, ending } = await download(stage.urlOf(nameFor(name), blob));
  expect(response.status).toBe(503);
  expect(ending).toBe("whole");
  expect(response.headers["content-type"]).toBe("application/json");
  expect(response.headers["cache-control"]).toBe("no-store");
  expect(await stage.isStored(blob)).toBe(false);

  serveIntact(upstream, blob);
  const fixed = await download(stage.urlOf(nameFor(name), blob));
  expect(fixed.ending).toBe("whole");
  expect(fixed.response.digest).toBe(blob.digest);
});

it.concurrent("tries again at once, then after two seconds", async () => {
  const upstream = upstreamFor("none");
  const blob = serveBlob(upstream, MIB, { fault: { type: "cut", after: MIB / 2 }, times: 2 });
  await download(stage.urlOf(nameFor("none"), blob));
  await stage.waitUntilStored(blob);
  expect(requestsFor(upstream, blob)).toHaveLength(3);
});

it.concurrent("streams a body without a length as it arrives, and stores it by alarm", async () => {
  const upstream = upstreamFor("unsized");
  const blob = serveBlob(upstream, 4 * MIB, { fault: { type: "no-length" }, ranges: true });
  const { response, ending } = await download(stage.urlOf(nameFor("unsized"), blob));
  expect(response.headers["content-length"]).toBeUndefined();
  expect(ending).toBe("whole");
  expect(response.digest).toBe(blob.digest);
  await stage.waitUntilStored(blob);
  const warm = await download(stage.urlOf(nameFor("unsized"), blob));
  expect(warm.response.servedBy).toBe("store");
  expect(warm.response.headers["content-length"]).toBe(String(4 * MIB));
});
