/** Hosted repositories of one mirror at another: copied by `portolan sync`, and mirrored, also by a third one behind it. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type MirrorOptions, type RunningMirror, startMirror } from "../../../scripts/local/mirror.ts";
import { addKey, type KeyTerms } from "../../../src/access/key-changes.ts";
import { digestOf } from "../../../src/oci/digest.ts";
import { patternBytes } from "../../support/fake-registry.ts";
import { type Bytes, GatewayClient, manifestOf, TYPE } from "../gateway/support.ts";
import { type Finished, portolan } from "../support/portolan.ts";

const LAYER = patternBytes(200_000, 7) as Bytes;
const RIGHTS = { allow: [], deny: [], expires: null, rate: null };

let folder: string;
let source: RunningMirror;
let target: RunningMirror;
let sourceKey: string;
let targetKey: string;
let image: string;

const basic = (key: string) => ({ Authorization: `Basic ${Buffer.from(`x:${key}`).toString("base64")}` });
const start = (name: string, options: Partial<MirrorOptions>) =>
  startMirror({ port: 0, host: "127.0.0.1", data: join(folder, name), ...options });

/** A mirror with one key, which may push to some repositories. */
async function keyed(name: string, push: string[], vars: Record<string, string> = {}) {
  const { list, key } = await addKey([], "ci", { ...RIGHTS, push } as KeyTerms);
  const keys = { ACCESS: "keys", ACCESS_KEYS: JSON.stringify(list) };
  return { mirror: await start(name, { vars: { ...keys, ...vars } }), key };
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "portolan-replication-"));
  const one = await keyed("source", ["hosted/*"], { HOSTED_PUBLIC: "hosted/public/*" });
  const other = await keyed("target", ["hosted/team/*", "hosted/copies/*"]);
  [source, sourceKey, target, targetKey] = [one.mirror, one.key, other.mirror, other.key];
  const login = (key: string) => ({ auth: Buffer.from(`x:${key}`).toString("base64") });
  const auths = {
    [new URL(source.url).host]: login(sourceKey),
    [new URL(target.url).host]: login(targetKey),
  };
  await writeFile(join(folder, "config.json"), JSON.stringify({ auths }));
  const client = new GatewayClient(source, "team/app", basic(sourceKey));
  image = await client.pushImage("1.0", LAYER);
  await client.pushImage("2.0", LAYER);
  const config = new TextEncoder().encode('{"tag":"1.0"}') as Bytes;
  const { byteLength } = new TextEncoder().encode(await manifestOf(config, LAYER));
  const report = await manifestOf(config, LAYER, {
    artifactType: "application/vnd.example.report",
    subject: { mediaType: TYPE, digest: image, size: byteLength },
  });
  const name = await digestOf(new TextEncoder().encode(report));
  await client.send("PUT", `manifests/${name}`, { body: report, headers: { "Content-Type": TYPE } });
  await new GatewayClient(source, "team/tool", basic(sourceKey)).pushImage("1.0", LAYER);
  await new GatewayClient(source, "other/app", basic(sourceKey)).pushImage("1.0", LAYER);
  await new GatewayClient(source, "public/app", basic(sourceKey)).pushImage("1.0", LAYER);
});
afterAll(async () => {
  await source?.stop();
  await target?.stop();
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
});

function sync(from: string, to: string, ...options: string[]): Promise<Finished> {
  const at = (mirror: RunningMirror, path: string) => `${new URL(mirror.url).host}/${path}`;
  return portolan(["sync", at(source, from), at(target, to), ...options], {
    cwd: folder,
    environment: { DOCKER_CONFIG: folder },
  });
}

const summary = ({ output }: Finished) => output.trim().split("\n").at(-1);
const atTarget = (repository: string) => new GatewayClient(target, repository, basic(targetKey));

describe("portolan sync", () => {
  test("plans what differs, copies it with its referrers, and then nothing", async () => {
    const planned = await sync("hosted/team/*", "", "--referrers", "--dry-run");
    expect([planned.code, summary(planned)]).toEqual([0, "3 images: 3 would be copied"]);
    expect((await atTarget("team/app").send("HEAD", "manifests/1.0")).status).toBe(404);

    const copied = await sync("hosted/team/*", "", "--referrers");
    expect([copied.code, summary(copied)]).toEqual([0, "3 images: 3 copied"]);
    const head = await atTarget("team/app").send("HEAD", "manifests/1.0");
    expect(head.headers.get("Docker-Content-Digest")).toBe(image);
    const referrers = await (await atTarget("team/app").send("GET", `referrers/${image}`)).json();
    expect(referrers).toMatchObject({ manifests: [{ artifactType: "application/vnd.example.report" }] });
    expect((await atTarget("other/app").send("HEAD", "manifests/1.0")).status).not.toBe(200);

    const again = await sync("hosted/team/*", "", "--dry-run");
    expect(summary(again)).toBe("3 images: 3 up to date");
    await new GatewayClient(source, "team/app", basic(sourceKey)).pushImage("3.0", LAYER);
    const { output } = await sync("hosted/team/*", "", "--dry-run");
    expect(output).toMatch(
      /hosted\/team\/app:3\.0 → .*hosted\/team\/app:3\.0\n4 images: 3 up to date, 1 would/,
    );
  });

  test("takes the tags that match, to another repository", async () => {
    const { code, json } = await sync("hosted/team/app:1.*", "hosted/copies/app", "--json");
    expect([code, json()]).toEqual([0, { images: [expect.objectContaining({ digest: image })] }]);
    expect(await (await atTarget("copies/app").send("GET", "tags/list")).json()).toMatchObject({
      tags: ["1.0"],
    });
  });

  test("reports what the target's key may not push, and goes on", async () => {
    const { code, errors, output } = await sync("hosted/*/app:1.0", "");
    expect([code, errors]).toEqual([1, expect.stringMatching(/other\/app:1\.0: .*access key/)]);
    expect(output).toMatch(/4 images|3 images/);
    expect((await atTarget("team/app").send("HEAD", "manifests/1.0")).status).toBe(200);
  });

  test("a source that is none is wrong usage", async () => {
    expect(await sync("hosted/team/*", "hosted/copies/app")).toMatchObject({
      code: 2,
      errors: expect.stringContaining("end to with /"),
    });
  });
});

test("a mirror caches hosted repositories of another as any upstream's, and passes them on to one behind it", async () => {
  const upstreams = { "team.test": [`${source.url}/hosted`] };
  const near = await start("near", { upstreams, insecure: ["team.test"] });
  const behind = await start("behind", {
    upstreams: { "team.test": ["https://unreachable.invalid"] },
    behind: { url: near.url, key: null },
  });
  try {
    const path = "/v2/team.test/public/app/manifests/1.0";
    const first = await fetch(near.url + path, { headers: { Accept: TYPE } });
    const second = await fetch(behind.url + path, { headers: { Accept: TYPE } });
    const digests = [first, second].map(({ headers }) => headers.get("Docker-Content-Digest"));
    expect([first.status, second.status, new Set(digests).size]).toEqual([200, 200, 1]);
    const layer = await digestOf(LAYER);
    const blob = await fetch(`${behind.url}/v2/team.test/public/app/blobs/${layer}`);
    expect(new Uint8Array(await blob.arrayBuffer())).toEqual(LAYER);
    const closed = await fetch(`${near.url}/v2/team.test/team/app/manifests/1.0`, {
      headers: { Accept: TYPE },
    });
    expect([401, 403, 404]).toContain(closed.status);
  } finally {
    await behind.stop();
    await near.stop();
  }
});
