/** The requests that the upstream received, read from its access log: a counting proxy would slow every fetch. */
import { open } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

export interface Calls {
  manifestHead: number;
  manifestGet: number;
  blobHead: number;
  blobGet: number;
  /** The most GETs of the same manifest; a tag counts separately from its digest. */
  mostPerManifest: number;
  mostPerBlob: number;
}

const LINE = /"(GET|HEAD) (\/v2\/\S+\/(manifests|blobs)\/[^\s?]+)\S* HTTP\/1/g;

export class CallCounter {
  readonly #file: string;
  #position = 0;

  constructor(file: string) {
    this.#file = file;
  }

  /** Counts the calls since the last time. */
  async take(): Promise<Calls> {
    // A line is written when a response has ended, a moment after the client has received it.
    await sleep(50);
    return count(await this.#readOn());
  }

  async #readOn(): Promise<string> {
    const file = await open(this.#file);
    try {
      const { size } = await file.stat();
      const bytes = Buffer.alloc(size - this.#position);
      await file.read(bytes, 0, bytes.length, this.#position);
      this.#position = size;
      return bytes.toString("latin1");
    } finally {
      await file.close();
    }
  }
}

function count(log: string): Calls {
  const gets = { manifests: new Map<string, number>(), blobs: new Map<string, number>() };
  const calls = { manifestHead: 0, manifestGet: 0, blobHead: 0, blobGet: 0 };
  for (const [, method, path = "", kind] of log.matchAll(LINE)) {
    const isManifest = kind === "manifests";
    if (method === "HEAD") {
      calls[isManifest ? "manifestHead" : "blobHead"] += 1;
      continue;
    }
    calls[isManifest ? "manifestGet" : "blobGet"] += 1;
    const counts = gets[isManifest ? "manifests" : "blobs"];
    counts.set(path, (counts.get(path) ?? 0) + 1);
  }
  const most = (counts: Map<string, number>): number => Math.max(0, ...counts.values());
  return { ...calls, mostPerManifest: most(gets.manifests), mostPerBlob: most(gets.blobs) };
}

export function total({ manifestHead, manifestGet, blobHead, blobGet }: Calls): number {
  return manifestHead + manifestGet + blobHead + blobGet;
}
