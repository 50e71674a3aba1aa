/** Many clients at once on an image that the server hasn't stored yet. */
import { untilIdle } from "./accounting.ts";
import { pushImage, SMALL_LAYERS } from "./image.ts";
import { pullImage } from "./pull.ts";
import type { Stage } from "./rounds.ts";
import type { Server } from "./servers.ts";
import type { Calls } from "./upstream.ts";

export interface CrowdResult {
  /** Seconds until the last client had all of it. */
  seconds: number;
  calls: Calls;
  /** One message for each client whose pull failed. */
  errors: string[];
}

export const CROWD = 50;

export async function runCrowd(
  { upstream, calls, servers }: Stage,
  say: (what: string) => void,
): Promise<Map<Server["name"], CrowdResult>> {
  const image = await pushImage(upstream, "bench/crowd", SMALL_LAYERS);
  const results = new Map<Server["name"], CrowdResult>();
  for (const server of servers) {
    say(`${CROWD} clients at once: ${server.name}`);
    await untilIdle(server.pid);
    await calls.take();
    const start = performance.now();
    // Hashing 50 downloads would be the slowest part: only the first client verifies, as all get the same.
    const pulls = Array.from({ length: CROWD }, (_, n) => pullImage(server.port, image, n === 0));
    const ended = await Promise.allSettled(pulls);
    const seconds = (performance.now() - start) / 1000;
    await untilIdle(server.pid);
    const errors = ended.flatMap((each) => (each.status === "rejected" ? [String(each.reason)] : []));
    results.set(server.name, { seconds, calls: await calls.take(), errors });
  }
  return results;
}
