/** Uploads that grow in place, as the process beside workerd sees them. */
import { createHash, randomBytes } from "node:crypto";
import {
  appendFile,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  statfs,
  truncate,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FileStore } from "../../../scripts/local/file-store.ts";
import { Fills } from "../../../scripts/local/fills.ts";
import { Uploads } from "../../../scripts/local/uploads.ts";
import { BeyondBound, uploadKey } from "../../../src/store/store.ts";

const UPLOAD = "0b5e5c1e-6f5c-4f0e-9d0c-3f0a4c1d2e3f";
const content = randomBytes(3_000_000);
const sha256 = { algorithm: "sha256", hex: createHash("sha256").update(content).digest("hex") };
const sha512 = { algorithm: "sha512", hex: createHash("sha512").update(content).digest("hex") };
const KEY = `hosted/blobs/sha256/${sha256.hex.slice(0, 2)}/${sha256.hex}`;

let data: string;
let uploads: Uploads;
beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), "portolan-uploads-"));
  uploads = await opened();
});
afterEach(() => rm(data, { recursive: true }));

async function opened(): Promise<Uploads> {
  const store = await FileStore.open(join(data, "store"));
  await Fills.open(join(data, "incoming"), store);
  return new Uploads(join(data, "incoming"), store);
}

/** As workerd names a file while it writes it, and afterwards. */
const temporary = (id: string): string => join(data, "incoming", id, ".body.123.0.tmp");
const body = (id: string): string => join(data, "incoming", id, "body");
const file = (): string => join(data, "store", uploadKey(UPLOAD));
const published = () => readFile(join(data, "store", KEY));

/** Appends as workerd does when a body is complete. */
async function append(offset: number, bytes: Buffer): Promise<number | null> {
  const { id } = await uploads.begin(UPLOAD, offset, bytes.byteLength);
  await writeFile(temporary(id), bytes);
  await rename(temporary(id), body(id));
  return uploads.end(id, true);
}

test("a body becomes the upload's file without a copy, and is published", async () => {
  const { id } = await uploads.begin(UPLOAD, 0, null);
  await writeFile(temporary(id), content);
  const { ino } = await stat(temporary(id));
  await rename(temporary(id), body(id));
  expect(await uploads.end(id, true)).toBe(content.byteLength);
  expect(await readdir(join(data, "incoming"))).toEqual([]);
  expect(await uploads.publish(UPLOAD, content.byteLength, KEY, sha256)).toBe(true);
  expect(await published()).toEqual(content);
  expect((await stat(join(data, "store", KEY))).ino).toBe(ino);
  expect(await readdir(join(data, "store/uploads"))).toEqual([]);
});

test.each([sha256, sha512])("bodies are appended, and verified by $algorithm", async (checksum) => {
  expect(await append(0, content.subarray(0, 1_000_000))).toBe(1_000_000);
  expect(await append(1_000_000, content.subarray(1_000_000, 1_000_001))).toBe(1);
  expect(await append(1_000_001, content.subarray(1_000_001))).toBe(1_999_999);
  expect(await uploads.publish(UPLOAD, content.byteLength, KEY, checksum)).toBe(true);
  expect(await published()).toEqual(content);
});

test("content with another digest or size isn't published", async () => {
  await append(0, content);
  const other = { algorithm: "sha256", hex: "0".repeat(64) };
  expect(await uploads.publish(UPLOAD, content.byteLength, KEY, other)).toBe(false);
  expect(await uploads.publish(UPLOAD, content.byteLength + 1, KEY, sha256)).toBe(false);
  await expect(published()).rejects.toThrow(/ENOENT/);
  expect(await uploads.publish(UPLOAD, content.byteLength, KEY, sha256)).toBe(true);
});

test("what came of a body that broke off stays, and the upload goes on from there", async () => {
  const { id } = await uploads.begin(UPLOAD, 0, null);
  await writeFile(temporary(id), content.subarray(0, 700_000));
  await expect.poll(() => stat(file()).then(({ size }) => size)).toBe(700_000);
  await rm(temporary(id));
  expect(await uploads.end(id, false)).toBe(700_000);
  const { id: second } = await uploads.begin(UPLOAD, 700_000, null);
  await writeFile(temporary(second), content.subarray(700_000, 800_000));
  await expect.poll(() => stat(file()).then(({ size }) => size)).toBe(800_000);
  await rm(temporary(second));
  expect(await uploads.end(second, false)).toBe(100_000);
  await append(800_000, content.subarray(800_000));
  expect(await uploads.publish(UPLOAD, content.byteLength, KEY, sha256)).toBe(true);
  expect(await published()).toEqual(content);
});

test("a later append ends an earlier one, whose body goes nowhere even if it still comes", async () => {
  const { id: stale } = await uploads.begin(UPLOAD, 0, null);
  await writeFile(temporary(stale), randomBytes(500_000));
  await expect.poll(() => stat(file()).then(({ size }) => size)).toBe(500_000);
  await append(0, content.subarray(0, 2_000_000));
  await appendFile(temporary(stale), randomBytes(4_000_000));
  await rename(temporary(stale), body(stale));
  expect(await uploads.end(stale, true)).toBeNull();
  await append(2_000_000, content.subarray(2_000_000));
  expect(await uploads.publish(UPLOAD, content.byteLength, KEY, sha256)).toBe(true);
  expect(await published()).toEqual(content);
});

