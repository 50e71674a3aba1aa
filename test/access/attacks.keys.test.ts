/** Attempts to leak keys, to forge tokens, and to get content without a key. */
import { sign } from "hono/jwt";
import { describe, expect, test } from "vitest";
import { ALICE, LOGIN_HOST, useAttackScene } from "./attack-scene.ts";
import { basic, bearer, EXPIRED, KEY, KEYED, NARROW, UNKNOWN } from "./keyed.ts";

const scene = useAttackScene();
const { mirror, pull, everythingSent } = scene;

describe("a key", () => {
  const positions: [string, string, RequestInit & { host?: string }][] = [
    ["twice in the path", `/${KEY}/${KEY}/v2/library/demo/manifests/latest`, {}],
    [
      "in the host and the path",
      `/${KEY}/v2/library/demo/manifests/latest`,
      { host: `docker-${KEY}.example.com` },
    ],
    [
      "in the host, another in the path",
      `/${NARROW}/v2/library/demo/manifests/latest`,
      { host: `docker-${KEY}.example.com` },
    ],
    [
      "after v2, as podman would send it",
      `/v2/${KEY}/docker.io/library/demo/manifests/latest`,
      { headers: basic(KEY) },
    ],
    ["at the end of a repository", `/${KEY}/v2/library/${KEY}/manifests/latest`, {}],
    ["as a tag", `/${KEY}/v2/library/demo/manifests/${KEY}`, {}],
    ["an expired one as a name", `/${KEY}/v2/${EXPIRED}/demo/manifests/latest`, {}],
    ["as ns", `/v2/library/demo/manifests/latest?ns=${KEY}`, { headers: basic(KEY) }],
    ["in a paging parameter", `/${KEY}/v2/library/demo/tags/list?last=${KEY}&n=1`, {}],
    ["with two slashes before it", `//${KEY}/v2/library/demo/manifests/latest`, { headers: basic(KEY) }],
    ["alone", `/${KEY}`, {}],
    ["alone, with a slash", `/${KEY}/`, {}],
    ["before the token endpoint", `/${KEY}/_/token`, {}],
    ["before a page", `/${KEY}/_/health`, {}],
    [
      "as the service of a token",
      `/_/token?service=docker-${KEY}.example.com&account=${KEY}`,
      { headers: basic(KEY) },
    ],
    ["as a login, by Basic", "/v2/alice/x/manifests/latest", { host: LOGIN_HOST, headers: basic(KEY) }],
    [
      "as a login's user name",
      "/v2/alice/x/manifests/latest",
      { host: LOGIN_HOST, headers: basic("x", KEY) },
    ],
    ["as a login, by bearer", "/v2/alice/x/manifests/latest", { host: LOGIN_HOST, headers: bearer(KEY) }],
    ["another one as a login", "/v2/", { host: LOGIN_HOST, headers: basic(NARROW) }],
    ["an expired one as a login", "/v2/", { host: LOGIN_HOST, headers: basic(EXPIRED) }],
    [
      "as a login at the token endpoint",
      "/_/token?scope=repository:a/b:pull",
      { host: LOGIN_HOST, headers: basic(KEY) },
    ],
    [
      "as a login at the token endpoint, by POST",
      "/_/token",
      {
        host: LOGIN_HOST,
        method: "POST",
        body: new URLSearchParams({ grant_type: "password", username: "alice", password: KEY }),
      },
    ],
  ];

  test.each(positions)("%s is neither logged, nor stored, nor sent upstream", async (_, path, init) => {
    const response = await mirror.request(path, init);
    expect(response.status).toBeLessThan(500);
    // A second request makes sure that the first one's record is scene.logged.
    await mirror.request("/v2/");
    const kept = JSON.stringify([
      scene.logged,
      await mirror.stored(),
      await mirror.bindings.TAGS.list(),
      everythingSent(),
    ]);
    for (const key of [KEY, NARROW, EXPIRED]) {
      for (const shown of [key, basic(key).Authorization, basic("x", key).Authorization]) {
        expect(kept).not.toContain(shown);
      }
    }
    expect(scene.logged.join()).toContain('"requests"');
  });

  const escaped = (text: string, as = "%") =>
    [...text].map((letter) => `${as}${letter.charCodeAt(0).toString(16)}`).join("");

  test.each<[string, string]>([
    ["to a name", `/${KEY}docker.io/v2/library/demo/manifests/latest`],
    ["to a name's end", `/docker.io${KEY}/v2/library/demo/manifests/latest`],
    ["to a repository", `/v2/library/x${KEY}/manifests/latest`],
    ["to a tag", `/v2/library/demo/manifests/v${KEY}x`],
    ["to a digest", `/v2/library/demo/blobs/sha256:${"0".repeat(32)}${KEY}`],
    ["to another key", `/v2/${KEY}${NARROW}/demo/manifests/latest`],
    ["in upper case, to a tag", `/v2/library/demo/manifests/V${KEY.toUpperCase()}`],
    ["by an escape", `/%6b${KEY.slice(1)}/docker.io/v2/library/demo/manifests/latest`],
    ["by escapes", `/${escaped(KEY)}docker.io/v2/library/demo/manifests/latest`],
    ["by escapes of escapes", `/v2/library/demo/tags/list?last=${escaped(KEY, "%25")}`],
    ["to a cursor", `/v2/library/demo/tags/list?n=1&last=a${KEY}b`],
    ["to ns", `/v2/library/demo/manifests/latest?ns=${KEY}docker.io`],
    ["one that has expired", `/v2/x${EXPIRED}/demo/manifests/latest`],
    ["in a URL too long to examine", `/v2/a/tags/list?last=${"a".repeat(600)}`],
  ])(
    "joined %s is 404 with advice, with and without a login, and neither logged nor sent upstream",
    async (_, path) => {
      for (const headers of [{}, basic(NARROW)]) {
        for (const host of ["mirror.test", "docker.example.com", `docker-${NARROW}.example.com`]) {
          const response = await mirror.request(path, { headers, host });
          expect([response.status, response.headers.get("WWW-Authenticate")]).toEqual([404, null]);
          const { errors } = response.json() as { errors: { message: string }[] };
          expect(errors[0]?.message).toContain("/<key>/docker.io/v2/");
        }
      }
      await mirror.request("/v2/");
      const kept = (JSON.stringify(scene.logged) + everythingSent()).toLowerCase();
      for (const key of [KEY, NARROW, EXPIRED]) expect(kept).not.toContain(key);
      expect(kept).not.toContain(escaped(KEY));
      expect([mirror.docker.requests, mirror.ghcr.requests, mirror.network.strays]).toEqual([[], [], []]);
    },
  );

  test("as a scope isn't sent to an upstream's realm", async () => {
    const path = `/_/token?scope=repository:x/${KEY}a:pull`;
    expect(
      (await mirror.request(path, { host: LOGIN_HOST, headers: basic(ALICE.password, "alice") })).status,
    ).toBe(404);
    expect(everythingSent()).not.toContain(KEY);
  });

  test("in the host isn't contained in tokens issued there, nor in the service that clients repeat", async () => {
    const host = `docker-${KEY}.example.com`;
    const { token } = (await mirror.request("/_/token", { host, headers: basic(KEY) })).json();
    expect(atob(String(token).split(".")[1] ?? "")).not.toContain(KEY);
    const headers = bearer(token);
    const status = async (at: string) =>
      (await mirror.request("/v2/library/demo/manifests/latest", { host: at, headers })).status;
    expect([await status("docker.example.com"), await status("ghcr.example.com")]).toEqual([200, 401]);
    const { headers: challenged } = await mirror.request("/v2/", { host: LOGIN_HOST });
    expect(challenged.get("WWW-Authenticate")).toContain('service="ghcr.example.com"');
  });

  test("in the URL takes precedence: a valid one in the header doesn't make up for a wrong one, nor the other way round", async () => {
    const path = "/v2/library/demo/manifests/latest";
    expect((await pull(`/${UNKNOWN}${path}`)).status).toBe(401);
    expect((await pull(path, { host: `docker-${UNKNOWN}.example.com` })).status).toBe(401);
    expect((await mirror.request(`/${UNKNOWN}${path}`, { host: `docker-${KEY}.example.com` })).status).toBe(
      200,
    );
    expect((await mirror.request(`/${KEY}${path}`, { host: `docker-${UNKNOWN}.example.com` })).status).toBe(
      401,
    );
  });

  test.each([
    [
      "as several headers",
      [
        ["Authorization", basic(UNKNOWN).Authorization],
        ["Authorization", basic(KEY).Authorization],
      ],
    ],
    ["after another scheme", [["Authorization", `Digest x, ${basic(KEY).Authorization}`]]],
    ["in an odd alphabet", [["Authorization", `Basic ${btoa(`\u00ff\u00fe:${KEY}`).replaceAll("/", "_")}`]]],
    ["followed by a NUL", [["Authorization", basic(`${KEY}\0`).Authorization]]],
    ["followed by a line feed", [["Authorization", basic(`${KEY}\n`).Authorization]]],
    [
      "in another header",
      [
        ["Proxy-Authorization", basic(KEY).Authorization],
        ["X-Authorization", KEY],
        ["Cookie", `key=${KEY}`],
      ],
    ],
  ] as [string, [string, string][]][])("%s isn't accepted", async (_, headers) => {
    expect((await mirror.request("/v2/library/demo/manifests/latest", { headers })).status).toBe(401);
    expect((await mirror.request("/_/token", { headers })).status).toBe(401);
  });

  test.each([
    "ghcr.example.com.",
    "docker-KEY.example.com.",
    "KEY.example.com",
    "-KEY.example.com",
    "docker-KEY.example.com.evil.test",
    "docker-KEY-.example.com",
    "a.docker-KEYx.example.com",
  ])("isn't recognised in a host such as %s", async (host) => {
    const response = await mirror.request("/v2/library/demo/manifests/latest", {
      host: host.replace("KEY", KEY),
    });
    expect(response.status).toBe(401);
    expect(everythingSent()).toBe("[[],[],[]]");
  });
});

