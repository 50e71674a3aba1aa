/** Pushes of an image to Portolan's hosted repositories and to docker-registry, and loads on what was pushed. */
import { createCipheriv, createHash, randomBytes } from "node:crypto";
import { Agent, request } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { cpuSeconds, forgetPeak, memoryOf, processTree, untilIdle } from "./accounting.ts";
import { Connection } from "./connection.ts";
import type { Blob } from "./image.ts";
import { blobLoad, type LoadResult } from "./load.ts";
import { download } from "./pull.ts";
import type { Server } from "./servers.ts";

/**
 * How a client sends a layer: `streamed` as dockerd and podman do, with a PATCH of unknown length, or `whole` as containerd
 * does, with a PUT of the layer.
 */
export type Sending = "streamed" | "whole";

/** One value per round. */
export interface PushSeries {
  /** Bytes per second, from the first request to the last response. */
  rate: number[];
  /** Processor seconds per byte, until the server was idle. */
  cpu: number[];
}

export type PushSide = "portolan" | "registry";

export interface Pushes {
  bytes: number;
  series: Record<Sending, Record<PushSide, PushSeries>>;
  /** Downloads of what was pushed. */
  pulls: Record<PushSide, LoadResult[]>;
  /** Many clients at once, on Portolan. */
  crowd: PushCrowd;
}

export interface PushCrowd {
  seconds: number;
  /** Bytes that workerd's memory grew by at its peak. */
  grown: number;
}

export interface PushStage {
  /** Each with the path of its repositories. */
  sides: Record<PushSide, { server: Server; path: string }>;
  rounds: number;
  /** Bytes of the layers. */
  layers: readonly number[];
  /** Seconds of each load. */
  seconds: number;
}

const MB = 1_000_000;
/** Bytes, 300 MB in all. */
export const PUSHED_LAYERS = [120, 80, 60, 40].map((size) => size * MB + 4_097);
/** Bytes that clients written in Go send at a time. */
const PIECE = 32 * 1024;
export const PUSH_CROWD = 20;
/** Bytes of the layers of a crowd's images. */
const SHARED_LAYER = 12 * MB;
const OWN_LAYER = 8 * MB;
const SIDES = ["portolan", "registry"] as const;

export async function runPushes(
  { sides, rounds, layers, seconds }: PushStage,
  say: (what: string) => void,
): Promise<Pushes> {
  const series = () => ({ rate: [], cpu: [] });
  const pushes: Pushes = {
    bytes: layers.reduce((sum, size) => sum + size, 0),
    series: {
      streamed: { portolan: series(), registry: series() },
      whole: { portolan: series(), registry: series() },
    },
    pulls: { portolan: [], registry: [] },
    crowd: { seconds: 0, grown: 0 },
  };
  // Round 0 warms up, and every blob is read back and checked.
  for (let round = 0; round <= rounds; round++) {
    say(round === 0 ? "checking pushes" : `pushes, round ${round} of ${rounds}`);
    for (const sending of ["streamed", "whole"] as const) {
      const contents = layers.map(noise);
      const order = round % 2 === 1 ? SIDES : SIDES.toReversed();
      for (const side of order) {
        const { server, path } = sides[side];
        const repository = `${path}/${sending}-${round}`;
        const pushed = await pushLayers(server, repository, contents, sending);
        if (round === 0) {
          await verify(server, repository, contents);
          continue;
        }
        pushes.series[sending][side].rate.push(pushed.rate);
        pushes.series[sending][side].cpu.push(pushed.cpu);
        if (sending === "streamed") {
          const pathOf = ({ digest }: Blob) => `/v2/${repository}/blobs/${digest}`;
          pushes.pulls[side].push(await blobLoad(server, pathOf, contents, seconds));
        }
      }
    }
  }
  say(`${PUSH_CROWD} pushes at once`);
  pushes.crowd = await pushTogether(sides.portolan.server, `${sides.portolan.path}/crowd`);
  return pushes;
}

