/** Keys that the holder of ADMIN_KEY makes, at a mirror that was deployed with nothing else. */
import { beforeEach, describe, expect, test } from "vitest";
import { hashKey, KEY as SHAPE } from "../../src/access/keys.ts";
import { KEY_LIST } from "../../src/access/stored-keys.ts";
import { basic, bearer, KEY, KEYED, UNKNOWN } from "../access/keyed.ts";
import { type MirrorResponse, useMirror } from "../support/mirror.ts";

const ADMIN_KEY = "an-admin-key-of-more-than-32-characters";
const TAG = "/v2/library/demo/manifests/latest";
const OTHER = "/v2/ghcr.io/owner/app/manifests/latest";

type Mirror = ReturnType<typeof useMirror>;

function owner(mirror: Mirror) {
  return (method: string, path = "", body?: unknown): Promise<MirrorResponse> => {
    const text = body === undefined ? null : JSON.stringify(body);
    const headers = { ...bearer(ADMIN_KEY), "Content-Length": String(text?.length ?? 0) };
    return mirror.request(`/_/keys${path}`, { method, headers, body: text });
  };
}

describe("a mirror with an ADMIN_KEY alone, as the deploy button leaves it", () => {
  const mirror = useMirror({ ACCESS: undefined, ADMIN_KEY });
  const send = owner(mirror);
  const pull = async (key: string, path = TAG) =>
    (await mirror.request(path, { headers: basic(key) })).status;

  async function make(name: string, terms: object = {}): Promise<string> {
    const response = await send("POST", "", { name, ...terms });
    expect(response.status).toBe(201);
    expect(response.headers.get("Cache-Control")).toBe("no-store");
    return String(response.json().key);
  }

  async function names(): Promise<unknown[]> {
    const { keys } = (await send("GET")).json() as { keys: { name: string }[] };
    return keys.map(({ name }) => name);
  }

  beforeEach(async () => {
    await mirror.docker.addImage("library/demo", "latest");
    await mirror.ghcr.addImage("owner/app", "latest");
  });

  test("is closed and doesn't challenge until its first key is made, which opens it at once", async () => {
    const before = await mirror.request("/v2/");
    expect([before.status, before.headers.get("WWW-Authenticate")]).toEqual([403, null]);
    const key = await make("alice");
    expect(key).toMatch(SHAPE);
    expect(await pull(key)).toBe(200);
    expect(await pull(UNKNOWN)).toBe(401);
    const challenged = await mirror.request("/v2/");
    expect([challenged.status, challenged.headers.has("WWW-Authenticate")]).toEqual([401, true]);
  });

  test("the key is nowhere kept, and other isolates take it", async () => {
    const key = await make("alice");
    const stored = (await mirror.bindings.TAGS.get(KEY_LIST)) ?? "";
    expect(stored).toContain(await hashKey(key));
    expect(stored).not.toContain(key);
    expect(JSON.stringify((await send("GET")).json())).not.toContain(await hashKey(key));
    mirror.newIsolate();
    expect(await pull(key)).toBe(200);
  });

  test("a revoked key ends with its tokens, and the mirror is closed again after the last one", async () => {
    const [alice, bob] = [await make("alice"), await make("bob")];
    const { token } = (await mirror.request("/_/token", { headers: basic(alice) })).json();
    const withToken = async () => (await mirror.request(TAG, { headers: bearer(token) })).status;
    expect(await withToken()).toBe(200);
    expect((await send("DELETE", "/alice")).status).toBe(204);
    expect([await pull(alice), await withToken(), await pull(bob)]).toEqual([401, 401, 200]);
    mirror.newIsolate();
    expect([await pull(alice), await withToken(), await pull(bob)]).toEqual([401, 401, 200]);
    await send("DELETE", "/bob");
    expect((await mirror.request("/v2/")).status).toBe(403);
  });

  test("a narrowed key opens less with the same value, and a rotated one the same with another", async () => {
    const key = await make("ci");
    expect([await pull(key), await pull(key, OTHER)]).toEqual([200, 200]);
    expect((await send("PUT", "/ci", { allow: ["docker.io/*"] })).status).toBe(204);
    expect([await pull(key), await pull(key, OTHER)]).toEqual([200, 403]);
    const rotated = await send("POST", "/ci/rotate", {});
    expect(rotated.status).toBe(200);
    const next = String(rotated.json().key);
    expect([await pull(key), await pull(next), await pull(next, OTHER)]).toEqual([401, 200, 403]);
  });

  test("its terms are listed as they were given", async () => {
    const terms = {
      ...{ allow: ["docker.io/*"], deny: ["docker.io/x/*"], push: ["hosted/a/*"], delete: ["hosted/b/*"] },
      ...{ expires: "2100-01-31T00:00:00.000Z", rate: 60 },
    };
    await make("ci", terms);
    expect((await send("GET")).json()).toEqual({ keys: [{ name: "ci", ...terms, from: "mirror" }] });
  });

  test("an expired key opens nothing", async () => {
    const expires = new Date(Date.now() + 60_000).toISOString();
    const key = await make("short", { expires });
    expect(await pull(key)).toBe(200);
    mirror.clock.ahead += 61_000;
    expect(await pull(key)).toBe(401);
  });

  test("changes at the same moment don't lose each other", async () => {
    await Promise.all(["a", "b", "c"].map((name) => make(name)));
    expect((await names()).sort()).toEqual(["a", "b", "c"]);
    const stored = JSON.parse((await mirror.bindings.TAGS.get(KEY_LIST)) ?? "[]");
    expect(stored).toHaveLength(3);
  });

  test("a copy in KV that is out of date doesn't bring a revoked key back", async () => {
    const alice = await make("alice");
    const former = (await mirror.bindings.TAGS.get(KEY_LIST)) ?? "";
    await send("DELETE", "/alice");
    await mirror.bindings.TAGS.put(KEY_LIST, former);
    await make("bob");
    mirror.newIsolate();
    expect(await pull(alice)).toBe(401);
    expect(await names()).toEqual(["bob"]);
  });

  test("a change that KV doesn't take isn't made", async () => {
    const alice = await make("alice");
    const outage = mirror.outage("TAGS", "put");
    const failed = await send("DELETE", "/alice");
    expect([failed.status, failed.headers.get("Retry-After")]).toEqual([503, "2"]);
    outage.mockRestore();
    expect([await names(), await pull(alice)]).toEqual([["alice"], 200]);
    expect((await send("DELETE", "/alice")).status).toBe(204);
    expect(await pull(alice)).toBe(403);
  });

  test("a key where none belongs is refused before it could go upstream", async () => {
    const key = await make("alice");
    mirror.docker.reset();
    const response = await mirror.request(`/v2/library/${key}/manifests/latest`, { headers: basic(key) });
    expect(response.status).toBe(404);
    expect(mirror.docker.requests).toEqual([]);
  });

  test.each<[string, string, string, unknown, number]>([
    ["a name twice", "POST", "", { name: "alice" }, 409],
    ["a name that isn't one", "POST", "", { name: "a b" }, 400],
    ["no name", "POST", "", {}, 400],
    ["a pattern that can't match", "POST", "", { name: "b", allow: ["https://x"] }, 400],
    ["an end in the past", "POST", "", { name: "b", expires: "2020-01-01T00:00:00Z" }, 400],
    ["a rate of none", "POST", "", { name: "b", rate: 0 }, 400],
    ["a member that isn't known", "POST", "", { name: "b", hash: "0".repeat(64) }, 400],
    ["no object", "POST", "", [], 400],
    ["other terms for a key that isn't there", "PUT", "/unknown", {}, 404],
    ["a rotation of one", "POST", "/unknown/rotate", {}, 404],
    ["a revocation of one", "DELETE", "/unknown", undefined, 404],
  ])("%s is refused and changes nothing", async (_, method, path, body, status) => {
    await make("alice");
    const { TAGS } = mirror.bindings;
    const before = await TAGS.get(KEY_LIST);
    expect((await send(method, path, body)).status).toBe(status);
    expect(await TAGS.get(KEY_LIST)).toBe(before);
  });

  test.each([
    ["GET", ""],
    ["POST", ""],
    ["PUT", "/alice"],
    ["POST", "/alice/rotate"],
    ["DELETE", "/alice"],
  ])("%s /_/keys%s takes the ADMIN_KEY, for which no access key stands", async (method, path) => {
    const key = await make("alice");
    for (const headers of [{}, basic(ADMIN_KEY), bearer(key), basic(key), bearer(`${ADMIN_KEY}x`)]) {
      const init = { method, headers: { ...headers, "Content-Length": "2" } };
      const body = method === "GET" ? null : "{}";
      expect((await mirror.request(`/_/keys${path}`, { ...init, body })).status).toBe(401);
    }
    expect(await pull(key)).toBe(200);
  });
});

