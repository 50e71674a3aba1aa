// The mirror under test, in front of an upstream for docker.io and one for ghcr.io that both count.
import { startMirror } from "../../../scripts/local/mirror.ts";
import type { RequestRecord } from "../../../src/request-log.ts";
import { waitFor, workspace } from "./process.ts";
import { startUpstream, type Upstream } from "./upstream.ts";

export interface Stage {
  /** Base URL with the loopback address: no shape H, the default upstream is docker.io. */
  url: string;
  port: number;
  upstreams: { "docker.io": Upstream; "ghcr.io": Upstream };
  /** What the mirror logs of each request. */
  records: RequestRecord[];
  /** What else it logs. */
  messages: string[];
  /** Restarts the mirror on the same port and data, with variables that override the earlier ones. */
  restart(vars: Record<string, string>): Promise<void>;
  /** Returns once nothing is being fetched any more. */
  settled(): Promise<void>;
  /** Counts upstream requests from nought again. */
  forget(): void;
  stop(): Promise<void>;
}

/** The base of host routing; `docker.mirror.test` and `ghcr.mirror.test` lead to this machine (process.ts). */
export const DOMAIN = "mirror.test";

export async function startStage(registry: string, vars: Record<string, string> = {}): Promise<Stage> {
  const { folder, remove } = await workspace("mirror");
  const upstreams = { "docker.io": await startUpstream(registry), "ghcr.io": await startUpstream(registry) };
  const all = Object.values(upstreams);
  const records: RequestRecord[] = [];
  const messages: string[] = [];
  const start = (port: number, more: Record<string, string>) =>
    startMirror({
      port,
      host: "127.0.0.1",
      data: folder,
      upstreams: { "docker.io": [upstreams["docker.io"].url], "ghcr.io": [upstreams["ghcr.io"].url] },
      insecure: Object.keys(upstreams),
      vars: { DOMAIN, ...vars, ...more },
      onRequest: (record) => records.push(record),
      onMessage: ({ text }) => messages.push(text),
    });
  let mirror = await start(0, {});
  return {
    url: `http://127.0.0.1:${mirror.port}`,
    port: mirror.port,
    upstreams,
    records,
    messages,
    restart: async (more) => {
      await mirror.stop();
      mirror = await start(mirror.port, more);
    },
    settled: () =>
      waitFor("the mirror's fetches to end", 30_000, async () => all.every((each) => each.underWay() === 0)),
    forget: () => {
      for (const each of all) each.requests.length = 0;
    },
    stop: async () => {
      await mirror.stop();
      for (const each of all) await each.stop();
      await remove();
    },
  };
}

/** Waits until the mirror serves a blob as a hit: from its store, or from a fill that is still running. */
export function waitForHit(blob: string): Promise<void> {
  return waitFor("the mirror to serve the blob as a hit", 30_000, async () => {
    const { headers } = await fetch(blob, { method: "HEAD" });
    return headers.get("cache-status")?.includes("hit") ?? false;
  });
}
