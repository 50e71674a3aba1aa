/** The mirror under test on its own port and data folder, in front of an upstream that the test controls. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type MirrorOptions, type RunningMirror, startMirror } from "../../../scripts/local/mirror.ts";
import { BODY_LIMITS } from "../../../src/pull/body.ts";
import { patternBytes } from "../../support/fake-registry.ts";
import {
  type RawAnswer,
  type RawFaults,
  type RawRequest,
  startRawFaults,
} from "../../support/node/raw-faults.ts";
import { DEADLINE, until, within } from "./deadline.ts";

export const MIB = 1024 * 1024;
const REPOSITORY = "some/repository";

export interface Blob {
  bytes: Uint8Array;
  digest: string;
  /** On the upstream. */
  path: string;
}

export interface Stage {
  /** Changes with `restart`. */
  readonly url: string;
  readonly data: string;
  /** Everything the Worker and its runtime logged, for failure messages. */
  readonly messages: string[];
  /** The mirror's URL for a blob of one of the upstreams. */
  urlOf(upstream: string, blob: Blob): string;
  /** Whether the blob is published in the store: a request would be served from a running fill, too. */
  isStored(blob: Blob): Promise<boolean>;
  /** Resolves once the blob is stored. */
  waitUntilStored(blob: Blob): Promise<void>;
  start(): Promise<void>;
  /** Stops the mirror and leaves its data folder. */
  halt(): Promise<void>;
  /** Stops the mirror for good. */
  stop(): Promise<void>;
}

/** The mirror's own time-outs, so long that a busy machine doesn't meet them: tests of a time-out shorten it. */
export const PATIENT = {
  fillPatience: DEADLINE,
  bodyLimits: { ...BODY_LIMITS, stall: DEADLINE, base: 10 * DEADLINE },
  upstream: { timeOut: DEADLINE, patience: DEADLINE },
};

/**
 * @param upstreams name → URL; or URLs, the primary's first.
 * @param timing other times than `PATIENT`.
 */
export async function startStage(
  upstreams: Record<string, string | string[]>,
  timing: MirrorOptions["timing"] = PATIENT,
): Promise<Stage> {
  const data = await mkdtemp(join(tmpdir(), "portolan-sockets-"));
  const messages: string[] = [];
  const nowhere = await startRawFaults();
  // The default upstream too: no test may reach a real registry by mistake.
  const table = { "docker.io": nowhere.url, ...upstreams };
  let mirror: RunningMirror | null = null;

  const start = async (): Promise<void> => {
    const starting = startMirror({
      port: 0,
      host: "127.0.0.1",
      data,
      timing,
      upstreams: Object.fromEntries(Object.entries(table).map(([name, urls]) => [name, [urls].flat()])),
      insecure: Object.keys(table),
      onMessage: ({ level, text }) => messages.push(`${level}: ${text}`),
    });
    mirror = await within("the mirror to start", DEADLINE, starting);
  };
  const halt = async (): Promise<void> => {
    const running = mirror;
    mirror = null;
    if (running) await within("the mirror to stop", DEADLINE, running.stop());
  };
  const url = (): string => {
    if (!mirror) throw new Error("the mirror is stopped");
    return mirror.url;
  };
  const urlOf = (upstream: string, { digest }: Blob): string =>
    `${url()}/v2/${upstream}/${REPOSITORY}/blobs/${digest}`;
  const isStored = async ({ digest }: Blob): Promise<boolean> => {
    const hex = digest.replace("sha256:", "");
    return existsSync(join(data, "store/blobs/sha256", hex.slice(0, 2), hex));
  };
  const waitUntilStored = (blob: Blob): Promise<void> =>
    until(`the store to have ${blob.digest}`, DEADLINE, () => isStored(blob));

  const stop = async (): Promise<void> => {
    await halt();
    await nowhere.close();
    await rm(data, { recursive: true, force: true, maxRetries: 5 });
  };
  await start().catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  return {
    get url() {
      return url();
    },
    data,
    messages,
    urlOf,
    isStored,
    waitUntilStored,
    start,
    halt,
    stop,
  };
}

let seed = 1;

/** A blob that no other test of the file has. */
export function newBlob(size: number): Blob {
  const bytes = patternBytes(size, seed++);
  const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
  return { bytes, digest, path: `/v2/${REPOSITORY}/blobs/${digest}` };
}

/** A blob that the upstream serves, with the given fault. */
export function serveBlob(upstream: RawFaults, size: number, response: Omit<RawAnswer, "body"> = {}): Blob {
  const blob = newBlob(size);
  upstream.serve(blob.path, { ...response, body: blob.bytes });
  return blob;
}

/** The requests that the upstream received for the blob, oldest first. */
export function requestsFor(upstream: RawFaults, { path }: Blob): RawRequest[] {
  return upstream.requests.filter((request) => request.path === path);
}