/** Images that share a layer, sent without lengths. */
async function pushTogether(server: Server, repository: string): Promise<PushCrowd> {
  const workerd = processTree(server.pid).find(({ name }) => name === "workerd")?.pid;
  if (workerd === undefined) throw new Error("the mirror has no workerd");
  const shared = noise(SHARED_LAYER);
  const images = Array.from({ length: PUSH_CROWD }, () => [shared, noise(OWN_LAYER)]);
  await untilIdle(server.pid);
  forgetPeak(workerd);
  const { resident } = memoryOf(workerd);
  const start = performance.now();
  await Promise.all(
    images.map((image, n) => pushLayers(server, `${repository}-${n}`, image, "streamed", false)),
  );
  const seconds = (performance.now() - start) / 1000;
  return { seconds, grown: Math.max(0, memoryOf(workerd).peak - resident) };
}

interface Content extends Blob {
  bytes: Buffer;
}

/** Bytes that neither side has stored, with their digest: what a client knows before it pushes. */
function noise(size: number): Content {
  const bytes = createCipheriv("aes-256-ctr", randomBytes(32), Buffer.alloc(16)).update(Buffer.alloc(size));
  return { bytes, size, digest: `sha256:${createHash("sha256").update(bytes).digest("hex")}` };
}

/** Pushes all layers at once, as clients do. @param isAlone whether nothing else is measured at the same time. */
async function pushLayers(
  server: Server,
  repository: string,
  contents: readonly Content[],
  sending: Sending,
  isAlone = true,
): Promise<{ rate: number; cpu: number }> {
  const base = `http://127.0.0.1:${server.port}/v2/${repository}`;
  const size = contents.reduce((sum, each) => sum + each.size, 0);
  const agent = new Agent({ keepAlive: true });
  if (isAlone) await untilIdle(server.pid);
  const cpu = cpuSeconds(server.pid);
  const start = performance.now();
  try {
    await Promise.all(contents.map((content) => pushLayer(agent, base, content, sending)));
  } finally {
    agent.destroy();
  }
  const rate = (size / (performance.now() - start)) * 1000;
  if (isAlone) await untilIdle(server.pid);
  return { rate, cpu: (cpuSeconds(server.pid) - cpu) / size };
}

async function pushLayer(agent: Agent, base: string, content: Content, sending: Sending): Promise<void> {
  const begun = await send(agent, "POST", new URL(`${base}/blobs/uploads/`), null, 202);
  const location = new URL(begun, base);
  if (sending === "whole") {
    location.searchParams.set("digest", content.digest);
    await send(agent, "PUT", location, content.bytes, 201, { "Content-Length": content.size });
    return;
  }
  const end = new URL(await send(agent, "PATCH", location, content.bytes, 202), base);
  end.searchParams.set("digest", content.digest);
  await send(agent, "PUT", end, null, 201, { "Content-Length": 0 });
}

/** @returns the response's Location. */
async function send(
  agent: Agent,
  method: string,
  url: URL,
  body: Buffer | null,
  status: number,
  headers: Record<string, string | number> = {},
): Promise<string> {
  const type = { "Content-Type": "application/octet-stream" };
  const outgoing = request(url, { agent, method, headers: { ...type, ...headers } });
  const answered = new Promise<string>((resolve, reject) => {
    outgoing.once("error", reject);
    outgoing.once("response", (response) => {
      response.resume();
      if (response.statusCode === status) resolve(response.headers.location ?? "");
      else reject(new Error(`push: ${method} ${url.pathname} was answered ${response.statusCode}`));
    });
  });
  const sent = body ? pipeline(Readable.from(pieces(body), { objectMode: false }), outgoing) : outgoing.end();
  await Promise.all([sent, answered]);
  return answered;
}

function* pieces(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += PIECE) yield bytes.subarray(at, at + PIECE);
}

async function verify({ port }: Server, repository: string, contents: readonly Content[]): Promise<void> {
  const connection = await Connection.open(port);
  try {
    for (const content of contents) {
      await download(connection, `/v2/${repository}/blobs/${content.digest}`, content, true);
    }
  } finally {
    connection.close();
  }
}
