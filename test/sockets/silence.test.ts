/** Upstreams that don't respond, or not to the end: the client gets a response or a broken connection, never silence. */

import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type RawFaults, startRawFaults } from "../support/node/raw-faults.ts";
import { Download, download } from "./support/download.ts";
import { newBlob, PATIENT, requestsFor, type Stage, serveBlob, startStage } from "./support/stage.ts";

const KIB = 1024;
/** Milliseconds for the time-outs that these tests meet; the others are long. */
const TIMING = { ...PATIENT, fillPatience: 1_000, bodyLimits: { ...PATIENT.bodyLimits, stall: 1_000 } };
const SILENT = { ...TIMING, upstream: { ...PATIENT.upstream, timeOut: 2_000 } };
/** No body may take longer than this unless its client is slow. */
const HASTY = {
  ...TIMING,
  bodyLimits: { ...TIMING.bodyLimits, stall: 500, base: 1_000, slowestLine: 1_000_000_000 },
};
/** Milliseconds; longer than upstream may be silent, and than a body may take. */
const SLOW_READER = 2_500;

let mute: Listener;
let mumbling: Listener;
let refusing: Listener;
let stalling: RawFaults;
/** For upstreams that don't answer at all. */
let silent: Stage;
let stage: Stage;
let hasty: Stage;
beforeAll(async () => {
  mute = await listener(() => {});
  mumbling = await listener((socket) => socket.write("HTTP/1.1 200 OK\r\nContent-Le"));
  refusing = await listener(() => {});
  await refusing.close();
  stalling = await startRawFaults();
  const upstreams = {
    "mute.test": mute.url,
    "mumbling.test": mumbling.url,
    "refusing.test": refusing.url,
    "stalling.test": stalling.url,
  };
  silent = await startStage(upstreams, SILENT);
  stage = await startStage(upstreams, TIMING);
  hasty = await startStage(upstreams, HASTY);
});
afterAll(async () => {
  await silent?.stop();
  await stage?.stop();
  await hasty?.stop();
  await stalling?.close();
  await mute?.close();
  await mumbling?.close();
});

interface Listener {
  url: string;
  close(): Promise<void>;
}

/** Accepts connections, and handles each as configured once a request has arrived. */
async function listener(onRequest: (socket: Socket) => void): Promise<Listener> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.once("data", () => onRequest(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    close: async () => {
      if (!server.listening) return;
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

it.concurrent.for([
  ["mute.test", "never answers"],
  ["mumbling.test", "stops in the middle of its headers"],
])("answers 503 for a blob whose upstream, %s, %s", async ([name]) => {
  const { response, ending } = await download(silent.urlOf(name ?? "", newBlob(KIB)));
  expect([response.status, ending]).toEqual([503, "whole"]);
});

it.concurrent.for(["manifests/latest", "tags/list"])(
  "answers 503 for %s of a mute upstream",
  async (path) => {
    const { response } = await download(`${silent.url}/v2/mute.test/some/repository/${path}`);
    expect(response.status).toBe(503);
  },
);

it.concurrent("answers 503 when upstream refuses connections", async () => {
  const { response } = await download(silent.urlOf("refusing.test", newBlob(KIB)));
  expect(response.status).toBe(503);
});

it.concurrent("resumes a body that upstream has stopped sending", async () => {
  const fault = { type: "stall", after: 64 * KIB } as const;
  const blob = serveBlob(stalling, 256 * KIB, { fault, times: 1, ranges: true });
  const client = await Download.open(stage.urlOf("stalling.test", blob));
  await client.readTo(64 * KIB);
  expect(await client.end()).toBe("whole");
  expect(client.digest).toBe(blob.digest);
  await stage.waitUntilStored(blob);
  // On a busy machine the rest may seem to stall, too.
  const [whole, rest] = requestsFor(stalling, blob).map(({ headers }) => headers.range);
  expect([whole, rest]).toEqual([undefined, `bytes=${64 * KIB}-`]);
});

it.concurrent("breaks off a body that upstream has stopped sending, and fetches it again", async () => {
  const fault = { type: "stall", after: 64 * KIB } as const;
  const blob = serveBlob(stalling, 256 * KIB, { fault, times: 1 });
  const client = await Download.open(stage.urlOf("stalling.test", blob));
  await client.readTo(64 * KIB);
  expect(await client.end()).toBe("broken");
  expect(client.received).toBe(64 * KIB);
  await stage.waitUntilStored(blob);
});

it.concurrent("neither mistakes a client that reads nothing for a stalled upstream, nor disconnects it for being slow", async () => {
  const blob = serveBlob(stalling, 48 * 1024 * KIB, { ranges: true });
  const client = await Download.open(hasty.urlOf("stalling.test", blob));
  await client.readTo(64 * KIB);
  await sleep(SLOW_READER);
  expect(requestsFor(stalling, blob)).toHaveLength(1);
  expect(await client.end()).toBe("whole");
  expect(client.digest).toBe(blob.digest);
});

it.concurrent("serves the others while one download of the blob stalls", async () => {
  const fault = { type: "stall", after: 64 * KIB } as const;
  const blob = serveBlob(stalling, 256 * KIB, { fault, times: 1, ranges: true });
  const stalled = await Download.open(stage.urlOf("stalling.test", blob));
  await stalled.readTo(64 * KIB);
  const { response, ending } = await download(stage.urlOf("stalling.test", blob));
  expect(ending).toBe("whole");
  expect(response.digest).toBe(blob.digest);
  stalled.leave();
});

it.concurrent("serves the others, and stores the blob, while the client that fills it reads nothing", async () => {
  const blob = serveBlob(stalling, 48 * 1024 * KIB);
  const slow = await Download.open(stage.urlOf("stalling.test", blob));
  await slow.readTo(64 * KIB);
  const { response, ending } = await download(stage.urlOf("stalling.test", blob));
  expect([ending, response.digest]).toEqual(["whole", blob.digest]);
  await stage.waitUntilStored(blob);
  slow.leave();
});
