/** A keyed mirror: holders of keys get what their keys permit, and other clients learn nothing. */
import { beforeEach, describe, expect, test, vi } from "vitest";
import type { Image } from "../support/fake-registry.ts";
import { type MirrorResponse, useMirror } from "../support/mirror.ts";
import { basic, bearer, EXPIRED, KEY, KEYED, NARROW, SLOW, UNKNOWN } from "./keyed.ts";

const mirror = useMirror(KEYED);
const TAG = "/v2/library/demo/manifests/latest";
const CHALLENGE = 'Bearer realm="https://mirror.test/_/token",service="mirror.test"';
let image: Image;

beforeEach(async () => {
  image = await mirror.docker.addImage("library/demo", "latest");
});

const pulled = async (path: string, init: Parameters<typeof mirror.request>[1]) =>
  (await mirror.request(path, init)).status;

function token(query = "", headers: Record<string, string> = basic(KEY)): Promise<MirrorResponse> {
  return mirror.request(`/_/token${query}`, { headers });
}

function post(form: Record<string, string>): Promise<MirrorResponse> {
  return mirror.request("/_/token", { method: "POST", body: new URLSearchParams(form) });
}

describe("without a key", () => {
  const paths = () => [
    "/v2/",
    TAG,
    `/v2/library/demo/blobs/${image.layers[0]?.digest}`,
    "/v2/library/demo/tags/list",
    `/v2/library/demo/referrers/${image.target.digest}`,
    "/v2/library/nowhere/manifests/latest",
    "/v2/unknown.example.org/a/manifests/latest",
    "/v2/library/demo/blobs/nonsense",
    "/ghcr.io/v2/owner/image/manifests/latest",
    "/nothing/at/all",
  ];

  test.each(["GET", "HEAD"])("every path gets the same challenge: %s", async (method) => {
    // Also once all of it is cached.
    await mirror.request(TAG, { headers: basic(KEY) });
    mirror.docker.reset();
    for (const path of paths()) {
      const { status, headers } = await mirror.request(path, { method });
      expect([path, status, headers.get("WWW-Authenticate")]).toEqual([path, 401, CHALLENGE]);
      expect(headers.get("Cache-Status")).toBeNull();
    }
    expect(mirror.docker.requests).toEqual([]);
  });

  test("the challenge names the requested host only, with https if a proxy in front says so", async () => {
    const forged = {
      "X-Forwarded-Host": "evil.example.org",
      Forwarded: "host=evil.example.org;proto=http",
      "X-Forwarded-Proto": "http",
      "X-Original-URL": "/evil",
    };
    expect((await mirror.request("/v2/", { headers: forged })).headers.get("WWW-Authenticate")).toBe(
      CHALLENGE,
    );
    const { headers } = await mirror.request("/v2/", { host: "docker.example.com" });
    expect(headers.get("WWW-Authenticate")).toBe(
      'Bearer realm="https://docker.example.com/_/token",service="docker.example.com"',
    );
  });

  test("the pages are served, and contain no secrets", async () => {
    for (const path of ["/", "/_/health", "/robots.txt"]) expect(await pulled(path, {})).toBe(200);
  });

  test.each<[string, Record<string, string>]>([
    ["a key that isn't valid", basic(UNKNOWN)],
    ["a key that has expired", basic(EXPIRED)],
    ["the empty login of podman", { Authorization: "Basic Og==" }],
    ["a key as the user name alone", basic("", KEY)],
    ["a key with something behind it", basic(`${KEY}x`)],
    ["a key in upper case", basic(KEY.toUpperCase())],
    ["the hash of a key", bearer("ab".repeat(32))],
    ["a bare key", { Authorization: KEY }],
  ])("%s is as good as none", async (_, headers) => {
    expect(await pulled(TAG, { headers })).toBe(401);
    expect(await pulled("/v2/", { headers })).toBe(401);
    expect((await token("", headers)).status).toBe(401);
  });
});

