/** Closed by default: the responses of a mirror that isn't configured as open. */
import { beforeEach, describe, expect, test } from "vitest";
import { readConfig } from "../../src/config.ts";
import { useMirror } from "../support/mirror.ts";
import { basic, KEY, KEYED } from "./keyed.ts";

const { ACCESS: _, ...keys } = KEYED;

describe("access configuration", () => {
  test.each<[string, object, "open" | "keys"]>([
    ["deployed without a word", {}, "keys"],
    ["deployed with keys and no ACCESS, as `wrangler deploy` does", keys, "keys"],
    ["on loopback, as `npm start` says", { LOOPBACK: true }, "open"],
    ["on loopback, as text", { LOOPBACK: "true" }, "open"],
    ["on loopback with keys", { ...keys, LOOPBACK: true }, "keys"],
    ["on loopback for keys", { LOOPBACK: true, ACCESS: "keys" }, "keys"],
    ["explicitly open", { ACCESS: "open" }, "open"],
    ["explicitly open in spite of keys", { ...keys, ACCESS: "open" }, "open"],
  ])("%s", (_, env, access) => expect(readConfig(env).access).toBe(access));

  test.each(["false", false, "yes", "127.0.0.1", 1, ""])("LOOPBACK can't be %j", (LOOPBACK) => {
    expect(() => readConfig({ LOOPBACK })).toThrow("LOOPBACK");
  });

  test("PRIVATE needs no ACCESS, since the mirror is closed", () => {
    expect(readConfig({ ...keys, PRIVATE: "ghcr.io/owner/*" }).access).toBe("keys");
    expect(() => readConfig({ LOOPBACK: true, PRIVATE: "ghcr.io/owner/*" })).toThrow("PRIVATE");
  });
});

describe("a deployment without ACCESS and without keys", () => {
  const mirror = useMirror({ ACCESS: undefined });

  beforeEach(async () => {
    await mirror.docker.addImage("library/demo", "latest");
  });

  test.each<[string, RequestInit]>([
    ["without a login", {}],
    ["with one", { headers: basic(KEY) }],
  ])("serves nothing, sends no challenge, and says what to do: %s", async (_, init) => {
    for (const path of ["/v2/", "/v2/library/demo/manifests/latest", `/${KEY}/v2/`, "/_/token", "/nothing"]) {
      const response = await mirror.request(path, init);
      expect([path, response.status, response.headers.get("WWW-Authenticate")]).toEqual([path, 403, null]);
      const { errors } = response.json() as { errors: { code: string; message: string }[] };
      expect(errors[0]?.code).toBe("DENIED");
      for (const way of ["key add NAME", "npm run deploy", "--open"])
        expect(errors[0]?.message).toContain(way);
    }
    expect(mirror.docker.requests).toEqual([]);
  });

  test("says so on its page, and is healthy", async () => {
    expect(new TextDecoder().decode((await mirror.request("/")).bytes)).toContain("key add NAME");
    expect((await mirror.request("/_/health")).status).toBe(200);
  });
});

describe("a deployment with keys and without ACCESS", () => {
  const mirror = useMirror({ ...keys, ACCESS: undefined });

  test("serves the holders of those keys only", async () => {
    await mirror.docker.addImage("library/demo", "latest");
    const path = "/v2/library/demo/manifests/latest";
    expect((await mirror.request(path)).status).toBe(401);
    expect((await mirror.request(path, { headers: basic(KEY) })).status).toBe(200);
  });
});
