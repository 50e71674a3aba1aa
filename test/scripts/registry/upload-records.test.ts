/** Which uploads of other processes are continued. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { remoteOf } from "../../../scripts/registry/remote.ts";
import { UploadFiles } from "../../../scripts/registry/upload-records.ts";
import { digest } from "../support/images.ts";

const REMOTE = remoteOf({ registry: "registry.example.com", repository: "team/app" });
const LOCATION = new URL("https://registry.example.com/v2/team/app/blobs/uploads/1?state=secret");
const LAYER = digest("layer");

let folder: string;
let files: UploadFiles;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "portolan-uploads-"));
  files = new UploadFiles(folder);
  await files.keep(REMOTE, LAYER, LOCATION);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Makes the record another process's. */
async function give(owner: number, run = "another run"): Promise<void> {
  const [name = ""] = await readdir(folder);
  const kept = JSON.parse(await readFile(join(folder, name), "utf8"));
  await writeFile(join(folder, name), JSON.stringify({ ...kept, process: owner, run }));
}

test("one of a process that has ended is continued, for the same blob of the same repository only", async () => {
  await give(spawnSync("true").pid);
  expect(await files.find(REMOTE, LAYER)).toEqual(LOCATION);
  expect(await files.find(REMOTE, digest("other"))).toBeNull();
  expect(await files.find({ ...REMOTE, repository: "team/other" }, LAYER)).toBeNull();
  const elsewhere = remoteOf({ registry: "registry.example.org", repository: "team/app" });
  expect(await files.find(elsewhere, LAYER)).toBeNull();
});

test("one of a running process is its own", async () => {
  expect(await files.find(REMOTE, LAYER)).toBeNull();
  const other = spawn("sleep", ["600"]);
  try {
    await give(other.pid ?? 0);
    expect(await files.find(REMOTE, LAYER)).toBeNull();
  } finally {
    other.kill("SIGKILL");
    await once(other, "close");
  }
});

test("one of an earlier process with the same id is continued, as in containers", async () => {
  await give(process.pid);
  expect(await files.find(REMOTE, LAYER)).toEqual(LOCATION);
});

test("what isn't a record is none", async () => {
  const [name = ""] = await readdir(folder);
  for (const text of ["", "null", '{"location":1}', '{"location":"no URL","process":1,"run":""}']) {
    await writeFile(join(folder, name), text);
    expect(await files.find(REMOTE, LAYER)).toBeNull();
  }
});

test("one that the registry has given up long ago is removed", async () => {
  const [name = ""] = await readdir(folder);
  const old = (Date.now() - 8 * 24 * 3_600_000) / 1000;
  await utimes(join(folder, name), old, old);
  expect(await files.find(REMOTE, LAYER)).toBeNull();
  expect(await readdir(folder)).toEqual([]);
});

test("a folder that can't be used fails nothing", async () => {
  const unusable = new UploadFiles("/dev/null/uploads");
  await unusable.keep(REMOTE, LAYER, LOCATION);
  expect(await unusable.find(REMOTE, LAYER)).toBeNull();
  await unusable.forget(REMOTE, LAYER);
});