describe("a token", () => {
  const secretOf = KEYED.SIGNING_SECRET;
  const claims = { iss: "portolan", aud: "mirror.test", use: "pull", iat: 1, exp: 4e9 };

  test("of this mirror, issued at any host, isn't sent to an upstream as a login", async () => {
    for (const at of ["ghcr.example.com", "docker.example.com"]) {
      const { token, refresh_token } = (
        await mirror.request("/_/token?offline_token=true", { host: at, headers: basic(KEY) })
      ).json();
      for (const shown of [token, refresh_token]) {
        for (const headers of [bearer(shown), basic(String(shown))]) {
          for (const path of ["/v2/", "/v2/alice/x/manifests/latest", "/_/token"]) {
            await mirror.request(path, { host: LOGIN_HOST, headers });
          }
          expect(everythingSent()).not.toContain(String(shown));
          expect(everythingSent()).not.toContain(headers.Authorization);
        }
      }
    }
  });

  test.each<[string, () => Promise<string> | string]>([
    [
      "of an upstream",
      async () => {
        await mirror.request("/v2/ghcr.io/a/b/manifests/latest", { headers: basic(KEY) });
        return "token-ghcr-io-1";
      },
    ],
    ["that is huge", () => `${"a".repeat(15_000)}.b.c`],
    ["with many parts", () => "a.".repeat(7000)],
    ["whose payload is null", () => `${btoa('{"alg":"HS256","typ":"JWT"}')}.${btoa("null")}.x`],
    ["whose header is an array", () => `${btoa("[]")}.${btoa("{}")}.x`],
    ["for a key that isn't one", () => sign({ ...claims, sub: "00".repeat(32) }, secretOf, "HS256")],
    ["for __proto__", () => sign({ ...claims, sub: "__proto__" }, secretOf, "HS256")],
  ])("%s grants nothing, and causes no failure", async (_, make) => {
    const headers = bearer(await make());
    for (const path of ["/v2/", "/v2/library/demo/manifests/latest", "/_/token"]) {
      expect((await mirror.request(path, { headers })).status).toBe(401);
    }
  });
});

