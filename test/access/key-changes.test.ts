/** What is done to the list of access keys: what is made is what the Worker takes, and nothing is lost on the way. */
import { describe, expect, test } from "vitest";
import { asSecret } from "../../scripts/keys/secret.ts";
import { addKey, checked, type KeyTerms, revokeKey, rotateKey } from "../../src/access/key-changes.ts";
import type { WrittenKey } from "../../src/access/key-list.ts";
import { KeyRing } from "../../src/access/key-ring.ts";
import { NO_MORE_KEYS } from "../../src/access/stored-keys.ts";
import { readConfig } from "../../src/config.ts";

const NOW = Date.parse("2026-11-25T12:00:00Z");
const TERMS: KeyTerms = { allow: [], deny: [], expires: null, rate: null };

/** The name of the key that the Worker finds for what a client shows. */
async function nameOf(list: readonly WrittenKey[], key: string, now = NOW): Promise<string | null> {
  const SIGNING_SECRET = "x".repeat(32);
  const { keys } = readConfig({ ACCESS: "keys", ACCESS_KEYS: asSecret(list), SIGNING_SECRET });
  return (await new KeyRing(keys, NO_MORE_KEYS, () => now).find(key))?.name ?? null;
}

async function listOf(...names: string[]): Promise<WrittenKey[]> {
  let list: WrittenKey[] = [];
  for (const name of names) ({ list } = await addKey(list, name, TERMS));
  return list;
}

describe("a key that is added", () => {
  test("is found by the Worker, and the list holds nothing that opens anything", async () => {
    const { key, list } = await addKey(await listOf("alice"), "bob", TERMS);
    expect(await nameOf(list, key)).toBe("bob");
    expect(JSON.stringify(list)).not.toContain(key);
    expect(list.map(({ name }) => name)).toEqual(["alice", "bob"]);
  });

  test("opens what its terms allow, for as long and as often", async () => {
    const expires = new Date(NOW + 1000).toISOString();
    const terms = { allow: ["docker.io/library/*"], deny: ["docker.io/library/x*"], expires, rate: 60 };
    const { key, list, written } = await addKey([], "ci", terms);
    expect(written).toMatchObject({ name: "ci", ...terms });
    expect(await nameOf(list, key, NOW)).toBe("ci");
    expect(await nameOf(list, key, NOW + 1000)).toBeNull();
  });

  test("needs a name of its own", async () => {
    await expect(addKey(await listOf("alice"), "alice", TERMS)).rejects.toThrow(
      /alice already.*rotate alice/,
    );
  });

  test.each(["", "b ob", "../bob", "b".repeat(65)])("can't be named %j", async (name) => {
    await expect(addKey([], name, TERMS)).rejects.toThrow(/name must be a name of letters/);
  });

  test("is refused with a pattern that could never match", async () => {
    const terms = { ...TERMS, allow: ["GHCR.io/*"] };
    await expect(addKey([], "bob", terms)).rejects.toThrow(/bob: allow must be a pattern/);
  });
});

test("a key that is revoked is no longer taken, and the others are", async () => {
  const alice = await addKey([], "alice", TERMS);
  const bob = await addKey(alice.list, "bob", TERMS);
  const list = revokeKey(bob.list, "alice");
  expect(await nameOf(list, alice.key)).toBeNull();
  expect(await nameOf(list, bob.key)).toBe("bob");
});

test("a name that isn't there is neither revoked nor rotated, and the known ones are named", async () => {
  const list = await listOf("alice", "bob");
  expect(() => revokeKey(list, "carol")).toThrow(/no key named carol.*alice, bob/);
  await expect(rotateKey(list, "carol", undefined, NOW)).rejects.toThrow(/no key named carol/);
});

describe("a key that is rotated", () => {
  const terms = { ...TERMS, allow: ["ghcr.io/*"], rate: 60 };
  const expires = new Date(NOW + 1000).toISOString();

  test("has a new value in its old place, opens the same, and its old value is no longer taken", async () => {
    const before = await addKey([], "alice", { ...terms, expires });
    const { list } = await addKey(before.list, "bob", TERMS);
    const after = await rotateKey(list, "alice", undefined, NOW);
    expect(await nameOf(after.list, before.key)).toBeNull();
    expect(await nameOf(after.list, after.key)).toBe("alice");
    expect(after.list.map(({ name }) => name)).toEqual(["alice", "bob"]);
    expect(after.list[0]).toEqual({ ...before.written, hash: after.list[0]?.hash });
  });

  test("can be given another end, or none", async () => {
    const { list } = await addKey([], "alice", { ...terms, expires });
    const later = new Date(NOW + 5000).toISOString();
    expect((await rotateKey(list, "alice", later, NOW)).written.expires).toBe(later);
    expect((await rotateKey(list, "alice", null, NOW)).written).not.toHaveProperty("expires");
  });

  test("is not made already expired", async () => {
    const { list } = await addKey([], "alice", { ...terms, expires });
    await expect(rotateKey(list, "alice", undefined, NOW + 2000)).rejects.toThrow(/expired.*--expires/);
  });
});

test("a list that Cloudflare would not take as a secret is refused before it is uploaded", async () => {
  const list = Array.from({ length: 60 }, (_, at) => ({ name: `k${at}`, hash: `${at}`.padStart(64, "0") }));
  expect(() => asSecret(list)).toThrow(/bytes.*5120.*revoke/);
  expect(JSON.parse(asSecret(list.slice(0, 40)))).toHaveLength(40);
});

test.each([
  ["no list", { name: "a" }, /must be a list/],
  ["a key without its hash", [{ name: "alice" }], /alice.*hash/],
  ["a name twice", [1, 2].map((n) => ({ name: "a", hash: `${n}`.repeat(64) })), /name twice/],
])("%s is refused", (_, list, message) => {
  expect(() => checked(list)).toThrow(message);
});
