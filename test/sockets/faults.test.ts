/** What upstream sends that only shows on a socket: the faults of test/faults/list.ts that no HTTP library agrees to send. */

import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect } from "vitest";
import type { Fault } from "../faults/list.ts";
import { behaviours, createFakeRegistry, patternBytes } from "../support/fake-registry.ts";
import { type ListeningRegistry, listen } from "../support/node/listen.ts";
import {
  EIGHT_MIB,
  type RawFault,
  type RawFaults,
  type RawRequest,
  startRawFaults,
} from "../support/node/raw-faults.ts";
import { DEADLINE, until } from "./support/deadline.ts";
import { Download, download } from "./support/download.ts";
import { isOfInput, useFaults } from "./support/faults.ts";
import { type Blob, MIB, PATIENT, requestsFor, type Stage, serveBlob, startStage } from "./support/stage.ts";

/** The pauses between attempts are the mirror's own affair: these are shorter. */
const TIMING = { ...PATIENT, bodyLimits: { ...PATIENT.bodyLimits, pauses: [0, 100, 200, 200, 200] } };

const KIB = 1024;
const COLD = "Portolan; fwd=uri-miss; fwd-status=200; stored; detail=upstream";

const UNREACHABLE = {
  "refused.test": "a port on which nothing listens",
  "unresolved.test": "a name that can't be resolved",
  "untrusted.test": "a host that doesn't speak TLS",
};

const fault = useFaults((each) => !isOfInput(each));

let upstream: RawFaults;
let fallback: RawFaults;
let listening: ListeningRegistry;
let stage: Stage;
/** A mirror that waits only briefly for an upstream that has stopped sending. */
let hasty: Stage;
const registry = createFakeRegistry({ auth: "none" });

beforeAll(async () => {
  upstream = await startRawFaults();
  fallback = await startRawFaults();
  listening = await listen(registry);
  const closed = await startRawFaults();
  await closed.close();
  stage = await startStage(
    {
      "upstream.test": upstream.url,
      "paired.test": [upstream.url, fallback.url],
      "registry.test": listening.url,
      "refused.test": closed.url,
      "unresolved.test": "https://registry.invalid",
      "untrusted.test": `https://${listening.host}`,
    },
    TIMING,
  );
  hasty = await startStage(
    { "upstream.test": upstream.url },
    { ...TIMING, bodyLimits: { ...TIMING.bodyLimits, stall: 3_000 } },
  );
});
afterAll(async () => {
  await stage?.stop();
  await hasty?.stop();
  await listening?.close();
  await fallback?.close();
  await upstream?.close();
});

function urlOf(blob: Blob, name = "upstream.test"): string {
  return stage.urlOf(name, blob);
}

/** The stored content matches its key. */
async function expectHeld(blob: Blob, name = "upstream.test"): Promise<void> {
  await stage.waitUntilStored(blob);
  const { response, ending } = await download(urlOf(blob, name));
  expect([response.status, response.servedBy, ending, response.digest]).toEqual([
    200,
    "store",
    "whole",
    blob.digest,
  ]);
}

function breaksOff(name: Fault, variant: string | null, wire: RawFault): void {
  fault(name, variant, async () => {
    const blob = serveBlob(upstream, EIGHT_MIB + MIB, { fault: wire, ranges: true });
    const { response, ending } = await download(urlOf(blob));
    expect([response.status, ending]).toEqual([200, "broken"]);
    expect(response.headers["cache-status"]).toContain("fwd=uri-miss");
    await until("the alarm's first try", DEADLINE, () => requestsFor(upstream, blob).length > 1);
    expect(await stage.isStored(blob)).toBe(false);
    upstream.serve(blob.path, { body: blob.bytes, ranges: true });
    await expectHeld(blob);
    // One for the client, and the alarm's retries: immediate, after two seconds, and at most one more.
    const isWhole = ({ method, headers }: RawRequest) => method === "GET" && headers.range === undefined;
    expect(requestsFor(upstream, blob).filter(isWhole).length).toBeLessThanOrEqual(4);
  });
}

/** A request for the rest from any byte up to this one: a reset may discard what was sent before it and not read yet (RFC 9293 §3.10.7). */
function upTo(last: number): (range: string) => boolean {
  return (range) => {
    const first = /^bytes=(\d+)-$/.exec(range)?.[1];
    return first !== undefined && Number(first) <= last;
  };
}

/**
 * The client gets the whole blob in one response, and the store is filled from the same bytes.
 * @param ranges the ranges that upstream is requested after the first request, the exact value or a check.
 */