describe("with a key", () => {
  test.each<[string, string, Parameters<typeof mirror.request>[1]]>([
    ["as the password", TAG, { headers: basic(KEY) }],
    ["as a bearer token", TAG, { headers: bearer(KEY) }],
    ["in the host", TAG, { host: `docker-${KEY}.example.com` }],
    ["in the path", `/${KEY}/docker.io${TAG}`, {}],
    ["in the path, the upstream behind v2", `/${KEY}/v2/docker.io/library/demo/manifests/latest`, {}],
  ])("%s it is pulled", async (_, path, init) => {
    const response = await mirror.request(path, init);
    expect([response.status, response.headers.get("Docker-Content-Digest")]).toEqual([
      200,
      image.target.digest,
    ]);
  });

  test("no shared cache may store responses that required it", async () => {
    for (const path of [TAG, `/v2/library/demo/blobs/${image.layers[0]?.digest}`]) {
      const { headers } = await mirror.request(path, { headers: basic(KEY) });
      expect(headers.get("Cache-Control")).toMatch(/^private,/);
    }
  });

  test("the Link of a tags list keeps the key of the path", async () => {
    for (const tag of ["a", "b", "c"]) mirror.docker.moveTag("library/demo", tag, image.target.digest);
    const { headers } = await mirror.request(`/${KEY}/docker.io/v2/library/demo/tags/list?n=2`);
    expect(headers.get("Link")).toBe(`</${KEY}/docker.io/v2/library/demo/tags/list?n=2&last=b>; rel="next"`);
  });

  test("it never reaches upstream, the store, the tag records, or the log", async () => {
    const spies = (["log", "warn", "error"] as const).map((name) =>
      vi.spyOn(console, name).mockImplementation(() => {}),
    );
    for (const [path, init] of [
      [TAG, { headers: basic(KEY) }],
      [`/${KEY}/docker.io/v2/library/demo/blobs/${image.layers[0]?.digest}`, {}],
      [`/v2/library/demo/tags/list?n=1&x=1`, { host: `docker-${KEY}.example.com` }],
      [`/${KEY}/docker.io/v2/library/nowhere/manifests/latest`, {}],
      [`/${KEY}/docker.io/v2/UPPER/manifests/latest`, {}],
    ] as const) {
      const response = await mirror.request(path, init);
      if (response.status !== 200) expect(new TextDecoder().decode(response.bytes)).not.toContain(KEY);
      expect(response.headers.get("Cache-Status") ?? "").not.toContain(KEY);
    }
    expect(JSON.stringify(mirror.docker.requests)).not.toContain(KEY);
    expect(JSON.stringify(await mirror.stored())).not.toContain(KEY);
    expect(JSON.stringify(await mirror.bindings.TAGS.list())).not.toContain(KEY);
    const written = spies.flatMap((spy) => spy.mock.calls);
    expect(written.length).toBeGreaterThan(0);
    expect(JSON.stringify(written)).not.toContain(KEY);
  });
});

describe("a key that is limited", () => {
  test("to patterns permits those, and nothing else: manifests, blobs, tags, referrers", async () => {
    const headers = basic(NARROW);
    await mirror.docker.addImage("library/secret", "latest");
    await mirror.ghcr.addImage("owner/image", "latest");
    expect(await pulled(TAG, { headers })).toBe(200);
    // Also where all of it is cached after another client's pull.
    for (const name of ["library/secret", "ghcr.io/owner/image"]) {
      await mirror.request(`/v2/${name}/manifests/latest`, { headers: basic(KEY) });
      const { digest } = image.target;
      for (const rest of [
        "manifests/latest",
        `manifests/${digest}`,
        `blobs/${digest}`,
        "tags/list",
        `referrers/${digest}`,
      ]) {
        for (const method of ["GET", "HEAD"]) {
          expect([rest, await pulled(`/v2/${name}/${rest}`, { headers, method })]).toEqual([rest, 403]);
        }
      }
    }
  });

  test("to a rate gets Retry-After", async () => {
    const headers = basic(SLOW);
    expect(await pulled(TAG, { headers })).toBe(200);
    const response = await mirror.request(TAG, { headers });
    expect([response.status, response.headers.get("Retry-After")]).toEqual([429, "60"]);
    expect(response.json()).toMatchObject({ errors: [{ code: "TOOMANYREQUESTS" }] });
    expect(await pulled(TAG, { headers: basic(KEY) })).toBe(200);
  });
});

