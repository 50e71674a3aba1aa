/** The mirror on one machine: what it believes, what it keeps and for whom, and how it ends. */
import { chmod, mkdtemp, readdir, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { lockFolder } from "../../../scripts/local/lock.ts";
import { type MirrorOptions, type RunningMirror, startMirror } from "../../../scripts/local/mirror.ts";
import { DEADLINE, until } from "../../sockets/support/deadline.ts";
import { Download } from "../../sockets/support/download.ts";
import { MIB, serveBlob } from "../../sockets/support/stage.ts";
import { createFakeRegistry } from "../../support/fake-registry.ts";
import { type Listening, listen } from "../../support/node/listen.ts";
import { startRawFaults } from "../../support/node/raw-faults.ts";

const fake = createFakeRegistry({ auth: "none" });
const MANIFEST = "/v2/registry.test/owner/image/manifests/latest";

let registry: Listening;
let data: string;
let mirror: RunningMirror | null = null;
let messages: string[] = [];

beforeAll(async () => {
  registry = await listen(fake);
  await fake.addImage("owner/image", "latest");
  await fake.addImage("owner/secret", "latest");
});
afterAll(() => registry.close());
beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), "portolan-local-"));
  messages = [];
  fake.clearFaults();
});
afterEach(async () => {
  await mirror?.stop();
  mirror = null;
  await rm(data, { recursive: true, force: true, maxRetries: 5 });
});

async function start(options: Partial<MirrorOptions> = {}): Promise<RunningMirror> {
  mirror = await startMirror({
    port: 0,
    host: "127.0.0.1",
    data,
    upstreams: { "docker.io": [registry.url], "registry.test": [registry.url] },
    insecure: ["docker.io", "registry.test"],
    onMessage: ({ text }) => messages.push(text),
    ...options,
  });
  return mirror;
}

test("no header of a client's says which URL it requests", async () => {
  const { url } = await start({ vars: { DENY: "registry.test/owner/secret" } });
  const headers = { "MF-Original-URL": `${url}/v2/registry.test/owner/secret/manifests/latest` };
  const served = await fetch(url + MANIFEST, { headers });
  const requested = await fetch(`${url}/v2/registry.test/owner/image/manifests/latest`);
  expect(served.headers.get("docker-content-digest")).toBe(requested.headers.get("docker-content-digest"));
});

test.each(["localhost\r\nHost: evil.test", "evil.test\r\nHost: localhost", "[fe80::1%25lo]"])(
  "a Host that is no host name is the client's mistake, and isn't logged: %j",
  async (host) => {
    const { port } = await start();
    const socket = connect(port, "127.0.0.1");
    socket.end(`GET ${MANIFEST} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    expect(await text(socket)).toMatch(/^HTTP\/1\.1 400 /);
    expect(messages).toEqual([]);
  },
);

test("a tag is served from its record after a restart, while its registry fails", async () => {
  const first = await start();
  expect((await fetch(first.url + MANIFEST)).status).toBe(200);
  await until(
    "the record to be written",
    DEADLINE,
    async () => (await filesIn(join(data, "records"))).length > 0,
  );
  await first.stop();
  fake.fail({}, { status: 503 });
  const second = await start();
  expect((await fetch(second.url + MANIFEST)).status).toBe(200);
});

test("health is 503 as soon as nothing can be stored", async () => {
  const { url } = await start();
  expect((await fetch(`${url}/_/health`)).status).toBe(200);
  await rm(join(data, "store"), { recursive: true });
  expect((await fetch(`${url}/_/health`)).status).toBe(503);
});

describe("the data folder", () => {
  test("that others can look into is warned about", async () => {
    await chmod(data, 0o755);
    await start();
    expect(messages).toEqual([expect.stringContaining(`chmod 700 ${data}`)]);
  });

  test("may have a longer path than a socket", async () => {
    const { url } = await start({ data: join(data, "a".repeat(100)) });
    expect((await fetch(`${url}/_/health`)).status).toBe(200);
  });
});

describe("an address", () => {
  test("other than this machine's first is listened on and named", async () => {
    const { url, port } = await start({ host: "127.0.0.2" });
    expect(url).toBe(`http://127.0.0.2:${port}`);
    expect((await fetch(`${url}/v2/`)).status).toBe(200);
    await expect(fetch(`http://127.0.0.1:${port}/v2/`)).rejects.toThrow();
  });

  test("of all of the machine's is listened on at each", async () => {
    const { url, port } = await start({ host: "0.0.0.0", vars: { ACCESS: "open" } });
    expect(url).toBe(`http://0.0.0.0:${port}`);
    for (const host of ["127.0.0.1", "127.0.0.2"]) {
      expect((await fetch(`http://${host}:${port}/v2/`)).status).toBe(200);
    }
  });
});

describe("stopped", () => {
  test("twice, it has let go of its folder after either", async () => {
    const first = await start({ grace: 5_000 });
    const stopped = first.stop();
    await first.stop();
    lockFolder(data).release();
    await stopped;
  });

  test("it breaks off what takes longer than it may", async () => {
    const upstream = await startRawFaults();
    try {
      const { url, stop } = await start({ upstreams: { "registry.test": [upstream.url] }, grace: 300 });
      const blob = serveBlob(upstream, 4 * MIB, { fault: { type: "stall", after: MIB } });
      const client = await Download.open(`${url}/v2/registry.test/some/repository/blobs/${blob.digest}`);
      await client.readTo(MIB / 2);
      await stop();
      expect(await client.end()).toBe("broken");
    } finally {
      await upstream.close();
    }
  });
});

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
}
