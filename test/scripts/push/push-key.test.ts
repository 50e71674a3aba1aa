import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { loginsWithKey } from "../../../scripts/push/push-key.ts";

const NONE = { loginFor: async () => null };
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "push-key-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test("the key is the login of its registry and of no other", async () => {
  await writeFile(join(folder, "key"), "secret\n");
  const { loginFor } = await loginsWithKey("mirror.example.com", "key", folder, NONE);
  for (const name of ["mirror.example.com", "mirror.example.com/hosted/team/app"]) {
    expect(await loginFor(name)).toMatchObject({ password: "secret" });
  }
  for (const name of [
    "mirror.example.com.evil.example/app",
    "mirror.example.com:8443/app",
    "docker.io/app",
  ]) {
    expect(await loginFor(name)).toBeNull();
  }
});

test.each(["", "two keys\n", "one\ntwo\n"])("a file with %j is refused, and isn't quoted", async (text) => {
  await writeFile(join(folder, "key"), text);
  const opened = loginsWithKey("mirror.example.com", "key", folder, NONE);
  await expect(opened).rejects.toThrow(/^--key-file: key must have one key and nothing else$/);
});
