/** The file of the access keys: only its owner reads it, and no reader sees half of it. */
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readKeyFile, writeKeyFile } from "../../../scripts/keys/key-file.ts";
import { keptSigningSecret } from "../../../scripts/keys/signing.ts";

let folder: string;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "portolan-keys-"));
  file = join(folder, "access-keys.json");
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const list = [{ name: "alice", hash: "a".repeat(64) }];

async function modeOf(path: string): Promise<number> {
  return (await stat(path)).mode & 0o777;
}

test("is read as it was written, by its owner alone, whatever the mode of the file before", async () => {
  await writeFile(file, "[]", { mode: 0o644 });
  await writeKeyFile(file, list);
  expect(await readKeyFile(file)).toEqual(list);
  expect(await modeOf(file)).toBe(0o600);
});

test("is replaced as a whole: a reader that opened the old one reads the old one to its end", async () => {
  await writeKeyFile(file, list);
  const before = (await stat(file)).ino;
  await writeKeyFile(file, []);
  expect((await stat(file)).ino).not.toBe(before);
  expect(await readdir(folder)).toEqual(["access-keys.json"]);
});

test("leaves nothing behind where it can't be written", async () => {
  await expect(writeKeyFile(join(folder, "missing", "keys.json"), list)).rejects.toThrow();
  expect(await readdir(folder)).toEqual([]);
});

test("that isn't there is no list; one that can't be used is named", async () => {
  expect(await readKeyFile(file)).toBeNull();
  await writeFile(file, "[{");
  await expect(readKeyFile(file)).rejects.toThrow(`${file} isn't valid JSON`);
  await writeFile(file, '[{"name":"alice"}]');
  await expect(readKeyFile(file)).rejects.toThrow(/access-keys\.json can't be used: the key alice: hash/);
});

test("a signing secret is made once, kept for its owner alone, and long enough for the Worker", async () => {
  const data = join(folder, "data");
  const made = await keptSigningSecret(data);
  expect(made).toMatch(/^[\w-]{43}$/);
  expect(await keptSigningSecret(data)).toBe(made);
  expect(await modeOf(join(data, "signing-secret"))).toBe(0o600);
  expect((await readFile(join(data, "signing-secret"), "utf8")).trim()).toBe(made);
});