describe("beside ACCESS_KEYS", () => {
  const mirror = useMirror({ ...KEYED, ADMIN_KEY });
  const send = owner(mirror);

  test("a configured key never waits for KV, and counts while KV fails; others are refused with 503", async () => {
    await mirror.docker.addImage("library/demo", "latest");
    const made = (await send("POST", "", { name: "made" })).json();
    await mirror.request(TAG, { headers: basic(KEY) });
    mirror.operations();
    mirror.clock.ahead += 60_000;
    expect((await mirror.request("/v2/", { headers: basic(KEY) })).status).toBe(200);
    expect(mirror.operations().kvReads).toBe(0);
    mirror.newIsolate();
    const outage = mirror.outage("TAGS", "get");
    expect((await mirror.request("/v2/", { headers: basic(KEY) })).status).toBe(200);
    const other = await mirror.request("/v2/", { headers: basic(String(made.key)) });
    expect([other.status, other.headers.get("Retry-After")]).toEqual([503, "5"]);
    outage.mockRestore();
  });

  test("both are listed, and the configured ones can't be changed from here", async () => {
    await send("POST", "", { name: "made" });
    const { keys } = (await send("GET")).json() as { keys: { name: string; from: string }[] };
    expect(keys.map(({ name, from }) => `${name} ${from}`)).toEqual([
      ...["all", "narrow", "expired", "slow"].map((name) => `${name} configured`),
      "made mirror",
    ]);
    expect((await send("DELETE", "/all")).status).toBe(409);
    expect((await send("POST", "", { name: "all" })).status).toBe(409);
    expect((await mirror.request("/v2/", { headers: basic(KEY) })).status).toBe(200);
  });
});

describe("where keys can't count", () => {
  const open = useMirror({ ADMIN_KEY });

  test("an open mirror makes none, and says why", async () => {
    const response = await owner(open)("POST", "", { name: "alice" });
    expect(response.status).toBe(409);
    expect(JSON.stringify(response.json())).toContain("open to everyone");
  });
});

describe("without a secret to sign with", () => {
  const mirror = useMirror({ ACCESS: undefined });

  test("a list in KV opens nothing", async () => {
    const list = [{ name: "alice", hash: await hashKey(KEY) }];
    await mirror.bindings.TAGS.put(KEY_LIST, JSON.stringify(list));
    mirror.newIsolate();
    expect((await mirror.request("/v2/", { headers: basic(KEY) })).status).toBe(403);
    expect((await mirror.request("/_/token", { headers: basic(KEY) })).status).toBe(403);
  });
});
