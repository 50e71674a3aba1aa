/** `portolan push`, to a mirror as `npm start` runs it, behind a proxy that refuses bodies above 1 MB as Cloudflare does those above 100 MB. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type MirrorOptions, type RunningMirror, startMirror } from "../../../scripts/local/mirror.ts";
import { addKey } from "../../../src/access/key-changes.ts";
import { type DockerArchive, dockerArchive } from "../support/docker-archive.ts";
import { type LimitingProxy, type ProxiedRequest, startLimitingProxy } from "../support/limiting-proxy.ts";
import { type Finished, portolan } from "../support/portolan.ts";

const LIMIT = 1_000_000;
const LAYER = 3_500_000;

let folder: string;
let mirror: RunningMirror;
let proxy: LimitingProxy;
let archive: DockerArchive;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "portolan-push-"));
  await start({});
});
beforeEach(async () => {
  // Content that the mirror doesn't have from another test.
  archive = dockerArchive(["boat:1.0"], [randomBytes(LAYER), randomBytes(10_000)]);
  await writeFile(join(folder, "boat.tar"), archive.bytes());
  proxy = await startLimitingProxy(() => mirror.url, LIMIT);
});
afterEach(() => proxy.close());
afterAll(async () => {
  await mirror?.stop();
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
});

async function start(options: Partial<MirrorOptions>): Promise<void> {
  mirror = await startMirror({ port: 0, host: "127.0.0.1", data: join(folder, "data"), ...options });
}

function push(args: readonly string[], environment: Record<string, string> = {}): Promise<Finished> {
  return portolan(["push", ...args, "--mirror", `http://${proxy.host}`], {
    cwd: folder,
    environment: { TMPDIR: folder, ...environment },
  });
}

const pushBoat = (...rest: string[]) =>
  push(["docker-archive:boat.tar:boat:1.0", ...rest, "--max-body", "1MB"]);

/** Pulls an image from the mirror itself. @returns the bytes of its layers */
async function pulled(repository: string, tag: string): Promise<number[]> {
  const base = `${mirror.url}/v2/${repository}`;
  const { layers } = (await (await fetch(`${base}/manifests/${tag}`)).json()) as {
    layers: { digest: string; size: number }[];
  };
  return Promise.all(
    layers.map(async ({ digest, size }) => {
      const { byteLength } = await (await fetch(`${base}/blobs/${digest}`)).arrayBuffer();
      expect(byteLength).toBe(size);
      return byteLength;
    }),
  );
}

const bodies = () => proxy.requests.filter(({ bytes }) => bytes > 0);
const sum = (requests: readonly ProxiedRequest[]) => requests.reduce((total, { bytes }) => total + bytes, 0);

describe("a limit on request bodies", () => {
  test("is kept: large layers go in chunks, small ones in one request", async () => {
    const { code, output, errors } = await pushBoat("hosted/team/boat");
    expect([code, errors]).toEqual([0, expect.not.stringContaining("answered 413")]);
    expect(output).toContain(
      `✓ ${proxy.host}/hosted/team/boat:1.0 is pushed: 3 blobs sent (3.5 MB), 1 manifest`,
    );
    expect(Math.max(...bodies().map(({ bytes }) => bytes))).toBe(LIMIT);
    expect(proxy.requests.filter(({ method }) => method === "PATCH")).toHaveLength(4);
    expect((await pulled("hosted/team/boat", "1.0"))[0]).toBeGreaterThanOrEqual(LAYER);
  });

  test("that is lower than --max-body is reported with what to do", async () => {
    const { code, errors } = await push(["docker-archive:boat.tar:boat:1.0", "hosted/team/wreck"]);
    expect([code, errors]).toEqual([1, expect.stringContaining("push with a smaller --max-body")]);
    const response = await fetch(`${mirror.url}/v2/hosted/team/wreck/manifests/1.0`);
    expect(response.status).toBe(404);
  });

  test.each(["999kB", "6GB", "1.5 GB", "many"])("--max-body %s is wrong usage", async (size) => {
    expect(await push(["docker-archive:boat.tar", "hosted/boat", "--max-body", size])).toMatchObject({
      code: 2,
    });
    expect(proxy.requests).toEqual([]);
  });
});

