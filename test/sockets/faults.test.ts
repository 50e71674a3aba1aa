/** The faults of test/faults/list.ts that only show on a socket: bytes that no HTTP library sends, to a running mirror. */

import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Fault, nameOf, OVER_SOCKETS } from "../faults/list.ts";
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
import { exchange, get, singleRequest, statusesIn } from "./support/raw-request.ts";
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

const seen = new Set<Fault>();
let upstream: RawFaults;
let liar: RawFaults;
let fallback: RawFaults;
let listening: ListeningRegistry;
let stage: Stage;
/** A mirror that waits only briefly for an upstream that has stopped sending. */
let hasty: Stage;
const registry = createFakeRegistry({ auth: "none" });

beforeAll(async () => {
  upstream = await startRawFaults();
  liar = await startRawFaults();
  fallback = await startRawFaults();
  listening = await listen(registry);
  const closed = await startRawFaults();
  await closed.close();
  stage = await startStage(
    {
      "upstream.test": upstream.url,
      "liar.test": liar.url,
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
  await liar?.close();
  await fallback?.close();
  await upstream?.close();
});

function fault(name: Fault, variant: string | null, run: () => Promise<void>): void {
  seen.add(name);
  test.concurrent(nameOf(name, variant ?? undefined), run);
}

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

/** Refused or ignored; upstream never sees it, and the mirror keeps running. */
function refusesRaw(name: Fault, targets: Record<string, string | Uint8Array>): void {
  for (const [what, bytes] of Object.entries(targets)) {
    fault(name, what, async () => {
      const statuses = statusesIn(await exchange(stage.url, bytes));
      expect(statuses.length).toBeLessThanOrEqual(1);
      for (const status of statuses) expect([400, 403, 404, 405, 421, 431]).toContain(status);
      const received = JSON.stringify(upstream.requests);
      for (const trace of ["..", "%2e", "%2f", "secret", "evil", "\\u0000"])
        expect(received).not.toContain(trace);
      expect((await fetch(`${stage.url}/v2/`)).status).toBe(200);
    });
  }
}

const TAIL = "some/repository/manifests/latest";
refusesRaw("dots and slashes, plain and encoded", {
  "../ out of the API": singleRequest("/v2/upstream.test/../../secret"),
  "../ out of the repository": singleRequest(
    "/v2/upstream.test/some/repository/../../../_/secret/manifests/x",
  ),
  "%2e%2e": singleRequest("/v2/%2e%2e/%2e%2e/secret"),
  "%2F": singleRequest(`/v2/upstream.test%2Fsecret%2F..%2F${TAIL}`),
  "two slashes": singleRequest(`//v2//upstream.test//${TAIL}`),
  "another host in the target": singleRequest(`http://evil.test/v2/upstream.test/evil/manifests/`),
  "no slash at all": singleRequest("v2/secret"),
  backslashes: singleRequest("/v2/upstream.test\\..\\secret"),
});
refusesRaw("Unicode, NUL", {
  "a NUL in the target": singleRequest(`/v2/upstream.test/some/\0repository/manifests/secret`),
  "%00 in the target": singleRequest(`/v2/upstream.test/some/%00repository/manifests/secret`),
  "UTF-8 as it is": new TextEncoder().encode(singleRequest("/v2/upstream.test/some/sécret/manifests/latest")),
  "half a letter of UTF-8": Uint8Array.from(
    Buffer.from(singleRequest("/v2/upstream.test/some/secret\xc3/manifests/latest"), "latin1"),
  ),
});
refusesRaw("CRLF", {
  "a line feed in the target": singleRequest(`/v2/upstream.test/some/secret\nX-Evil: yes/manifests/latest`),
  "%0d%0a in the target": singleRequest(`/v2/upstream.test/some/secret%0d%0aX-Evil:%20yes/manifests/latest`),
  "%0d%0a in ns": singleRequest(`/v2/some/secret/manifests/latest?ns=upstream.test%0d%0aX-Evil:%20yes`),
});

fault("CRLF", "in what the client sends along: no header upstream", async () => {
  const blob = serveBlob(upstream, KIB);
  const target = `/v2/upstream.test/some/repository/blobs/${blob.digest}`;
  await exchange(stage.url, get(target, "User-Agent: x\r\n X-Evil: folded", "X-A: b\nX-Evil: bare"));
  const requests = requestsFor(upstream, blob);
  for (const { headers } of requests) expect(headers["x-evil"]).toBe(undefined);
  if (requests.length > 0) await stage.waitUntilStored(blob);
  expect((await fetch(`${stage.url}/v2/`)).status).toBe(200);
});

for (const [what, lines] of Object.entries({
  "of the client's, the second larger": ["Content-Length: 0", "Content-Length: 60"],
  "of the client's, the second smaller": ["Content-Length: 60", "Content-Length: 0"],
  "one of the client's beside Transfer-Encoding": ["Content-Length: 60", "Transfer-Encoding: chunked"],
})) {
  fault("two Content-Lengths", `${what}: no second request is read out of the first`, async () => {
    const blob = serveBlob(upstream, KIB);
    const smuggled = get(`/v2/upstream.test/some/repository/blobs/${blob.digest}`);
    const received = await exchange(stage.url, `${get("/v2/", ...lines)}0\r\n\r\n${smuggled}`);
    const [first, ...rest] = statusesIn(received);
    expect([undefined, 200, 400]).toContain(first);
    // Either the message is refused, or its length is taken one way; what follows is then a request of the same client.
    if (first !== 200) expect(rest).toEqual([]);
    expect(received).not.toMatch(/HTTP\/1\.1 5/);
    expect((await fetch(`${stage.url}/v2/`)).status).toBe(200);
  });
}

for (const by of [-1000, 1000]) {
  fault("two Content-Lengths", `of upstream's, the second off by ${by}`, async () => {
    const blob = serveBlob(liar, MIB, { fault: { type: "two-lengths", by } });
    const { response, ending } = await download(urlOf(blob, "liar.test"));
    expect([response.status, ending]).toEqual([503, "whole"]);
    expect(response.headers["content-type"]).toBe("application/json");
    expect(await stage.isStored(blob)).toBe(false);
    liar.serve(blob.path, { body: blob.bytes });
    await stage.waitUntilStored(await pullOnceFixed(blob));
  });
}

/** Pulls a blob again, now that upstream serves it intact. */
async function pullOnceFixed(blob: Blob): Promise<Blob> {
  await until("another request to upstream", DEADLINE, async () => {
    const { response } = await download(urlOf(blob, "liar.test"));
    return response.digest === blob.digest;
  });
  return blob;
}

fault("huge query", "is served or refused, and never forwarded", async () => {
  const blob = serveBlob(upstream, KIB);
  const target = `/v2/upstream.test/some/repository/blobs/${blob.digest}?x=${"y".repeat(200_000)}`;
  const [status] = statusesIn(await exchange(stage.url, singleRequest(target)));
  expect([200, 400, 414, 431, undefined]).toContain(status);
  for (const { query } of requestsFor(upstream, blob)) expect(query).toBe("");
  expect((await fetch(`${stage.url}/v2/`)).status).toBe(200);
});

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

test("each fault that only shows on a wire has its test", () => {
  expect(new Set(OVER_SOCKETS)).toEqual(seen);
});
