/** Tokens: what is issued opens what its key opens, and nothing that isn't issued opens anything. */
import { sign } from "hono/jwt";
import { beforeEach, describe, expect, test } from "vitest";
import type { AccessKey } from "../../src/access/keys.ts";
import { AccessTokens, LIFETIME } from "../../src/access/tokens.ts";

const SECRET = "s".repeat(32);
const HOST = "mirror.example.com";
const KEY: AccessKey = { name: "ci", hash: "ab".repeat(32), allow: [], deny: [], expires: null, rate: null };

let now: number;
beforeEach(() => {
  now = Date.UTC(2026, 0, 1);
});

function tokens(keys: readonly AccessKey[] = [KEY], secret = SECRET): AccessTokens {
  return new AccessTokens({ secret, keys, now: () => now });
}

function claims(changes: object = {}) {
  const iat = Math.floor(now / 1000);
  return { iss: "portolan", aud: HOST, sub: KEY.hash, use: "pull", iat, exp: iat + 60, ...changes };
}

test("a token stands for its key until it ends", async () => {
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

test("a key that is revoked takes its tokens along", async () => {
  const { token } = await tokens().issue(KEY, HOST, "refresh");
  expect(await tokens([{ ...KEY, hash: "cd".repeat(32) }]).keyOf(token, HOST, "refresh")).toBeNull();
});

test("a token for pulling gets no others, and one for getting others doesn't pull", async () => {
  expect(await tokens().keyOf((await tokens().issue(KEY, HOST, "pull")).token, HOST, "refresh")).toBeNull();
  expect(await tokens().keyOf((await tokens().issue(KEY, HOST, "refresh")).token, HOST, "pull")).toBeNull();
});

describe("a forged token opens nothing", () => {
  const encode = (value: object) =>
    btoa(JSON.stringify(value)).replace(/=+$/, "").replaceAll("+", "-").replaceAll("/", "_");

  test("the one it is made after does", async () => {
    expect(await tokens().keyOf(await sign(claims(), SECRET, "HS256"), HOST, "pull")).toBe(KEY);
  });

  test.each<[string, () => Promise<string> | string]>([
    ["signed by another", () => sign(claims(), "t".repeat(32), "HS256")],
    ["without a signature", () => `${encode({ alg: "none", typ: "JWT" })}.${encode(claims())}.`],
    [
      "that says alg none and is signed",
      async () => {
        const [, payload, signature] = (await sign(claims(), SECRET, "HS256")).split(".");
        return `${encode({ alg: "none", typ: "JWT" })}.${payload}.${signature}`;
      },
    ],
    ["signed by another algorithm", () => sign(claims(), SECRET, "HS512")],
    [
      "of another payload under a right signature",
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
