/** Listen and raw faults over real sockets: what arrives at a client, and what the servers see of it. */
import { connect } from "node:net";
import { afterEach, expect, it } from "vitest";
import { behaviours, createFakeRegistry, patternBytes } from "../fake-registry.ts";
import { listen } from "./listen.ts";
import type { RawFault } from "./raw-faults.ts";
import { EIGHT_MIB, startRawFaults } from "./raw-faults.ts";

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function serveFake(options = {}) {
  const fake = createFakeRegistry({ auth: "none", ...options });
  const listening = await listen(fake);
  closing.push(listening.close);
  const bytes = patternBytes(1_000_000);
  const { digest } = await fake.addBlob(bytes);
  return { fake, listening, bytes, digest, blobUrl: `${listening.url}/v2/a/b/blobs/${digest}` };
}

/** Everything a server says to one request, unparsed. */
async function rawExchange(port: number, path: string, method = "GET"): Promise<Buffer> {
  const socket = connect(port, "127.0.0.1");
  const parts: Buffer[] = [];
  socket.on("data", (part: Buffer) => parts.push(part));
  socket.on("error", () => {});
  socket.write(`${method} ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: close\r\n\r\n`);
  // Not `once`: it rejects on the error that a reset is, and the bytes before it are what is requested.
  await new Promise((resolve) => socket.once("close", resolve));
  return Buffer.concat(parts);
}

/** Not toEqual: it walks through a megabyte as a list of numbers. */
async function isSame(response: Response, bytes: Uint8Array): Promise<boolean> {
  return Buffer.from(await response.arrayBuffer()).equals(bytes);
}

function bodyOf(response: Buffer): Buffer {
  return response.subarray(response.indexOf("\r\n\r\n") + 4);
}

it("keeps Content-Length, and HEAD without a body", async () => {
  const { listening, bytes, digest, blobUrl } = await serveFake();
  const response = await fetch(blobUrl);
  expect(response.headers.get("content-length")).toBe("1000000");
  expect(await isSame(response, bytes)).toBe(true);
  const head = (await rawExchange(listening.port, `/v2/a/b/blobs/${digest}`, "HEAD")).toString("latin1");
  expect(head).toMatch(/content-length: 1000000\r\n/i);
  expect(head.endsWith("\r\n\r\n")).toBe(true);
});

it("takes request bodies", async () => {
  const { fake, listening } = await serveFake({
    auth: "bearer",
    credentials: [{ username: "u", password: "p" }],
  });
  const body = new URLSearchParams({ grant_type: "password", username: "u", password: "p" });
  const response = await fetch(`${listening.token.url}/token`, { method: "POST", body });
  expect(response.status).toBe(200);
  expect(fake.count({ kind: "token", method: "POST" })).toBe(1);
});

it("gives redirects an origin of their own", async () => {
  const { fake, listening, bytes, blobUrl } = await serveFake({ redirect: "absolute" });
  const response = await fetch(blobUrl);
  expect(new URL(response.url).host).toBe(listening.storage.host);
  expect(await isSame(response, bytes)).toBe(true);
  expect(fake.requests.map(({ kind }) => kind)).toEqual(["blob", "storage"]);
});

it("destroys the socket where fetch would fail, before the response and in its middle", async () => {
  const { fake, listening, digest, blobUrl } = await serveFake();
  fake.fail({}, { network: true }, 1);
  await expect(fetch(blobUrl)).rejects.toThrow();
  fake.fail({}, behaviours.cutAfter(100_000), 1);
  await expect((await fetch(blobUrl)).arrayBuffer()).rejects.toThrow();
  for (const behaviour of [behaviours.cutAfter(100_000), behaviours.endsAfter(100_000)]) {
    fake.fail({}, behaviour, 1);
    expect(bodyOf(await rawExchange(listening.port, `/v2/a/b/blobs/${digest}`)).byteLength).toBe(100_000);
  }
  // With a connection that is meant to be kept: left open, it would have the client wait for ever.
  fake.fail({}, behaviours.endsAfter(100_000), 1);
  await expect((await fetch(blobUrl)).arrayBuffer()).rejects.toThrow();
});

it("stops reading a body when the client leaves", async () => {
  const { fake, blobUrl } = await serveFake();
  await fake.addBlob(patternBytes(1));
  const { digest } = await fake.addBlob(patternBytes(30_000_000));
  const leaving = new AbortController();
  const response = await fetch(blobUrl.replace(/sha256:.*/, digest), { signal: leaving.signal });
  await response.body?.getReader().read();
  leaving.abort();
  let before = -1;
  const isStill = () => {
    const still = before === fake.bytesSent;
    before = fake.bytesSent;
    return still;
  };
  await expect.poll(isStill).toBe(true);
  expect(fake.bytesSent).toBeLessThan(30_000_000);
});

it("cancels a body that stalls when the client leaves", async () => {
  let cancelled = false;
  const cancel = () => {
    cancelled = true;
  };
  const listening = await listen(() => new Response(new ReadableStream({ cancel })));
  closing.push(listening.close);
  const leaving = new AbortController();
  const response = await fetch(listening.url, { signal: leaving.signal });
  leaving.abort();
  await expect(response.text()).rejects.toThrow();
  await expect.poll(() => cancelled).toBe(true);
});

it("tells a delayed handler that the client has left", async () => {
  let aborted = false;
  const leaving = new AbortController();
  const listening = await listen(
    (request) =>
      new Promise<Response>((_, reject) => {
        request.signal.addEventListener("abort", () => {
          aborted = true;
          reject(request.signal.reason);
        });
        leaving.abort();
      }),
  );
  closing.push(listening.close);
  await expect(fetch(listening.url, { signal: leaving.signal })).rejects.toThrow();
  await expect.poll(() => aborted).toBe(true);
});

