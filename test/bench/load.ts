/** Loads on a server that is warm: as many small requests, or as many bytes, as it will give in a set time. */
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
  /** Share of the time in which the generator was at work; near 1, it and not the server was the limit. */
  generatorBusy: number;
}

const REQUEST_CONNECTIONS = 32;
const BLOB_CONNECTIONS = 4;

/** Asks for one path on many connections that are kept alive; counts the answers. */
export function requestLoad(
  server: Server,
  path: string,
  length: number,
  seconds: number,
): Promise<LoadResult> {
  const request = requestFor("GET", path);
  return load(server, REQUEST_CONNECTIONS, seconds, async (connection, _turn, count) => {
    for (;;) {
      const answer = await connection.send(request);
      if (answer.status !== 200 || answer.length !== length) throw new Error(`unexpected: ${answer.head}`);
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

/** Lets `work` go on for the set time on each connection, then cuts it short. */
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
    // The work has no end: it can only fail before the time is up.
    return await Promise.race([measured, ...connections.map((each, turn) => work(each, turn, add))]);
  } finally {
    clearTimeout(timer);
    for (const connection of connections) connection.close();
  }
}
