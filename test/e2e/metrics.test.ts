// A real Prometheus, set up as docs/holdings.md says, scrapes the mirror while it serves.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { stringify } from "yaml";
import { REPOSITORIES } from "./support/global.ts";
import { freePort, isolated, startDaemon, waitFor, workspace } from "./support/process.ts";
import { type Served, serve } from "./support/served.ts";
import { startUpstream, type Upstream } from "./support/upstream.ts";

const ADMIN_KEY = "an-admin-key-of-more-than-32-characters";
const PAGE = fileURLToPath(new URL("../../docs/holdings.md", import.meta.url));

let upstream: Upstream;
let mirror: Served;
let prometheus: { url: string; stop(): Promise<void> };

beforeAll(async () => {
  upstream = await startUpstream(inject("registry"));
  mirror = await serve({ "docker.io": upstream.url }, {}, { ADMIN_KEY });
  prometheus = await startPrometheus(new URL(mirror.url).host);
});
afterAll(async () => {
  await prometheus?.stop();
  await mirror?.stop();
  await upstream?.stop();
});

/** With the page's configuration, but for the address and how often it scrapes. */
async function startPrometheus(target: string): Promise<typeof prometheus> {
  const { folder, hosts, remove } = await workspace("prometheus");
  const port = await freePort();
  const [, documented = ""] = /```yaml\n(.*?)```/s.exec(await readFile(PAGE, "utf8")) ?? [];
  expect(documented).toContain("127.0.0.1:8787");
  const file = join(folder, "prometheus.yml");
  await writeFile(join(folder, "admin-key"), ADMIN_KEY);
  await writeFile(
    file,
    `${stringify({ global: { scrape_interval: "1s" } })}${documented.replace("127.0.0.1:8787", target)}`,
  );
  const url = `http://127.0.0.1:${port}`;
  const daemon = await startDaemon({
    name: "prometheus",
    folder,
    command: isolated(hosts, [
      "prometheus",
      `--config.file=${file}`,
      `--storage.tsdb.path=${join(folder, "data")}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ]),
    ready: async () => (await fetch(`${url}/-/ready`)).ok,
  });
  return {
    url,
    stop: async () => {
      await daemon.stop();
      await remove();
    },
  };
}

/** The value of an expression; null while there is none. */
async function measured(expression: string): Promise<number | null> {
  const response = await fetch(`${prometheus.url}/api/v1/query?query=${encodeURIComponent(expression)}`);
  const { data } = (await response.json()) as { data: { result: { value: [number, string] }[] } };
  const value = data.result[0]?.value[1];
  return value === undefined ? null : Number(value);
}

test("it has what the mirror served, by upstream and by where it came from", async () => {
  const blob = `${mirror.url}/v2/${REPOSITORIES["docker.io"]}/blobs/${inject("image").amd64.config.digest}`;
  for (let pull = 0; pull < 25; pull++) await (await fetch(blob)).arrayBuffer();
  const pulls = 'sum(portolan_requests_total{upstream="docker.io",kind="blob",code="200"})';
  await waitFor("Prometheus to have every pull", 30_000, async () => (await measured(pulls)) === 25);
  expect(await measured('sum(portolan_requests_total{kind="blob",served="store"})')).toBeGreaterThanOrEqual(
    20,
  );
  expect(await measured('sum(portolan_response_bytes_total{upstream="docker.io"})')).toBeGreaterThan(0);
  expect(await measured("portolan_store_limit_bytes")).toBe(9_500_000_000);
  expect(await measured(`portolan_circuit_open{endpoint="${upstream.url}/"}`)).toBe(0);
  expect(await measured("up")).toBe(1);
});