it("closes while a body stalls", async () => {
  const { fake, listening, blobUrl } = await serveFake();
  fake.fail({}, behaviours.stallsAfter(10));
  const reading = (await fetch(blobUrl)).arrayBuffer();
  const failed = expect(reading).rejects.toThrow();
  await listening.close();
  await failed;
});

async function serveRaw(fault: RawFault, body: Uint8Array = patternBytes(500_000)) {
  const raw = await startRawFaults();
  closing.push(raw.close);
  raw.serve("/blob", { body, fault, ranges: true, headers: { "Content-Type": "application/octet-stream" } });
  return { raw, body };
}

it.each<[RawFault, string, number]>([
  [{ type: "cut", after: 1000 }, "Content-Length: 500000", 1000],
  [{ type: "reset", after: 1000 }, "Content-Length: 500000", 1000],
  [{ type: "wrong-length", by: 7 }, "Content-Length: 500007", 500_000],
  [{ type: "wrong-length", by: -7 }, "Content-Length: 499993", 500_000],
  [{ type: "two-lengths", by: -7 }, "Content-Length: 500000\r\nContent-Length: 499993", 500_000],
])("writes %o as bytes", async (fault, header, length) => {
  const { raw, body } = await serveRaw(fault);
  const response = await rawExchange(raw.port, "/blob?signature=1");
  expect(response.toString("latin1")).toContain(`${header}\r\n`);
  expect(bodyOf(response).equals(Buffer.from(body.subarray(0, length)))).toBe(true);
  expect(raw.requests[0]).toMatchObject({
    path: "/blob",
    query: "signature=1",
    bytesSent: length,
    clientLeft: false,
  });
});

it.each<RawFault>([
  { type: "cut", after: 1000, framing: "chunked" },
  { type: "reset", after: 1000, framing: "chunked" },
  { type: "two-lengths", by: 1 },
])("%o is an error to a strict client", async (fault) => {
  const { raw } = await serveRaw(fault);
  await expect(fetch(`${raw.url}/blob`).then((response) => response.arrayBuffer())).rejects.toThrow();
});

it.each([
  ["reset", "ECONNRESET"],
  ["cut", "none"],
] as const)("%s reaches the client as %s", async (type, code) => {
  const { raw } = await serveRaw({ type, after: 1000 });
  const socket = connect(raw.port, "127.0.0.1");
  let seen = "none";
  socket.on("error", (error: NodeJS.ErrnoException) => {
    seen = error.code ?? "unknown";
  });
  socket.resume();
  socket.write("GET /blob HTTP/1.1\r\nHost: a\r\n\r\n");
  await new Promise((resolve) => socket.once("close", resolve));
  expect(seen).toBe(code);
});

it("ends a chunked body properly when no length is all that is wrong", async () => {
  const { raw, body } = await serveRaw({ type: "no-length" });
  const response = await fetch(`${raw.url}/blob`);
  expect(response.headers.has("content-length")).toBe(false);
  expect(await isSame(response, body)).toBe(true);
});

it("cuts at a multiple of 8 MiB", async () => {
  const { raw } = await serveRaw({ type: "cut-at-8-mib" }, patternBytes(EIGHT_MIB + 5));
  const response = await rawExchange(raw.port, "/blob");
  expect(response.toString("latin1", 0, 300)).toContain(`Content-Length: ${EIGHT_MIB + 5}\r\n`);
  expect(bodyOf(response).byteLength).toBe(EIGHT_MIB);
});

it("stalls until the client leaves, and notices it", async () => {
  const { raw } = await serveRaw({ type: "stall", after: 1000 });
  const leaving = new AbortController();
  const response = await fetch(`${raw.url}/blob`, { signal: leaving.signal });
  await expect.poll(() => raw.requests[0]?.bytesSent).toBe(1000);
  leaving.abort();
  await expect(response.arrayBuffer()).rejects.toThrow();
  await expect.poll(() => raw.requests[0]?.clientLeft).toBe(true);
  expect(raw.requests[0]?.bytesSent).toBe(1000);
});

it("holds the rest back behind a gate until that is opened", async () => {
  const gate = Promise.withResolvers<void>();
  const { raw, body } = await serveRaw({ type: "gate", after: 100_000, opened: gate.promise });
  const response = await fetch(`${raw.url}/blob`);
  await expect.poll(() => raw.requests[0]?.bytesSent).toBe(100_000);
  gate.resolve();
  expect(await isSame(response, body)).toBe(true);
});

it("trickles at about the given rate", async () => {
  const { raw } = await serveRaw({ type: "trickle", bytesPerSecond: 10_000 }, patternBytes(5000));
  const started = Date.now();
  expect((await (await fetch(`${raw.url}/blob`)).arrayBuffer()).byteLength).toBe(5000);
  expect(Date.now() - started).toBeGreaterThan(300);
});

it("resumes by Range once its times are over", async () => {
  const { raw, body } = await serveRaw({ type: "cut", after: 1000 });
  raw.serve("/blob", { body, fault: { type: "cut", after: 1000 }, times: 1, ranges: true });
  const first = bodyOf(await rawExchange(raw.port, "/blob"));
  const rest = await fetch(`${raw.url}/blob`, { headers: { range: `bytes=${first.byteLength}-` } });
  expect(rest.status).toBe(206);
  expect(rest.headers.get("content-range")).toBe("bytes 1000-499999/500000");
  const whole = Buffer.concat([first, Buffer.from(await rest.arrayBuffer())]);
  expect(whole.equals(Buffer.from(body))).toBe(true);
});
