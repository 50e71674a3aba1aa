/** Login pass-through: on an upstream's own host, users get what upstream permits them, and it stays private to them. */
import { beforeEach, describe, expect, test } from "vitest";
import { basic, bearer } from "../access/keyed.ts";
import { behaviours, type Image, patternBytes } from "../support/fake-registry.ts";
import { type MirrorResponse, useMirror } from "../support/mirror.ts";

const ALICE = { username: "alice", password: "wonderland", repositories: ["alice/secret"] };
const BOB = { username: "bob", password: "builder", repositories: ["bob/secret"] };
const HOST = "ghcr.example.com";
const UPSTREAMS = { "ghcr.io": { login: true }, "docker.io": {} };
const SECRET = patternBytes(50_000, 7);
const CHALLENGE = `Bearer realm="https://${HOST}/_/token",service="${HOST}"`;

const mirror = useMirror({ DOMAIN: "example.com", UPSTREAMS });
let secret: Image;
let paths: string[];
let blob: string;

beforeEach(async () => {
  mirror.ghcr.settings.credentials = [ALICE, BOB];
  secret = await mirror.ghcr.addImage("alice/secret", "latest", { layers: [SECRET] });
  await mirror.ghcr.addImage("bob/secret", "latest", { layers: [patternBytes(100, 9)] });
  for (const name of ["alice/secret", "bob/secret"]) mirror.ghcr.setVisibility(name, "private");
  blob = `/v2/alice/secret/blobs/${secret.layers[0]?.digest}`;
  paths = [
    "/v2/alice/secret/manifests/latest",
    `/v2/alice/secret/manifests/${secret.target.digest}`,
    `/v2/alice/secret/blobs/${secret.configs[0]?.digest}`,
    blob,
    "/v2/alice/secret/tags/list",
  ];
});

async function tokenFor(
  login: { username: string; password: string } | null,
  query = "",
): Promise<MirrorResponse> {
  const headers = login ? basic(login.password, login.username) : {};
  return mirror.request(`/_/token${query}`, { host: HOST, headers });
}

/** Pulls as a client does: first a token for the repository, then the path. */
async function pull(
  login: typeof ALICE | null,
  path: string,
  init: RequestInit = {},
): Promise<MirrorResponse> {
  const repository = /^\/v2\/(.+)\/(?:manifests|blobs|tags|referrers)\//.exec(path)?.[1];
  const response = await tokenFor(login, `?service=${HOST}&scope=repository:${repository}:pull`);
  const headers = response.status === 200 ? bearer(response.json().token) : {};
  return mirror.request(path, { host: HOST, ...init, headers: { ...headers, ...init.headers } });
}

const statusOf = async (...requested: Parameters<typeof pull>) => (await pull(...requested)).status;

