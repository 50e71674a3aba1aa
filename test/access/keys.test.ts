import { describe, expect, test } from "vitest";
import { KeyRing } from "../../src/access/key-ring.ts";
import { type AccessKey, findHash, generateKey, hashKey, KEY } from "../../src/access/keys.ts";
import { NO_MORE_KEYS } from "../../src/access/stored-keys.ts";

const findKey = (keys: readonly AccessKey[], shown: string, now: number) =>
  new KeyRing(keys, NO_MORE_KEYS, () => now).find(shown);

const NOW = Date.UTC(2026, 0, 1);

async function keyOf(key: string, expires: number | null = null): Promise<AccessKey> {
  return {
    name: "ci",
    hash: await hashKey(key),
    allow: [],
    deny: [],
    push: [],
    delete: [],
    expires,
    rate: null,
  };
}

describe("a generated key", () => {
  test("fits in a host label beside the longest built-in upstream's name, and is unique", () => {
    const keys = Array.from({ length: 50 }, generateKey);
    for (const key of keys) {
      expect(key).toMatch(KEY);
      expect(`registry-opensuse-org-${key}`.length).toBeLessThanOrEqual(63);
    }
    expect(new Set(keys).size).toBe(50);
  });

  test("uses all of its alphabet", () => {
    expect(new Set(Array.from({ length: 50 }, generateKey).join("")).size).toBe(32);
  });
});

describe("looking up a key", () => {
  test("finds it among others", async () => {
    const [mine, other] = [generateKey(), generateKey()];
    const keys = [await keyOf(other), await keyOf(mine)];
    expect(await findKey(keys, mine, NOW)).toBe(keys[1]);
    expect(await findKey(keys, generateKey(), NOW)).toBeNull();
  });

  test.each(["", ":", "a".repeat(31), "A".repeat(32), `${"a".repeat(32)} `, "1".repeat(32), "ä".repeat(32)])(
    "finds none for an invalid one: %j",
    async (shown) => {
      const keys = [{ ...(await keyOf("a".repeat(32))), hash: await hashKey(shown) }];
      expect(await findKey(keys, shown, NOW)).toBeNull();
    },
  );

  test("honours its expiry to the millisecond", async () => {
    const key = generateKey();
    const keys = [await keyOf(key, NOW)];
    expect(await findKey(keys, key, NOW - 1)).toBe(keys[0]);
    expect(await findKey(keys, key, NOW)).toBeNull();
  });

  test("doesn't accept a part of a hash", async () => {
    const keys = [await keyOf(generateKey())];
    const hash = keys[0]?.hash ?? "";
    for (const wrong of ["", hash.slice(0, 63), `${hash}0`, hash.toUpperCase()]) {
      expect(findHash(keys, wrong, NOW)).toBeNull();
    }
    expect(findHash(keys, hash, NOW)).toBe(keys[0]);
  });
});
