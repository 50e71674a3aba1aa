/** Tokens: an issued token permits what its key permits, and a forged one nothing. */
import { sign } from "hono/jwt";
import { beforeEach, describe, expect, test } from "vitest";
import { KeyRing } from "../../src/access/key-ring.ts";
import type { AccessKey } from "../../src/access/keys.ts";
import { NO_MORE_KEYS } from "../../src/access/stored-keys.ts";
import { AccessTokens, LIFETIME } from "../../src/access/tokens.ts";

const SECRET = "s".repeat(32);
const HOST = "mirror.example.com";
const KEY: AccessKey = {
  name: "ci",
  hash: "ab".repeat(32),
  allow: [],
  deny: [],
  push: [],
  delete: [],
  expires: null,
  rate: null,
};

let now: number;
beforeEach(() => {
  now = Date.UTC(2026, 0, 1);
});

function tokens(keys: readonly AccessKey[] = [KEY], secret = SECRET): AccessTokens {
  return new AccessTokens({ secret, keys: new KeyRing(keys, NO_MORE_KEYS, () => now), now: () => now });
}

function claims(changes: object = {}) {
  const iat = Math.floor(now / 1000);
  return { iss: "portolan", aud: HOST, sub: KEY.hash, use: "pull", iat, exp: iat + 60, ...changes };
}

test("a token grants its key's access until it expires", async () => {
  const { token } = await tokens().issue(KEY, HOST, "pull");
  now += LIFETIME.pull * 1000 - 1;
  expect(await tokens().keyOf(token, HOST, "pull")).toBe(KEY);
  now += 1;
  expect(await tokens().keyOf(token, HOST, "pull")).toBeNull();
});

test("a token never outlives its key", async () => {
  const brief = { ...KEY, expires: now + 60_000 };
  const { token, expiresIn } = await tokens([brief]).issue(brief, HOST, "pull");
  expect(expiresIn).toBe(60);
  now += 60_000;
  expect(await tokens([{ ...brief, expires: null }]).keyOf(token, HOST, "pull")).toBeNull();
});

test("revoking a key revokes its tokens", async () => {
  const { token } = await tokens().issue(KEY, HOST, "refresh");
  expect(await tokens([{ ...KEY, hash: "cd".repeat(32) }]).keyOf(token, HOST, "refresh")).toBeNull();
});

test("a pull token can't be refreshed, and a refresh token can't pull", async () => {
  expect(await tokens().keyOf((await tokens().issue(KEY, HOST, "pull")).token, HOST, "refresh")).toBeNull();
  expect(await tokens().keyOf((await tokens().issue(KEY, HOST, "refresh")).token, HOST, "pull")).toBeNull();
});

describe("a forged token grants nothing", () => {
  const encode = (value: object) =>
    btoa(JSON.stringify(value)).replace(/=+$/, "").replaceAll("+", "-").replaceAll("/", "_");

  test("the genuine one it imitates does", async () => {
    expect(await tokens().keyOf(await sign(claims(), SECRET, "HS256"), HOST, "pull")).toBe(KEY);
  });

  test.each<[string, () => Promise<string> | string]>([
    ["signed by another", () => sign(claims(), "t".repeat(32), "HS256")],
    ["without a signature", () => `${encode({ alg: "none", typ: "JWT" })}.${encode(claims())}.`],
    [
      "with alg none and a signature",
      async () => {
        const [, payload, signature] = (await sign(claims(), SECRET, "HS256")).split(".");
        return `${encode({ alg: "none", typ: "JWT" })}.${payload}.${signature}`;
      },
    ],
    ["signed by another algorithm", () => sign(claims(), SECRET, "HS512")],
    [
      "with another payload under a valid signature",
      async () => {
        const [header, , signature] = (await sign(claims(), SECRET, "HS256")).split(".");
        return `${header}.${encode(claims({ exp: claims().exp + 1 }))}.${signature}`;
      },
    ],
    ["for another mirror", () => sign(claims({ aud: "other.example.com" }), SECRET, "HS256")],
    ["for any mirror", () => sign({ ...claims(), aud: undefined } as never, SECRET, "HS256")],
    ["of another issuer", () => sign(claims({ iss: "else" }), SECRET, "HS256")],
    ["that never ends", () => sign({ ...claims(), exp: undefined } as never, SECRET, "HS256")],
    ["that ends in words", () => sign(claims({ exp: "never" }) as never, SECRET, "HS256")],
    ["of no key", () => sign({ ...claims(), sub: undefined }, SECRET, "HS256")],
    ["that is nonsense", () => "a.b.c"],
    ["that is empty", () => ""],
  ])("%s", async (_, forge) => {
    expect(await tokens().keyOf(await forge(), HOST, "pull")).toBeNull();
  });
});
