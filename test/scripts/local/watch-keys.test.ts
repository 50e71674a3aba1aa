/** Access keys on one machine: the file is watched, so that a key counts as soon as it is added, and ends as soon as it is revoked. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { writeKeyFile } from "../../../scripts/keys/key-file.ts";
import { type RunningMirror, startMirror } from "../../../scripts/local/mirror.ts";
import { addKey, revokeKey } from "../../../src/access/key-changes.ts";

const TERMS = { allow: [], deny: [], expires: null, rate: null };
let folder: string;
let keyFile: string;
let mirror: RunningMirror;
let messages: string[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "portolan-keys-"));
  keyFile = join(folder, "access-keys.json");
  messages = [];
  mirror = await startMirror({
    port: 0,
    host: "127.0.0.1",
    data: join(folder, "data"),
    vars: { ACCESS: "keys" },
    keyFile,
    onMessage: ({ text }) => messages.push(text),
  });
});
afterEach(async () => {
  await mirror.stop();
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
});

const basic = (key: string) => `Basic ${btoa(`x:${key}`)}`;
const ping = async (authorization?: string) =>
  (
    await fetch(`${mirror.url}/v2/`, {
      headers: authorization === undefined ? {} : { Authorization: authorization },
    })
  ).status;

test("a key that is added opens a closed mirror, and a revoked one ends with its tokens", async () => {
  expect(await ping()).toBe(403);
  const alice = await addKey([], "alice", TERMS);
  const both = await addKey(alice.list, "bob", TERMS);
  await writeKeyFile(keyFile, both.list);
  await expect.poll(() => ping(basic(alice.key))).toBe(200);
  const issued = await fetch(`${mirror.url}/_/token`, { headers: { Authorization: basic(alice.key) } });
  const { token } = (await issued.json()) as { token: string };
  expect(await ping(`Bearer ${token}`)).toBe(200);

  await writeKeyFile(keyFile, revokeKey(both.list, "alice"));
  await expect.poll(() => ping(basic(alice.key))).toBe(401);
  expect([await ping(`Bearer ${token}`), await ping(basic(both.key))]).toEqual([401, 200]);
  expect(messages).toContain("access is now for the holders of 1 key");
});

test("a file that can't be used leaves the keys as they were, and is reported", async () => {
  const alice = await addKey([], "alice", TERMS);
  await writeKeyFile(keyFile, alice.list);
  await expect.poll(() => ping(basic(alice.key))).toBe(200);
  await writeFile(keyFile, "[{");
  await expect.poll(() => messages.join("\n")).toContain("the access keys stay as they are:");
  expect(await ping(basic(alice.key))).toBe(200);
});
