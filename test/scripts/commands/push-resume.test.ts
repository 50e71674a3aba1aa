/** `portolan push` that was killed: the next run sends what the mirror doesn't have, to a mirror as `npm start` runs it. */
import { randomBytes } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type RunningMirror, startMirror } from "../../../scripts/local/mirror.ts";
import { dockerArchive } from "../support/docker-archive.ts";
import { type LimitingProxy, startLimitingProxy } from "../support/limiting-proxy.ts";
import { type Finished, spawnPortolan } from "../support/portolan.ts";

const LIMIT = 1_000_000;
/** Milliseconds: two runs of the command in a test, on a busy machine. */
const DEADLINE = 80_000;

vi.setConfig({ testTimeout: 2 * DEADLINE });

let folder: string;
let mirror: RunningMirror;
let proxy: LimitingProxy;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "portolan-push-resume-"));
  const archive = dockerArchive(["boat:1.0"], [randomBytes(3_500_000)]);
  await writeFile(join(folder, "boat.tar"), archive.bytes());
  mirror = await startMirror({ port: 0, host: "127.0.0.1", data: join(folder, "data") });
  proxy = await startLimitingProxy(() => mirror.url, LIMIT);
});
afterEach(async () => {
  proxy.close();
  await mirror.stop();
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
});

const records = join("state", "portolan", "uploads");
const patches = () => proxy.requests.filter(({ method }) => method === "PATCH");

function push(kill?: AbortSignal): Promise<Finished> {
  const target = ["hosted/team/boat", "--mirror", `http://${proxy.host}`, "--max-body", "1MB"];
  return spawnPortolan(["push", "docker-archive:boat.tar:boat:1.0", ...target], {
    cwd: folder,
    environment: { HOME: folder, TMPDIR: folder, XDG_STATE_HOME: join(folder, "state") },
    deadline: DEADLINE,
    ...(kill && { kill }),
  });
}

/** Kills the command once its third chunk is at the mirror. */
async function killedPush(): Promise<void> {
  const killer = new AbortController();
  proxy.keepsAnswer = () => {
    if (patches().length < 3) return false;
    killer.abort();
    return true;
  };
  const { code } = await push(killer.signal);
  expect(code).toBeNull();
  proxy.keepsAnswer = () => false;
  proxy.requests = [];
}

test("goes on after the last chunk that the mirror has", async () => {
  await killedPush();
  const [record = ""] = await readdir(join(folder, records));
  expect((await stat(join(folder, records, record))).mode & 0o777).toBe(0o600);
  const { code, errors } = await push();
  expect([code, errors]).toEqual([0, expect.stringMatching(/sha256:\w{12} goes on after 3 MB of 3\.5 MB/)]);
  expect(patches()).toHaveLength(1);
  const { status } = await fetch(`${mirror.url}/v2/hosted/team/boat/manifests/1.0`);
  expect(status).toBe(200);
  expect(await readdir(join(folder, records))).toEqual([]);
});

test("is sent from the beginning where the mirror has given the upload up", async () => {
  await killedPush();
  const [upload] = await uploads();
  expect((await fetch(upload ?? "", { method: "DELETE" })).status).toBe(204);
  expect(await push()).toMatchObject({ code: 0 });
  expect(patches()).toHaveLength(4);
  expect(await readdir(join(folder, records))).toEqual([]);
});

/** Where the uploads go on that are remembered. */
async function uploads(): Promise<string[]> {
  const names = await readdir(join(folder, records));
  return Promise.all(
    names.map(async (name) => JSON.parse(await readFile(join(folder, records, name), "utf8")).location),
  );
}
