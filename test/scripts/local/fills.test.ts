/** Fills, as the process beside workerd sees them: files that grow, what may be read of them, and what is published. */
import { createHash, randomBytes } from "node:crypto";
import { appendFile, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { FileStore } from "../../../scripts/local/file-store.ts";
import { Fills } from "../../../scripts/local/fills.ts";

const content = randomBytes(3_000_000);
const hex = createHash("sha256").update(content).digest("hex");
const KEY = `blobs/sha256/${hex.slice(0, 2)}/${hex}`;

let data: string;
let fills: Fills;
beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), "portolan-fills-"));
  fills = await Fills.open(join(data, "incoming"), await FileStore.open(join(data, "store")));
});
afterEach(() => rm(data, { recursive: true }));

const begin = (size = content.byteLength, checksum = hex): Promise<string> =>
  fills.begin(KEY, size, { algorithm: "sha256", hex: checksum });
/** As workerd names a file while it writes it, and afterwards. */
const temporary = (id: string): string => join(data, "incoming", id, ".body.123.0.tmp");
const body = (id: string): string => join(data, "incoming", id, "body");
const growing = (id: string): string => join(data, "incoming", id, "growing");

async function files(): Promise<string[]> {
  const entries = await readdir(data, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
}

test("a file can be read while it grows, and is published with the right checksum", async () => {
  const id = await begin();
  await writeFile(temporary(id), content.subarray(0, 1_000_000));
  expect(await fills.progress(id, 0)).toEqual({ bytes: 1_000_000, isVerified: false });
  expect(await readFile(growing(id))).toEqual(content.subarray(0, 1_000_000));
  const more = fills.progress(id, 1_000_000);
  await appendFile(temporary(id), content.subarray(1_000_000));
  await rename(temporary(id), body(id));
  expect(await fills.end(id)).toEqual({ key: KEY, size: content.byteLength, verdict: "stored" });
  // The system may have written the rest in several pieces.
  let seen = await more;
  while (seen && !seen.isVerified) seen = await fills.progress(id, seen.bytes);
  expect(seen).toEqual({ bytes: content.byteLength, isVerified: true });
  expect(await readFile(join(data, "store", KEY))).toEqual(content);
  expect(await readFile(growing(id))).toEqual(content);
  await fills.remove(id);
  expect(await fills.progress(id, 0)).toBeNull();
  expect(await files()).toEqual([hex]);
});

test("a file that was complete before it was seen is published too", async () => {
  const id = await begin();
  await writeFile(body(id), content);
  expect(await fills.end(id)).toMatchObject({ verdict: "stored" });
  await fills.remove(id);
  expect(await files()).toEqual([hex]);
});

test.each([
  ["another checksum", content.byteLength, "0".repeat(64)],
  ["too few bytes", content.byteLength + 1, hex],
  ["too many bytes", content.byteLength - 1, hex],
])("a file with %s is neither verified nor published", async (_, size, checksum) => {
  const id = await begin(size, checksum);
  await writeFile(body(id), content);
  const last = fills.progress(id, size);
  expect(await fills.end(id)).toMatchObject({ verdict: "mismatch" });
  await fills.remove(id);
  expect(await last).toBeNull();
  expect(await files()).toEqual([]);
});

test("a fill that is given up leaves nothing, and those who wait for it learn that", async () => {
  const id = await begin();
  await writeFile(temporary(id), content.subarray(0, 1000));
  const waiting = fills.progress(id, 1000);
  await sleep(20);
  await fills.remove(id);
  expect(await waiting).toBeNull();
  expect(await fills.end(id)).toBeNull();
  expect(await files()).toEqual([]);
});

test("a fill larger than the free space doesn't begin", async () => {
  await expect(begin(2 ** 52)).rejects.toMatchObject({ code: "ENOSPC" });
  expect(await readdir(join(data, "incoming"))).toEqual([]);
});

test("what fills of a mirror that was killed left is removed by the next", async () => {
  const left = join(data, "incoming", "some-fill");
  await mkdir(left);
  await writeFile(join(left, ".body.123.0.tmp"), content);
  await writeFile(join(left, "growing"), content);
  await Fills.open(join(data, "incoming"), await FileStore.open(join(data, "store")));
  expect(await files()).toEqual([]);
});