describe("a client without a key", () => {
  test("can't learn which registries are mirrored", async () => {
    for (const path of [
      "/",
      "/_/health",
      "/v2/nowhere.example.org/a/manifests/latest",
      "/nowhere.example.org/v2/",
    ]) {
      const { bytes, headers } = await mirror.request(path);
      expect(new TextDecoder().decode(bytes) + JSON.stringify([...headers])).not.toContain(
        "corp.example.net",
      );
    }
  });

  test("gets nothing by validators, ranges, a body or another method", async () => {
    for (const path of scene.privatePaths) await pull(path);
    const sent = everythingSent();
    for (const path of scene.privatePaths) {
      for (const headers of [
        { "If-None-Match": "*" },
        { "If-None-Match": `"${scene.secret.layers[0]?.digest}"` },
        { Range: "bytes=0-0" },
        { "X-HTTP-Method-Override": "GET", "X-Original-URL": path },
      ]) {
        for (const method of ["GET", "HEAD", "POST", "OPTIONS"]) {
          const response = await mirror.request(path, { method, headers });
          expect([401, 405]).toContain(response.status);
          expect(response.headers.get("Docker-Content-Digest")).toBeNull();
        }
      }
    }
    expect(everythingSent()).toBe(sent);
  });

  test("learns nothing by validators or ranges with a key that doesn't permit the repository either", async () => {
    for (const path of scene.privatePaths) await pull(path);
    for (const path of scene.privatePaths) {
      for (const headers of [
        { "If-None-Match": "*" },
        { Range: "bytes=0-0" },
        { "If-Range": "x", Range: "bytes=99999-" },
      ]) {
        const { status } = await mirror.request(path, { headers: { ...basic(NARROW), ...headers } });
        expect(status).toBe(403);
      }
    }
  });
});