function goesOn(
  name: Fault,
  variant: string,
  wire: RawFault,
  ranges: (string | ((range: string) => boolean))[],
): void {
  fault(name, `${variant}: the rest follows`, async () => {
    const times = ranges.length;
    const blob = serveBlob(upstream, EIGHT_MIB + MIB, { fault: wire, ranges: true, times });
    const { response, ending } = await download(urlOf(blob));
    expect([response.status, ending, response.digest]).toEqual([200, "whole", blob.digest]);
    expect(response.headers["cache-status"]).toBe(COLD);
    await expectHeld(blob);
    const sentRanges = requestsFor(upstream, blob).map(({ headers }) => headers.range ?? "whole");
    const expected = ranges.map((range) =>
      typeof range === "string" ? range : expect.toSatisfy(range, "a range within what was sent"),
    );
    expect(sentRanges).toEqual(["whole", ...expected]);
  });
}

const LAST = EIGHT_MIB + MIB - 1;
goesOn("cut with Content-Length", "in the middle", { type: "cut", after: MIB }, [`bytes=${MIB}-`]);
goesOn("cut with Content-Length", "twice", { type: "cut", after: MIB }, [
  `bytes=${MIB}-`,
  `bytes=${2 * MIB}-`,
]);
goesOn("cut with Content-Length", "before its first byte", { type: "cut", after: 0 }, ["bytes=0-"]);
goesOn("cut with Content-Length", "before its last byte", { type: "cut", after: LAST }, [`bytes=${LAST}-`]);
goesOn("reset mid-stream", "with a length", { type: "reset", after: MIB }, [upTo(MIB)]);
goesOn("cut at a multiple of 8 MiB with full length declared", "once", { type: "cut-at-8-mib" }, [
  `bytes=${EIGHT_MIB}-`,
]);

breaksOff("cut with Content-Length", "before its first byte, for ever", { type: "cut", after: 0 });
breaksOff("cut while chunked", null, { type: "cut", after: MIB, framing: "chunked" });
breaksOff("length too large", null, { type: "wrong-length", by: 1 });
breaksOff("reset mid-stream", "while chunked", { type: "reset", after: MIB, framing: "chunked" });
breaksOff("cut at a multiple of 8 MiB with full length declared", "for ever", { type: "cut-at-8-mib" });

fault("cut with Content-Length", "by a primary, and resumed at its fallback", async () => {
  const blob = serveBlob(upstream, 3 * MIB, { fault: { type: "cut", after: MIB } });
  fallback.serve(blob.path, { body: blob.bytes, ranges: true });
  const { response, ending } = await download(urlOf(blob, "paired.test"));
  expect([response.status, ending, response.digest]).toEqual([200, "whole", blob.digest]);
  await expectHeld(blob, "paired.test");
  expect(requestsFor(upstream, blob)).toHaveLength(1);
  expect(requestsFor(fallback, blob).map(({ headers }) => headers.range)).toEqual([`bytes=${MIB}-`]);
});

fault("cut with Content-Length", "repeatedly: given up in the end", async () => {
  const blob = serveBlob(upstream, 20 * MIB, { fault: { type: "cut", after: MIB }, ranges: true });
  const { response, ending } = await download(urlOf(blob));
  expect([response.status, ending]).toEqual([200, "broken"]);
  expect(response.received).toBeLessThanOrEqual(16 * MIB);
  upstream.serve(blob.path, { body: blob.bytes });
  await expectHeld(blob);
});

fault(
  "length too small",
  "the client's connection breaks before the last byte, and nothing is stored",
  async () => {
    const blob = serveBlob(upstream, MIB, { fault: { type: "wrong-length", by: -1 } });
    const broken = await download(urlOf(blob)).catch(() => null);
    expect(broken?.ending ?? "broken").toBe("broken");
    expect(broken?.response.received ?? 0).toBeLessThan(MIB - 1);
    await until("the alarm's first try", DEADLINE, () => requestsFor(upstream, blob).length > 1);
    expect(await stage.isStored(blob)).toBe(false);
    upstream.serve(blob.path, { body: blob.bytes });
    await expectHeld(blob);
  },
);

fault("no length", "passed through whole, and stored by the alarm", async () => {
  const blob = serveBlob(upstream, MIB, { fault: { type: "no-length" }, ranges: true });
  const { response, ending } = await download(urlOf(blob));
  expect([response.status, ending, response.digest]).toEqual([200, "whole", blob.digest]);
  expect(response.headers["content-length"]).toBe(undefined);
  expect(response.headers["cache-status"]).not.toContain("stored");
  await expectHeld(blob);
});

fault("stall", "nothing is stored of it, its client can leave, and the others are served", async () => {
  const stall = { type: "stall", after: 64 * KIB } as const;
  const blob = serveBlob(upstream, 256 * KIB, { fault: stall, times: 1, ranges: true });
  const client = await Download.open(hasty.urlOf("upstream.test", blob));
  await client.readTo(64 * KIB);
  expect(await hasty.isStored(blob)).toBe(false);
  client.leave();
  const { response, ending } = await download(hasty.urlOf("upstream.test", blob));
  expect([response.status, ending, response.digest]).toEqual([200, "whole", blob.digest]);
});