describe("what the mirror has", () => {
  test("from a push that failed isn't sent again", async () => {
    expect(await push(["docker-archive:boat.tar:boat:1.0", "hosted/team/boat"])).toMatchObject({ code: 1 });
    const { code, json } = await pushBoat("hosted/team/boat", "--json");
    expect([code, json()]).toEqual([0, expect.objectContaining({ sent: 1, mounted: 0, present: 2 })]);
  });

  test("is neither sent nor mounted again", async () => {
    await pushBoat("hosted/team/boat");
    proxy.requests = [];
    const { code, output } = await pushBoat("hosted/team/boat");
    expect([code, output]).toEqual([0, expect.stringContaining("hosted/team/boat:1.0 is up to date")]);
    expect(bodies()).toEqual([]);
  });

  test("in another repository is mounted, without any of its bytes", async () => {
    await pushBoat("hosted/team/boat");
    proxy.requests = [];
    const { code, json } = await pushBoat("hosted/other/ship:2.0", "--json");
    expect([code, json()]).toEqual([
      0,
      expect.objectContaining({ state: "pushed", sent: 0, mounted: 3, manifests: 1, bytes: 0 }),
    ]);
    expect(bodies().map(({ path }) => path)).toEqual(["/v2/hosted/other/ship/manifests/2.0"]);
    expect(await pulled("hosted/other/ship", "2.0")).toHaveLength(2);
  });
});

test("a chunk whose response is lost isn't sent again: the upload is resumed where the mirror says", async () => {
  let cuts = 0;
  proxy.cutsAnswer = ({ method }) => method === "PATCH" && ++cuts === 2;
  const { code } = await pushBoat("hosted/team/boat");
  expect(code).toBe(0);
  const chunks = proxy.requests.filter(({ method }) => method === "PATCH");
  expect(sum(chunks)).toBe((await pulled("hosted/team/boat", "1.0"))[0]);
});

test("a bare name is an image of Docker, and goes below hosted/", async () => {
  const lines: string[] = [];
  const docker = createServer((incoming, response) => {
    lines.push(`${incoming.method} ${incoming.url}`);
    response.end(archive.bytes());
  }).listen(join(folder, "docker.sock"));
  await once(docker, "listening");
  try {
    const { code, json } = await push(["boat:1.0", "--max-body", "1MB", "--json"], {
      DOCKER_HOST: `unix://${folder}/docker.sock`,
    });
    expect([code, json()]).toEqual([
      0,
      expect.objectContaining({ state: "pushed", target: `${proxy.host}/hosted/boat:1.0` }),
    ]);
    expect(lines).toEqual(["GET /images/docker.io/library/boat:1.0/get"]);
  } finally {
    docker.close();
    docker.closeAllConnections();
  }
});

test("a mirrored repository is refused before the image is read, in the mirror's words", async () => {
  const { code, errors } = await push(["docker-archive:missing.tar", "library/boat"]);
  expect([code, errors]).toEqual([1, expect.stringContaining("mirrored repositories can only be pulled")]);
  expect(bodies()).toEqual([]);
});

describe("a mirror with keys", () => {
  const rights = { allow: [], deny: [], expires: null, rate: null };

  beforeAll(async () => {
    await mirror.stop();
    const pusher = await addKey([], "ci", { ...rights, push: ["hosted/team/*"] });
    const both = await addKey(pusher.list, "reader", rights);
    await start({ vars: { ACCESS: "keys", ACCESS_KEYS: JSON.stringify(both.list) } });
    await writeFile(join(folder, "ci"), `${pusher.key}\n`);
    await writeFile(join(folder, "reader"), both.key);
  });
  afterAll(async () => {
    await mirror.stop();
    await start({});
  });

  test("takes the key of --key-file, in chunks too", async () => {
    expect(await pushBoat("hosted/team/boat", "--key-file", "ci")).toMatchObject({ code: 0 });
  });

  test("refuses a key without the right, another repository, and no key", async () => {
    for (const args of [
      ["hosted/team/boat", "--key-file", "reader"],
      ["hosted/other/boat", "--key-file", "ci"],
      ["hosted/team/boat"],
    ]) {
      const { code, errors } = await pushBoat(...args);
      expect([code, errors]).toEqual([1, expect.stringMatching(/key/)]);
    }
    expect(bodies()).toEqual([]);
  });

  test("a key file that isn't there is wrong usage", async () => {
    const { code, errors } = await pushBoat("hosted/team/boat", "--key-file", "none");
    expect([code, errors]).toEqual([2, expect.stringContaining("--key-file can't be read")]);
    expect(proxy.requests).toEqual([]);
  });
});
