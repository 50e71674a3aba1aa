/** What the owner sees of hosted repositories: `status`, `ls --hosted` and metrics, at a mirror as `npm start` runs it. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type RunningMirror, startMirror } from "../../../scripts/local/mirror.ts";
import { type Bytes, GatewayClient } from "../gateway/support.ts";
import { type Finished, portolan } from "../support/portolan.ts";

const LAYER = new Uint8Array(100_000) as Bytes;

let data: string;
let mirror: RunningMirror;

const command = (...args: string[]): Promise<Finished> =>
  portolan([...args, "--mirror", mirror.url, "--data", data]);

beforeAll(async () => {
  data = await mkdtemp(join(tmpdir(), "portolan-hosted-account-"));
  mirror = await startMirror({ port: 0, host: "127.0.0.1", data });
});
afterAll(async () => {
  await mirror?.stop();
  await rm(data, { recursive: true, force: true, maxRetries: 5 });
});

test("a mirror without any says nothing of them in its status, and has none to list", async () => {
  expect((await command("status")).output).not.toContain("hosted");
  expect(await command("ls", "--hosted")).toMatchObject({
    code: 1,
    output: "There is no such hosted repository.\n",
  });
});

test("tags, images and bytes are counted, what repositories share once for all", async () => {
  const app = new GatewayClient(mirror, "team/app");
  await app.pushImage("1.0", LAYER);
  await app.pushImage("2.0", LAYER);
  await new GatewayClient(mirror, "team/other").pushImage("1.0", LAYER);
  await app.open();

  const { json } = await command("ls", "--hosted", "--json");
  expect(json()).toEqual([
    {
      repository: "hosted/team/app",
      tags: 2,
      manifests: 2,
      bytes: expect.any(Number),
      pushed: expect.any(String),
    },
    expect.objectContaining({ repository: "hosted/team/other", tags: 1, manifests: 1 }),
  ]);
  const [{ bytes }, other] = json() as [{ bytes: number }, { bytes: number }];
  const status = (await command("status", "--json")).json() as { status: { hosted: object } };
  // The other repository has nothing of its own: the same config, layer and manifest.
  expect(status.status.hosted).toEqual({
    repositories: 2,
    tags: 3,
    manifests: 2,
    blobs: 3,
    bytes,
    uploads: 1,
  });
  expect(other.bytes).toBeGreaterThan(LAYER.byteLength);
  expect((await command("status")).output).toContain(
    `  hosted    ${shown(bytes)}: 2 repositories, 3 tags, 1 upload under way\n`,
  );

  const listed = await command("ls", "hosted/*/other", "--hosted");
  expect(listed.output).toMatch(/hosted\/team\/other +1 +1 +\S+ kB {2}.* ago\n\n1 repository\n$/);

  const key = (await readFile(join(data, "admin-key"), "utf8")).trim();
  const metrics = await fetch(`${mirror.url}/_/metrics`, { headers: { Authorization: `Bearer ${key}` } });
  expect(await metrics.text()).toMatch(
    new RegExp(
      ["repositories 2", "tags 3", `bytes ${bytes}`, "uploads 1"]
        .map((each) => `portolan_hosted_${each}\\n[^]*`)
        .join(""),
    ),
  );
});

const shown = (bytes: number) => `${Number((bytes / 1000).toFixed(1))} kB`;