fault(
  "slow trickle",
  "each byte reaches the client as it arrives, and the whole blob is stored",
  async () => {
    const trickle = { type: "trickle", bytesPerSecond: 128 * KIB } as const;
    const blob = serveBlob(upstream, 384 * KIB, { fault: trickle, times: 1 });
    const client = await Download.open(urlOf(blob));
    await client.readTo(32 * KIB);
    expect(requestsFor(upstream, blob)[0]?.bytesSent).toBeLessThan(blob.bytes.byteLength);
    expect([await client.end(), client.digest]).toEqual(["whole", blob.digest]);
    expect(client.headers["cache-status"]).toBe(COLD);
    await expectHeld(blob);
    expect(requestsFor(upstream, blob)).toHaveLength(1);
  },
);

fault(
  "Content-Encoding gzip added in transit",
  "decoded for the client, whole, and stored as it was pushed",
  async () => {
    const bytes = patternBytes(300_000, 11);
    const { digest } = await registry.addBlob(bytes, { repository: "some/repository" });
    registry.fail({ kind: "blob", method: "GET" }, behaviours.gzippedOnTheWay());
    const blob = { bytes, digest, path: `/v2/some/repository/blobs/${digest}` };
    const { response, ending } = await download(urlOf(blob, "registry.test"));
    expect([response.status, ending, response.digest]).toEqual([200, "whole", digest]);
    expect(response.headers["content-encoding"]).toBe(undefined);
    await expectHeld(blob, "registry.test");
    for (const { headers } of registry.requests) expect(headers["accept-encoding"]).toBe("identity");
  },
);

fault(
  "a layer that is gzip itself: bytes untouched",
  "cold and warm, with every Accept-Encoding",
  async () => {
    const packed = gzipSync("a layer that is packed by the client that pushed it".repeat(10_000));
    const digest = `sha256:${createHash("sha256").update(packed).digest("hex")}`;
    const blob = { bytes: packed, digest, path: `/v2/some/repository/blobs/${digest}` };
    upstream.serve(blob.path, { body: packed, headers: { "Content-Type": "application/x-gzip" } });
    for (const from of ["upstream", "store"]) {
      const client = await Download.open(urlOf(blob), { "Accept-Encoding": "zstd,gzip,deflate,br" });
      expect([await client.end(), client.digest, client.servedBy]).toEqual(["whole", digest, from]);
      expect(client.headers["content-encoding"]).toBe(undefined);
      expect(client.headers["content-length"]).toBe(String(packed.byteLength));
      await stage.waitUntilStored(blob);
    }
  },
);

for (const [what, body] of [
  ["bytes that aren't encoded", patternBytes(300_000, 12)],
  ["a gzip layer", gzipSync(patternBytes(300_000, 13))],
] as const) {
  fault(
    "a layer that is gzip itself: bytes untouched",
    `${what}, labelled as encoded on the way`,
    async () => {
      const digest = `sha256:${createHash("sha256").update(body).digest("hex")}`;
      const blob = { bytes: body, digest, path: `/v2/some/repository/blobs/${digest}` };
      upstream.serve(blob.path, { body, headers: { "Content-Encoding": "gzip" } });
      const { response, ending } = await download(urlOf(blob));
      expect([response.status, ending, response.digest]).toEqual([200, "whole", digest]);
      expect(response.headers["content-encoding"]).toBe(undefined);
      await expectHeld(blob);
    },
  );
}

for (const [name, what] of Object.entries(UNREACHABLE)) {
  fault("DNS, TLS, refused", what, async () => {
    for (const [agent, status] of [
      ["curl/8.5.0", 503],
      ["docker/20.10.24", 429],
    ] as const) {
      const blob = serveBlob(upstream, KIB);
      const client = await Download.open(urlOf(blob, name), { "User-Agent": agent });
      expect([client.status, await client.end()]).toEqual([status, "whole"]);
      expect(client.headers["content-type"]).toBe("application/json");
      expect(client.headers["cache-control"]).toBe("no-store");
      expect(await stage.isStored(blob)).toBe(false);
    }
  });
}

fault("the leader disconnects", "the others finish, and the blob is stored anyway", async () => {
  const trickle = { type: "trickle", bytesPerSecond: 4 * MIB } as const;
  const blob = serveBlob(upstream, 4 * MIB, { fault: trickle });
  const leader = await Download.open(urlOf(blob));
  await leader.readTo(512 * KIB);
  const opening = Download.open(urlOf(blob));
  expect(leader.headers["cache-status"]).toBe(COLD);
  leader.leave();
  const other = await opening;
  expect([await other.end(), other.digest]).toEqual(["whole", blob.digest]);
  await expectHeld(blob);
  expect(requestsFor(upstream, blob)).toHaveLength(1);
});
