/** Requests a minute on one machine, where no platform counts them. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { startMirror } from "../../../scripts/local/mirror.ts";
import { burst } from "../../sockets/support/burst.ts";

const RATE = 30;

test("are counted for each address, but not for this machine's own", async () => {
  const data = await mkdtemp(join(tmpdir(), "portolan-limits-"));
  const { url, stop } = await startMirror({
    port: 0,
    host: "127.0.0.1",
    data,
    timing: { addressRate: RATE },
    onMessage: () => {},
  });
  onTestFinished(async () => {
    await stop();
    await rm(data, { recursive: true, force: true, maxRetries: 5 });
  });
  expect(await burst(url, RATE)).toEqual([200]);
  expect(await burst(url, RATE, { "CF-Connecting-IP": "198.51.100.7" })).toEqual([200, 429]);
  const other = await fetch(`${url}/_/health`, { headers: { "CF-Connecting-IP": "198.51.100.8" } });
  expect(other.status).toBe(200);
});
