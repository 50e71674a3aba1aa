/** `npm start` as a person meets it: what it prints, and that it keeps its state in the folder it names. */
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { REGISTRIES } from "../../../src/upstream/registries.ts";
import { DEADLINE, until } from "../../sockets/support/deadline.ts";
import { download } from "../../sockets/support/download.ts";
import { MIB, newBlob, requestsFor, serveBlob } from "../../sockets/support/stage.ts";
import { type Listening, listen } from "../../support/node/listen.ts";
import { type RawFaults, startRawFaults } from "../../support/node/raw-faults.ts";
import { Serve, Start } from "../support/start.ts";

let folder: string;
let upstream: RawFaults;
let started: Start | null = null;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "portolan-serve-"));
  upstream = await startRawFaults();
});
afterEach(async () => {
  await started?.stop();
  started = null;
  await upstream.close();
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
});

function start(...args: string[]): Start {
  const own = ["--port", "0", "--upstream", `local.test=${upstream.url}`, "--insecure", "local.test"];
  started = new Start([...own, ...args], { folder });
  return started;
}

it("says where it listens, what it mirrors, where it keeps it, where its page is, and how Docker finds it", async () => {
  const running = start("--data", "kept here");
  const url = await running.ready();
  const host = new URL(url).host;
  expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  await running.line(/docker pull/);
  expect(running.output).toContain(`listens on ${url} and keeps what it pulls in kept here`);
  expect(running.output).toMatch(/mirrors .*\bdocker\.io, .*\bghcr\.io, .*\blocal\.test\b/);
  const keyFile = join(folder, "kept here/admin-key");
  expect(running.output).toContain(
    `\n  page       ${url}/\n  owner      ${url}/_/owner, with the key in ${keyFile}\n`,
  );
  const adminKey = await readFile(keyFile, "utf8");
  expect(running.output).not.toContain(adminKey.trim());
  expect(running.output).toContain("/etc/docker/daemon.json");
  expect(running.output).toContain(`{ "registry-mirrors": ["${url}"] }`);
  expect(running.output).toContain(`docker pull ${host}/ghcr.io/OWNER/IMAGE:TAG`);
  expect(running.errors).toBe("");
  expect((await fetch(`${url}/v2/`)).status).toBe(200);
});

it("says where hosted repositories are, as a gateway", async () => {
  const running = start("--push-to", "https://mirror.example.com");
  await running.ready();
  expect(await running.line(/^ {2}hosted /)).toBe(
    "  hosted     sent to and read from https://mirror.example.com",
  );
});

it("names a few of the registries that it mirrors, and all in its help", async () => {
  const running = start();
  await running.ready();
  expect(await running.line(/^ {2}mirrors /)).toMatch(
    /^ {2}mirrors {4}docker\.io, ghcr\.io, quay\.io, local\.test and \d+ more \(--help\)$/,
  );
  expect(running.output).not.toContain("ways out");
  await running.stop();
  const help = new Start(["--help"], { folder });
  expect(await help.end()).toBe(0);
  for (const name of Object.keys(REGISTRIES)) expect(help.output).toContain(name);
});

it("says which way registries are reached, a line for each way, with the names of the fewer ones", async () => {
  const running = start("--proxy", "http://127.0.0.1:9");
  await running.ready();
  await running.line(/^ {2}access /);
  expect(running.output).toContain(
    "\n  ways out   local.test directly\n             all others through http://127.0.0.1:9\n  access ",
  );
});

it("on all of the machine's addresses, names each, and for Docker the one that needs no TLS", async () => {
  const running = start("--host", "0.0.0.0", "--var", "ACCESS=open");
  const { port, hostname } = new URL(await running.ready());
  expect(hostname).toBe("0.0.0.0");
  await running.line(/docker pull/);
  for (const { address, family } of Object.values(networkInterfaces()).flatMap((each) => each ?? [])) {
    if (family === "IPv4")
      expect(running.output).toMatch(new RegExp(`addresses .*http://${address}:${port}\\b`));
  }
  expect(running.output).toContain(`{ "registry-mirrors": ["http://127.0.0.1:${port}"] }`);
});

