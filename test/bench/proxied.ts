/** A cold pull through a proxy, beside the same one without: what goes through a proxy passes through Node.js. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { startHttpProxy, startSocksProxy } from "../support/node/proxy.ts";
import { untilIdle } from "./accounting.ts";
import { LARGE_LAYERS, pushImage } from "./image.ts";
import type { Workshop } from "./processes.ts";
import { pullImage } from "./pull.ts";
import { startPortolan } from "./servers.ts";

/** Seconds of a cold pull by the way that the registry is reached; medians. */
export type Proxied = Record<"directly" | "http" | "socks5h", number>;

const ROUNDS = 3;
/** Only the proxies know where it is. */
const NAMED = "registry.bench:5000";

export async function measureProxied(
  workshop: Workshop,
  upstream: string,
  say: (what: string) => void,
): Promise<Proxied> {
  const image = await pushImage(upstream, "bench/proxied", LARGE_LAYERS);
  const port = Number(new URL(upstream).port);
  const http = await startHttpProxy({ [NAMED]: port });
  const socks = await startSocksProxy({ [NAMED]: port });
  const ways = { directly: undefined, http: http.url, socks5h: socks.url };
  const seconds: Record<string, number[]> = {};
  try {
    for (let round = 0; round < ROUNDS; round++) {
      for (const [name, proxy] of Object.entries(ways)) {
        say(`a cold pull ${proxy === undefined ? "directly" : `through a proxy, ${name}`}`);
        const mirror = await startPortolan(
          workshop,
          proxy ? `http://${NAMED}` : upstream,
          "portolan-proxied",
          proxy,
        );
        await untilIdle(mirror.pid);
        const start = performance.now();
        await pullImage(mirror.port, image, true);
        seconds[name] = [...(seconds[name] ?? []), (performance.now() - start) / 1000];
        await mirror.stop();
        await rm(join(workshop.folder, "portolan-proxied-data"), { recursive: true, force: true });
      }
    }
  } finally {
    await Promise.all([http.stop(), socks.stop()]);
  }
  const median = (name: keyof Proxied) => seconds[name]?.sort((a, b) => a - b)[Math.floor(ROUNDS / 2)] ?? 0;
  return { directly: median("directly"), http: median("http"), socks5h: median("socks5h") };
}