describe("the token endpoint", () => {
  test.each([
    "",
    "?service=mirror.test&account=portolan",
    "?scope=repository:library/demo:pull&service=mirror.test",
    "?scope=repository:library/demo:pull&scope=repository:library/other:pull",
    "?scope=repository:library/demo:pull,push%20repository:library/other:pull",
  ])("gives a token that pulls, whatever the scopes: %s", async (query) => {
    const response = await token(query);
    expect([response.status, response.headers.get("Cache-Control")]).toEqual([200, "no-store"]);
    const { token: given, access_token, expires_in, issued_at } = response.json();
    expect(access_token).toBe(given);
    expect(expires_in).toBeGreaterThanOrEqual(60);
    expect(Date.parse(String(issued_at))).toBeGreaterThan(0);
    for (const path of ["/v2/", TAG]) expect(await pulled(path, { headers: bearer(given) })).toBe(200);
  });

  test.each<[string, () => Promise<MirrorResponse>]>([
    ["GET", () => token("", {})],
    ["GET with podman's empty login", () => token("", { Authorization: "Basic Og==" })],
    ["POST", () => post({ grant_type: "password", username: "", password: "" })],
  ])("tells an anonymous client that a key is needed, and how to log in: %s", async (_, send) => {
    const response = await send();
    const { errors } = response.json() as { errors: { code: string; message: string }[] };
    expect([response.status, errors[0]?.code]).toEqual([401, "UNAUTHORIZED"]);
    expect(errors[0]?.message).toBe(
      "this mirror needs an access key: log in with any user name and the key as the password",
    );
  });

  test("issues one that permits no more than its key", async () => {
    const given = (await token("?scope=repository:ghcr.io/owner/image:pull", basic(NARROW))).json().token;
    await mirror.ghcr.addImage("owner/image", "latest");
    expect(await pulled("/v2/ghcr.io/owner/image/manifests/latest", { headers: bearer(given) })).toBe(403);
  });

  test("issues one that is valid at its own host only", async () => {
    const given = (await token()).json().token;
    expect(await pulled(TAG, { headers: bearer(given), host: "other.test" })).toBe(401);
  });

  test.each([
    ["GET", () => token("", {})],
    ["POST", () => post({ grant_type: "password" })],
  ])(
    "answers a %s without a login that a key is needed, and one with a wrong key that it is wrong",
    async (_, anonymous) => {
      const response = await anonymous();
      expect(response.status).toBe(401);
      expect(response.json().errors).toMatchObject([
        { message: expect.stringContaining("needs an access key: log in") },
      ]);
      const wrong = await token("", basic("x".repeat(32)));
      expect(wrong.json().errors).toMatchObject([{ message: expect.stringContaining("isn't valid") }]);
    },
  );

  test("accepts a password by POST, and issues a refresh token on request", async () => {
    const plain = await post({
      grant_type: "password",
      username: "x",
      password: KEY,
      service: "mirror.test",
      client_id: "c",
    });
    expect(plain.json().refresh_token).toBeUndefined();
    const offline = await post({
      grant_type: "password",
      username: "x",
      password: KEY,
      access_type: "offline",
    });
    const { refresh_token } = offline.json();
    const renewed = await post({
      grant_type: "refresh_token",
      refresh_token: String(refresh_token),
      scope: "repository:library/demo:pull",
    });
    expect(await pulled(TAG, { headers: bearer(renewed.json().access_token) })).toBe(200);
    expect(renewed.json().refresh_token).toBe(refresh_token);
    // A refresh token can't pull.
    expect(await pulled(TAG, { headers: bearer(refresh_token) })).toBe(401);
    const byGet = (await token("?offline_token=true")).json().refresh_token;
    expect((await post({ grant_type: "refresh_token", refresh_token: String(byGet) })).status).toBe(200);
  });

  test.each<[number, Record<string, string>]>([
    [401, { grant_type: "password", username: "x", password: UNKNOWN }],
    [401, { grant_type: "password" }],
    [401, { grant_type: "refresh_token", refresh_token: KEY }],
    [401, { grant_type: "refresh_token" }],
    [400, { grant_type: "client_credentials" }],
    [400, {}],
    [413, { grant_type: "password", username: "x".repeat(9000), password: KEY }],
  ])("answers %i for %j", async (status, form) => {
    const response = await post(form);
    expect(response.status).toBe(status);
    expect(response.json()).toMatchObject({ errors: [{ code: expect.any(String) }] });
    expect(new TextDecoder().decode(response.bytes)).not.toContain(UNKNOWN);
  });

  test("issues nothing to another method, and nothing at all on an open mirror", async () => {
    expect(await pulled("/_/token", { method: "PUT", headers: basic(KEY) })).toBe(405);
  });
});
