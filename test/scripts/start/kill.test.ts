/** `npm start`, killed in the middle of a fill: what was stored is there after the next start, and nothing else is. */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Download, download } from "../../sockets/support/download.ts";
import { type Blob, MIB, requestsFor, serveBlob } from "../../sockets/support/stage.ts";
import { type RawFaults, startRawFaults } from "../../support/node/raw-faults.ts";
import { descendants, Serve } from "../support/start.ts";

let folder: string;
let upstream: RawFaults;
let serve: Serve | null = null;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "portolan-kill-"));
  upstream = await startRawFaults();
});
afterEach(async () => {
  await serve?.kill();
  serve = null;
  await upstream.close();
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
});

function start(): Serve {
  const args = [
    "--port",
    "0",
    "--data",
    join(folder, "data"),
    "--upstream",
    `local.test=${upstream.url}`,
    "--insecure",
    "local.test",
  ];
  serve = new Serve(args, { folder });
  return serve;
}

const urlOf = (url: string, { digest }: Blob): string =>
  `${url}/v2/local.test/some/repository/blobs/${digest}`;

const filesIn = async (name: string): Promise<string[]> => {
  const entries = await readdir(join(folder, "data", name), { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => entry.name);
};

describe.runIf(process.platform === "linux")("SIGKILL in the middle of a fill", () => {
  it.each(["node", "workerd"])(
    "to %s loses nothing that was stored, and leaves nothing behind",
    async (victim) => {
      const first = start();
      const url = await first.ready();
      const stored = serveBlob(upstream, MIB);
      expect((await download(urlOf(url, stored))).ending).toBe("whole");
      await expect.poll(() => filesIn("store/blobs")).toHaveLength(1);

      const fault = { type: "stall", after: 4 * MIB } as const;
      const half = serveBlob(upstream, 8 * MIB, { fault, times: 1 });
      const client = await Download.open(urlOf(url, half));
      await client.readTo(MIB);
      const pids = [...descendants(first.pid)].filter(([, name]) => name === "workerd").map(([pid]) => pid);
      for (const pid of victim === "node" ? [first.pid] : pids) process.kill(pid, "SIGKILL");
      expect(await client.end()).toBe("broken");
      await first.end();
      expect(await filesIn("incoming")).not.toEqual([]);

      const next = await start().ready();
      expect(await filesIn("incoming")).toEqual([]);
      expect(await filesIn("store")).toEqual([stored.digest.replace("sha256:", "")]);
      const warm = await download(urlOf(next, stored));
      expect([warm.ending, warm.response.digest]).toEqual(["whole", stored.digest]);
      expect(requestsFor(upstream, stored)).toHaveLength(1);
      const again = await download(urlOf(next, half));
      expect([again.ending, again.response.digest]).toEqual(["whole", half.digest]);
    },
  );
});