describe("docker login", () => {
  test("is challenged with the mirror's realm, has its login checked by upstream, and gets a token", async () => {
    const ping = await mirror.request("/v2/", { host: HOST });
    expect([ping.status, ping.headers.get("WWW-Authenticate")]).toEqual([401, CHALLENGE]);
    const response = await tokenFor(
      ALICE,
      `?account=alice&client_id=docker&offline_token=true&service=${HOST}`,
    );
    expect(response.status).toBe(200);
    expect(response.json().refresh_token).toBeUndefined();
    expect(
      (await mirror.request("/v2/", { host: HOST, headers: bearer(response.json().token) })).status,
    ).toBe(200);
  });

  test("with a wrong password is refused, by GET and by POST", async () => {
    expect((await tokenFor({ ...ALICE, password: "wrong" })).status).toBe(401);
    const form = (password: string) =>
      new URLSearchParams({ grant_type: "password", username: "alice", password });
    const post = (password: string) =>
      mirror.request("/_/token", { host: HOST, method: "POST", body: form(password) });
    expect([(await post("wrong")).status, (await post(ALICE.password)).status]).toEqual([401, 200]);
    expect((await mirror.request("/v2/", { host: HOST, headers: bearer("forged") })).status).toBe(401);
  });

  test("is requested by Basic where upstream uses Basic", async () => {
    mirror.ghcr.settings.auth = "basic";
    const ping = await mirror.request("/v2/", { host: HOST });
    expect(ping.headers.get("WWW-Authenticate")).toBe(`Basic realm="${HOST}"`);
    const login = (password: string) =>
      mirror.request("/v2/", { host: HOST, headers: basic(password, "alice") });
    expect([(await login("wrong")).status, (await login(ALICE.password)).status]).toEqual([401, 200]);
    const headers = basic(ALICE.password, "alice");
    expect((await mirror.request(blob, { host: HOST, headers })).bytes).toEqual(SECRET);
  });

  test("isn't requested an upstream without authentication, nor by a host without login pass-through", async () => {
    mirror.ghcr.settings.auth = "none";
    expect((await mirror.request("/v2/", { host: HOST })).status).toBe(200);
    for (const host of ["docker.example.com", "mirror.example.com"]) {
      expect((await mirror.request("/v2/", { host })).status).toBe(200);
      expect((await mirror.request("/_/token", { host, headers: basic("x") })).status).toBe(404);
    }
  });

  test("forwards the request's Via, so that mirrors that pass logins to each other detect the loop", async () => {
    const headers = { Via: "1.1 portolan-other", ...basic(ALICE.password, "alice") };
    await mirror.request("/v2/", { host: HOST, headers: { Via: "1.1 portolan-other" } });
    await mirror.request(`/_/token?service=${HOST}&scope=repository:alice/secret:pull`, {
      host: HOST,
      headers,
    });
    await mirror.request("/v2/", { host: HOST, headers });
    expect(mirror.ghcr.requests.map(({ kind }) => kind)).toEqual(["ping", "token", "ping"]);
    expect(new Set(mirror.ghcr.requests.map(({ headers: { via } }) => via))).toEqual(
      new Set([`1.1 portolan-other, ${mirror.services.via}`]),
    );
  });

  test("waits only briefly for an upstream that is down", async () => {
    mirror.ghcr.fail({ path: /./ }, { status: 503 });
    expect((await mirror.request("/v2/", { host: HOST })).status).toBe(401);
    expect((await tokenFor(ALICE)).status).toBe(503);
    expect((await mirror.request("/v2/", { host: HOST })).status).toBe(401);
    // Its challenge is requested once, and again only after a while.
    expect(mirror.ghcr.count({ path: /^\/v2\/$/ })).toBe(1);
    mirror.ghcr.clearFaults();
    mirror.recover();
    expect((await tokenFor(ALICE)).status).toBe(200);
  });
});

