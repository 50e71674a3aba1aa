/** Loads on a warm server: as many small requests, or as many bytes, as it serves in a set time. */
import { performance } from "node:perf_hooks";
import { cpuSeconds } from "./accounting.ts";
import { Connection, requestFor } from "./connection.ts";
import type { Blob } from "./image.ts";
import { download } from "./pull.ts";
import type { Server } from "./servers.ts";

export interface LoadResult {
  /** Requests or bytes a second. */
  rate: number;
  /** Processor seconds of the server per request or byte. */
  cpu: number;
  /** Share of the time that the generator was busy; near 1, the generator was the bottleneck. */
  generatorBusy: number;
}

const REQUEST_CONNECTIONS = 32;
const BLOB_CONNECTIONS = 4;

/** Requests one path on many kept-alive connections; counts the responses. */
export function requestLoad(
  server: Server,
  path: string,
  length: number,
  seconds: number,
): Promise<LoadResult> {
  const request = requestFor("GET", path);
  return load(server, REQUEST_CONNECTIONS, seconds, async (connection, _turn, count) => {
    for (;;) {
      const response = await connection.send(request);
      if (response.status !== 200 || response.length !== length)
        throw new Error(`unexpected: ${response.head}`);
      count(1);
    }
  });
}

/** Downloads blobs, several at a time; counts the bytes. */
export function blobLoad(
  server: Server,
  pathOf: (blob: Blob) => string,
  blobs: readonly Blob[],
  seconds: number,
): Promise<LoadResult> {
  return load(server, BLOB_CONNECTIONS, seconds, async (connection, turn, count) => {
    const receive = (piece: Buffer): boolean => {
      count(piece.length);
      return true;
    };
    for (let n = turn; ; n++) {
      const blob = blobs[n % blobs.length];
      if (blob) await download(connection, pathOf(blob), blob, false, receive);
    }
  });
}

/** Runs `work` for the set time on each connection, then aborts it. */
async function load(
  server: Server,
  count: number,
  seconds: number,
  work: (connection: Connection, turn: number, count: (amount: number) => void) => Promise<never>,
): Promise<LoadResult> {
  const connections = await Promise.all(Array.from({ length: count }, () => Connection.open(server.port)));
  let done = 0;
  const add = (amount: number): void => {
    done += amount;
  };
  const cpuBefore = cpuSeconds(server.pid);
  const busyBefore = performance.eventLoopUtilization();
  const start = performance.now();
  let timer: NodeJS.Timeout | undefined;
  const measured = new Promise<LoadResult>((resolve) => {
    timer = setTimeout(() => {
      resolve({
        rate: (done / (performance.now() - start)) * 1000,
        cpu: (cpuSeconds(server.pid) - cpuBefore) / done,
        generatorBusy: performance.eventLoopUtilization(busyBefore).utilization,
      });
    }, seconds * 1000);
  });
  try {
    // The work never ends by itself: before the time is up it can only fail.
    return await Promise.race([measured, ...connections.map((each, turn) => work(each, turn, add))]);
  } finally {
    clearTimeout(timer);
    for (const connection of connections) connection.close();
  }
}