test("bytes that were never recorded are discarded", async () => {
  await append(0, content.subarray(0, 1_000_000));
  await append(1_000_000, randomBytes(1_000_000));
  await append(1_000_000, content.subarray(1_000_000));
  expect(await uploads.publish(UPLOAD, content.byteLength, KEY, sha256)).toBe(true);
  expect(await published()).toEqual(content);
});

test("an upload goes on after a restart, of which a body that was under way is no part", async () => {
  await append(0, content.subarray(0, 1_000_000));
  const { id: cut } = await uploads.begin(UPLOAD, 1_000_000, null);
  await writeFile(temporary(cut), randomBytes(600_000));
  await expect.poll(() => stat(file()).then(({ size }) => size)).toBe(1_600_000);
  const killed = uploads;
  uploads = await opened();
  await append(1_000_000, content.subarray(1_000_000));
  expect(await uploads.publish(UPLOAD, content.byteLength, KEY, sha256)).toBe(true);
  expect(await published()).toEqual(content);
  // It only was to be left behind: here it still runs.
  await expect(killed.end(cut, false)).rejects.toThrow(/ENOENT/);
});

test("a body larger than the free space doesn't begin", async () => {
  await expect(uploads.begin(UPLOAD, 0, 2 ** 52)).rejects.toMatchObject({ code: "ENOSPC" });
  expect(await readdir(join(data, "incoming"))).toEqual([]);
});

test("a body that leaves little of the free space may fill the disk", async () => {
  const { bavail, bsize } = await statfs(data);
  const little = 4 * 1024 ** 3;
  expect(await uploads.begin(UPLOAD, 0, bavail * bsize - little)).toMatchObject({ mayFillDisk: true });
});

describe("a body that goes beyond its bound", () => {
  const bound = (bytes: number) => ({ group: "team/*", bytes });
  const OTHER = "1b5e5c1e-6f5c-4f0e-9d0c-3f0a4c1d2e3f";

  /** A body that is still being written. */
  async function write(upload: string, offset: number, bytes: number, most: number): Promise<string> {
    const { id } = await uploads.begin(upload, offset, null, bound(most));
    await writeFile(temporary(id), content.subarray(0, bytes));
    return id;
  }
  const isEmptied = (id: string) => expect.poll(async () => (await stat(temporary(id))).size).toBe(0);

  test.each([0, 500_000])(
    "from byte %d on takes no space while it still comes, and leaves nothing",
    async (offset) => {
      if (offset > 0) await append(0, content.subarray(0, offset));
      const id = await write(UPLOAD, offset, 1_000_001, 1_000_000);
      await isEmptied(id);
      await expect(stat(file())).rejects.toThrow(/ENOENT/);
      const waited = uploads.isEndless(id);
      await rename(temporary(id), body(id));
      await expect(uploads.end(id, true)).rejects.toThrow(BeyondBound);
      expect(await waited).toBe(false);
      expect(await readdir(join(data, "incoming"))).toEqual([]);
    },
  );

  test("is to be cut off once too much of it was discarded", async () => {
    const id = await write(UPLOAD, 0, 1_000_001, 1_000_000);
    await isEmptied(id);
    // As a file is into which workerd has written further bytes: the ones before have no place on the disk.
    await truncate(temporary(id), 2 * 1024 ** 3);
    expect(await uploads.isEndless(id)).toBe(true);
    await rm(temporary(id));
    await expect(uploads.end(id, false)).rejects.toThrow(BeyondBound);
  });

  test("may have as many bytes as it", async () => {
    const id = await write(UPLOAD, 0, 1_000_000, 1_000_000);
    await rename(temporary(id), body(id));
    expect(await uploads.end(id, true)).toBe(1_000_000);
  });

  test("shares it with other uploads of its group, those that ended since included", async () => {
    const first = await write(UPLOAD, 0, 600_000, 1_000_000);
    const second = await write(OTHER, 0, 300_000, 1_000_000);
    await rename(temporary(first), body(first));
    expect(await uploads.end(first, true)).toBe(600_000);
    await appendFile(temporary(second), content.subarray(0, 200_000));
    await isEmptied(second);
    await rm(temporary(second));
    await expect(uploads.end(second, false)).rejects.toThrow(BeyondBound);
  });
});

test("an upload that is given up leaves nothing", async () => {
  await append(0, content.subarray(0, 1_000_000));
  const { id } = await uploads.begin(UPLOAD, 1_000_000, null);
  await writeFile(temporary(id), content.subarray(1_000_000, 1_500_000));
  await uploads.forget(UPLOAD);
  await rm(temporary(id));
  expect(await uploads.end(id, false)).toBeNull();
  expect(await readdir(join(data, "store/uploads"))).toEqual([]);
  expect(await readdir(join(data, "incoming"))).toEqual([]);
});