describe("a private image", () => {
  test("is pulled with its user's login, and from the store the next time", async () => {
    for (const path of paths) expect([path, await statusOf(ALICE, path)]).toEqual([path, 200]);
    const fetched = mirror.ghcr.count({ kind: "storage", method: "GET" });
    const response = await pull(ALICE, blob);
    expect(response.bytes).toEqual(SECRET);
    expect(response.headers.get("Cache-Status")).toBe("Portolan; hit; detail=store");
    expect(response.headers.get("Cache-Control")).toMatch(/^private,/);
    expect(mirror.ghcr.count({ kind: "storage", method: "GET" })).toBe(fetched);
  });

  test("isn't served to a user who may list its tags but not pull it", async () => {
    for (const path of paths) expect(await statusOf(ALICE, path)).toBe(200);
    mirror.ghcr.fail({ kind: "tags" }, { status: 200, body: '{"name":"alice/secret","tags":["latest"]}' });
    const token = await tokenFor(BOB, `?service=${HOST}&scope=repository:bob/secret:pull`);
    const asBob = (path: string, method = "GET") =>
      mirror.request(path, { host: HOST, method, headers: bearer(token.json().token) });
    expect((await asBob("/v2/alice/secret/tags/list")).status).toBe(200);
    for (const path of paths.filter((one) => !one.endsWith("tags/list"))) {
      for (const method of ["GET", "HEAD"]) {
        const { status } = await asBob(path, method);
        expect([path, method, status]).toEqual([path, method, 401]);
      }
    }
  });

  test("is served to no other client, cached or not: another user, anonymous, a forged token; at any host", async () => {
    for (const isStored of [false, true]) {
      if (isStored) for (const path of paths) expect(await statusOf(ALICE, path)).toBe(200);
      for (const path of paths) {
        for (const init of [{}, { method: "HEAD" }, { headers: { Range: "bytes=0-9" } }]) {
          const answers = [
            await pull(BOB, path, init),
            await pull(null, path, init),
            await mirror.request(path, {
              host: HOST,
              ...init,
              headers: { ...init.headers, ...bearer("forged") },
            }),
          ];
          for (const { status, headers, bytes } of answers) {
            expect([path, status, headers.get("WWW-Authenticate")]).toEqual([path, 401, CHALLENGE]);
            expect(bytes.byteLength).toBeLessThan(1000);
          }
          const elsewhere = await mirror.request(path.replace("/v2/", "/v2/ghcr.io/"), init);
          expect([path, elsewhere.status]).toEqual([path, 403]);
        }
      }
    }
  });

  test("can't be pulled through another repository, be it public or the user's own", async () => {
    for (const path of paths) await pull(ALICE, path);
    await mirror.ghcr.addImage("public/image", "latest");
    for (const [login, name] of [
      [BOB, "bob/secret"],
      [BOB, "public/image"],
      [ALICE, "public/image"],
    ] as const) {
      const path = `/v2/${name}/blobs/${secret.layers[0]?.digest}`;
      for (const method of ["GET", "HEAD"]) expect(await statusOf(login, path, { method })).toBe(404);
    }
  });

  test("is refused to its user once upstream denies it, also while upstream is down afterwards", async () => {
    for (const path of paths) await pull(ALICE, path);
    const token = bearer((await tokenFor(ALICE, "?scope=repository:alice/secret:pull")).json().token);
    mirror.ghcr.settings.credentials = [{ ...ALICE, repositories: [] }];
    mirror.clock.ahead += 5 * 60_000;
    for (const path of paths) {
      expect([path, (await mirror.request(path, { host: HOST, headers: token })).status]).toEqual([
        path,
        401,
      ]);
    }
    mirror.ghcr.fail({ path: /./ }, behaviours.tooManyRequests(60));
    for (const path of paths) {
      expect((await mirror.request(path, { host: HOST, headers: token })).status).toBe(429);
    }
  });

  test("is never filled by an alarm, which has no login: what the pull didn't store is fetched again", async () => {
    mirror.operations();
    const put = mirror.outage("STORE", "put");
    for (const path of paths) expect(await statusOf(ALICE, path)).toBe(200);
    put.mockRestore();
    const digest = secret.layers[0]?.digest ?? "";
    expect(await mirror.runAlarm(digest)).toBe(false);
    expect(await mirror.runAlarm(`links/ghcr.io/alice/secret/_/${digest.replace(":", "/")}`)).toBe(false);
    expect(await mirror.stored()).toEqual([]);
    // No Durable Object is involved: it would share responses between users.
    expect(mirror.operations()).toMatchObject({ leases: 0, resolutions: 0 });
  });
});

describe("a user's login", () => {
  test("and its tokens are sent to upstream and its realm only: never to storage or another upstream, and never stored", async () => {
    for (const path of paths) await pull(ALICE, path);
    for (const { host, kind, headers } of mirror.ghcr.requests) {
      if (kind === "storage") expect(headers.authorization).toBeUndefined();
      else expect(host).toBe("ghcr.io");
    }
    const stored = await mirror.stored();
    await mirror.docker.addImage("alice/secret", "latest");
    const headers = basic(ALICE.password, "alice");
    for (const path of ["/v2/docker.io/alice/secret/manifests/latest", "/v2/alice/secret/manifests/latest"]) {
      await mirror.request(path, { host: "docker.example.com", headers });
    }
    expect(JSON.stringify(mirror.docker.requests)).not.toContain(headers.Authorization);
    const names = JSON.stringify([await mirror.stored(), await mirror.bindings.TAGS.list()]);
    expect(names).not.toMatch(/alice:|wonderland|token-/);
    for (const key of stored) expect(key).toMatch(/^(private|links)\//);
  });

  test("isn't needed for public content, which is stored as public", async () => {
    await mirror.ghcr.addImage("public/image", "latest");
    const path = "/v2/public/image/manifests/latest";
    expect((await mirror.request(path, { host: HOST })).status).toBe(200);
    expect(await statusOf(ALICE, path)).toBe(200);
    for (const key of await mirror.stored()) expect(key).toMatch(/^manifests\//);
  });

  test("is ignored where no upstream has login pass-through", async () => {
    const headers = basic(ALICE.password, "alice");
    expect((await mirror.request(blob.replace("/v2/", "/v2/ghcr.io/"), { headers })).status).toBe(403);
    expect(JSON.stringify(mirror.ghcr.requests)).not.toContain(headers.Authorization);
  });
});