describe("a line a request", () => {
  it("has its method, status, who served it, bytes, time, and the blob by its whole name with a short digest", async () => {
    const running = start();
    const url = await running.ready();
    const blob = serveBlob(upstream, 1500);
    const path = `/v2/local.test/some/repository/blobs/${blob.digest}`;
    const name = `local\\.test/some/repository@${blob.digest.slice(0, "sha256:".length + 12)}`;
    await download(url + path);
    const cold = await running.line(/ upstream /);
    expect(cold).toMatch(
      new RegExp(`^\\d\\d:\\d\\d:\\d\\d GET  200 upstream +1\\.5 kB +\\d+ ms  ${name}$`, "i"),
    );
    const isStored = async () => (await download(url + path)).response.servedBy === "store";
    await until("the blob to be stored", DEADLINE, isStored);
    expect(await running.line(/ store /)).toMatch(
      new RegExp(`^\\d\\d:\\d\\d:\\d\\d GET  200 store +1\\.5 kB +\\d+ ms  ${name}$`, "i"),
    );
    await fetch(`${url}/v2/local.test/some/repository/tags/list?n=1`, { method: "HEAD" });
    expect(await running.line(/ HEAD /)).toMatch(
      / HEAD 404 - +\S+( k?B)? +\d+ ms {2}\/v2\/local\.test\/\S+\/tags\/list\?n=1$/,
    );
  });

  it("follows once a blob is stored, with its speed, and only that time", async () => {
    const running = start();
    const url = await running.ready();
    const blob = serveBlob(upstream, MIB);
    const path = `/v2/local.test/some/repository/blobs/${blob.digest}`;
    await download(url + path);
    expect(await running.line(/ stored /)).toMatch(
      /^\d\d:\d\d:\d\d {10}stored +1 MB +\d+ ms {2}local\.test\/some\/repository@sha256:[0-9a-f]{12} at [\d.]+ [kMG]?B\/s$/,
    );
    await download(url + path);
    await running.line(/ store /);
    expect(running.output.match(/ stored /g)).toHaveLength(1);
  });

  it("is all that is logged of a registry that can't be reached: which, and why", async () => {
    const running = start();
    const url = await running.ready();
    await running.line(/docker pull/);
    const before = running.output;
    await upstream.close();
    await fetch(`${url}/v2/local.test/some/repository/manifests/latest`);
    const line = await running.line(/ 503 /);
    expect(line).toMatch(
      / 503 - +\S+ +\d+ ms {2}local\.test\/some\/repository:latest local\.test: 127\.0\.0\.1:\d+ can't be reached; if it is blocked here, use a proxy or a relay$/,
    );
    expect(running.output.slice(before.length).trim()).toBe(line);
    expect(running.errors).toBe("");
  });

  let vast: Listening;
  beforeAll(async () => {
    vast = await listen(() => new Response(null, { headers: { "Content-Length": "5000000000" } }));
  });
  afterAll(() => vast.close());

  it("tells gigabytes as such", async () => {
    const running = start("--upstream", `vast.test=${vast.url}`, "--insecure", "vast.test");
    const url = await running.ready();
    await fetch(`${url}/v2/vast.test/some/repository/blobs/${newBlob(1).digest}`, { method: "HEAD" });
    expect(await running.line(/ HEAD /)).toMatch(/ 200 upstream +5 GB +\d+ ms {2}vast\.test\//);
  });
});

it("with --log json, prints an object for each request on standard output, and nothing else there", async () => {
  const running = start("--log", "json");
  const url = await running.ready();
  const blob = serveBlob(upstream, 1500);
  const path = `/v2/local.test/some/repository/blobs/${blob.digest}`;
  await download(url + path);
  await running.line(/"blob"/);
  await running.line(/"stored"/);
  const records = running.output
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  const name = { upstream: "local.test", repository: "some/repository" };
  expect(records.filter(({ event }) => event !== undefined)).toEqual([
    { time, event: "stored", ...name, digest: blob.digest, bytes: 1500, ms: expect.any(Number) },
  ]);
  expect(records.filter(({ event }) => event === undefined)).toEqual([
    {
      time,
      method: "GET",
      path,
      ...name,
      resource: "blob",
      reference: "digest",
      key: null,
      servedBy: "upstream",
      status: 200,
      bytes: 1500,
      ms: expect.any(Number),
      reason: null,
    },
  ]);
});

it("makes the data folder, and finds in it what it stored before", async () => {
  const data = join(folder, "a", "new", "folder");
  const blob = serveBlob(upstream, MIB);
  const path = `/v2/local.test/some/repository/blobs/${blob.digest}`;
  for (const servedBy of ["upstream", "store"]) {
    const running = start("--data", data);
    const { response } = await download((await running.ready()) + path);
    expect(response.servedBy).toBe(servedBy);
    expect(response.digest).toBe(blob.digest);
    const hex = blob.digest.replace("sha256:", "");
    const file = join(data, "store/blobs/sha256", hex.slice(0, 2), hex);
    await until("the blob to be stored", DEADLINE, () => existsSync(file));
    await running.stop();
    expect(existsSync(data)).toBe(true);
  }
  expect(requestsFor(upstream, blob)).toHaveLength(1);
});

it("makes its data for the owner alone, whatever the shell's umask", async () => {
  const data = join(folder, "new");
  const args = [
    "--port",
    "0",
    "--upstream",
    `local.test=${upstream.url}`,
    "--insecure",
    "local.test",
    "--data",
    data,
  ];
  const serve = new Serve(args, { folder, wrapper: ["sh", "-c", 'umask 022 && exec "$@"', "sh"] });
  onTestFinished(() => serve.kill());
  const url = await serve.ready();
  await download(`${url}/v2/local.test/some/repository/blobs/${serveBlob(upstream, 1500).digest}`);
  const pathsIn = async () => ["", ...(await readdir(data, { recursive: true }))];
  const isStored = async () => (await readdir(join(data, "store"))).includes("blobs");
  await until("the blob to be stored", DEADLINE, isStored);
  const isIdle = async () => (await readdir(join(data, "incoming"))).length === 0;
  await until("the fill to be cleared away", DEADLINE, isIdle);
  const paths = await pathsIn();
  const modes = await Promise.all(
    paths.map(async (path) => [path, (await stat(join(data, path))).mode & 0o077]),
  );
  expect(modes.filter(([, ofOthers]) => ofOthers !== 0)).toEqual([]);
  expect(serve.errors).toBe("");
});

it("keeps its data in .portolan under the working directory unless another folder is given", async () => {
  await start().ready();
  expect(existsSync(join(folder, ".portolan"))).toBe(true);
});

it("sets variables of the Worker with --var", async () => {
  const other = await startRawFaults();
  try {
    const table = JSON.stringify({ "other.test": { endpoints: [other.url], insecure: true } });
    const running = start("--var", `UPSTREAMS=${table}`, "--var", "DEFAULT_UPSTREAM=other.test");
    const url = await running.ready();
    expect(running.output).toMatch(/mirrors .*local\.test, .*other\.test/);
    const blob = serveBlob(other, 10);
    expect((await download(url + blob.path)).response.digest).toBe(blob.digest);
  } finally {
    await other.close();
  }
});
