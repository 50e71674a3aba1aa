/** What an attacker would try of a mirror behind keys, each as they would do it. */
import { sign } from "hono/jwt";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { REFUSED_LOGIN_RATE } from "../../src/access/limits.ts";
import { type Behaviour, behaviours, type Image, patternBytes } from "../support/fake-registry.ts";
import { type Answer, useMirror } from "../support/mirror.ts";
import { basic, bearer, EXPIRED, KEY, KEYED, NARROW, UNKNOWN } from "./keyed.ts";

const OWNER = { username: "owner", password: "hunter2" };
const ALICE = { username: "alice", password: "wonderland" };
const SECRET = patternBytes(20_000, 7);
const LOGIN_HOST = `ghcr-${KEY}.example.com`;

const mirror = useMirror({
  ...KEYED,
  PRIVATE: ["docker.io/owner/*"],
  UPSTREAM_CREDENTIALS: { "docker.io": [OWNER] },
  UPSTREAMS: { "ghcr.io": { login: true }, "registry.corp.example.net": {} },
});
let secret: Image;
let written: string[];
let ways: string[];

beforeEach(async () => {
  mirror.docker.settings.credentials = [OWNER];
  mirror.ghcr.settings.credentials = [ALICE];
  await mirror.docker.addImage("library/demo", "latest");
  secret = await mirror.docker.addImage("owner/secret", "latest", { layers: [SECRET] });
  mirror.docker.setVisibility("owner/secret", "private");
  ways = [
    "manifests/latest",
    `manifests/${secret.target.digest}`,
    `blobs/${secret.configs[0]?.digest}`,
    `blobs/${secret.layers[0]?.digest}`,
  ].map((rest) => `/v2/owner/secret/${rest}`);
  written = [];
  for (const name of ["log", "warn", "error"] as const) {
    vi.spyOn(console, name).mockImplementation((...said: unknown[]) => void written.push(said.join(" ")));
  }
});

const pull = (path: string, init: RequestInit & { host?: string } = {}): Promise<Answer> =>
  mirror.ask(path, { ...init, headers: { ...basic(KEY), ...init.headers } });

/** What each way to the private image answers, by GET and HEAD. */
async function statuses(): Promise<number[]> {
  const answers: number[] = [];
  for (const path of ways) {
    for (const method of ["HEAD", "GET"]) answers.push((await pull(path, { method })).status);
  }
  return [...new Set(answers)];
}

const later = (milliseconds: number) => {
  mirror.clock.ahead += milliseconds;
  mirror.newIsolate();
};

function everythingSent(): string {
  return JSON.stringify([mirror.docker.requests, mirror.ghcr.requests, mirror.network.strays]);
}

describe("a private image, once upstream no longer lets the operator in", () => {
  const MINUTES = 6 * 60_000;

  beforeEach(async () => {
    expect(await statuses()).toEqual([200]);
  });

  test("isn't given out because the login is refused, at the first request or any later one", async () => {
    mirror.docker.settings.credentials = [];
    later(MINUTES);
    for (let round = 0; round < 3; round++) expect(await statuses()).toEqual([403]);
  });

  test("isn't given out because the operator has taken the login out of the configuration", async () => {
    mirror.bindings = Object.assign(mirror.bindings, { UPSTREAM_CREDENTIALS: {} });
    later(MINUTES);
    for (let round = 0; round < 2; round++) expect(await statuses()).toEqual([403]);
  });

  test.each([
    ["down", { status: 503 }],
    ["limited", behaviours.tooManyRequests(60)],
    ["unreachable", { network: true as const }],
  ])("doesn't come back when upstream is %s afterwards", async (_, behaviour) => {
    mirror.docker.settings.credentials = [{ ...OWNER, repositories: ["owner/other"] }];
    later(MINUTES);
    // Once is enough, for all of the repository.
    expect((await pull(ways[3] ?? "")).status).toBe(403);
    later(MINUTES);
    mirror.docker.fail({ path: /./ }, behaviour);
    for (const status of await statuses()) expect([429, 503]).toContain(status);
    expect((await mirror.stored()).filter((key) => key.startsWith("links/"))).toEqual([]);
  });

  test("is gone by tag when only the tag is, also when upstream is down afterwards", async () => {
    mirror.docker.removeTag("owner/secret", "latest");
    later(MINUTES);
    expect((await pull(ways[0] ?? "")).status).toBe(404);
    later(MINUTES);
    mirror.docker.fail({ path: /./ }, { status: 503 });
    expect((await pull(ways[0] ?? "")).status).toBe(503);
    expect((await pull(ways[1] ?? "")).status).toBe(200);
  });

  test("takes nothing from another repository, and is fetched again when upstream lets the operator in again", async () => {
    await mirror.docker.addImage("owner/other", "latest", { layers: [SECRET] });
    mirror.docker.setVisibility("owner/other", "private");
    const other = `/v2/owner/other/blobs/${secret.layers[0]?.digest}`;
    expect((await pull(other)).status).toBe(200);
    mirror.docker.settings.credentials = [{ ...OWNER, repositories: ["owner/other"] }];
    later(MINUTES);
    expect(await statuses()).toEqual([403]);
    mirror.docker.settings.credentials = [OWNER];
    // The lease of the first fill has ended by then.
    later(3 * MINUTES);
    expect((await pull(other)).headers.get("Cache-Status")).toContain("detail=store");
    expect((await pull(ways[3] ?? "")).headers.get("Cache-Status")).toContain("detail=upstream");
    expect((await pull(ways[3] ?? "")).headers.get("Cache-Status")).toContain("detail=store");
  });
});

describe("a repository that was public and is made private", () => {
  test("is asked after as nobody, so that what is pushed then isn't given out by the operator's login", async () => {
    await mirror.docker.addImage("library/flips", "latest", { layers: [patternBytes(100, 1)] });
    const path = "/v2/library/flips/manifests/latest";
    expect((await pull(path)).status).toBe(200);
    mirror.docker.setVisibility("library/flips", "private");
    await mirror.docker.addImage("library/flips", "latest", { layers: [SECRET] });
    mirror.clock.ahead += 301_000;
    const held = await mirror.stored();
    for (let round = 0; round < 2; round++) {
      for (const rest of ["manifests/latest", "tags/list"]) {
        expect([rest, (await pull(`/v2/library/flips/${rest}`)).status]).toEqual([rest, 403]);
      }
    }
    expect(await mirror.stored()).toEqual(held);
  });
});

describe("a repository that isn't open to the operator's login either", () => {
  test("is denied, and the login is still good for the others: first asked for, last asked for, by many", async () => {
    mirror.docker.settings.deniedScope = "refuse";
    mirror.docker.settings.credentials = [{ ...OWNER, repositories: ["owner/secret"] }];
    await mirror.docker.addImage("owner/forbidden", "latest", { layers: [patternBytes(10, 4)] });
    mirror.docker.setVisibility("owner/forbidden", "private");
    const forbidden = "/v2/owner/forbidden/manifests/latest";
    for (const status of [401, 403] as const) {
      mirror.docker.settings.deniedStatus = status;
      mirror.newIsolate();
      const answers = await Promise.all([1, 2, 3].map(() => pull(forbidden)));
      expect(answers.map(({ status }) => status)).toEqual([403, 403, 403]);
      expect(await statuses()).toEqual([200]);
      later(6 * 60_000);
      expect(await statuses()).toEqual([200]);
      expect((await pull(forbidden)).status).toBe(403);
      expect(await statuses()).toEqual([200]);
    }
  });
});

describe("a page in front of upstream, which answers everything with 200", () => {
  const page = {
    status: 200,
    headers: { "content-type": "text/html; charset=utf-8", "content-length": "15" },
    body: "<h1>Closed</h1>",
  };
  const made = [page.body, { headers: page.headers }] as const;

  test("is no word on who may pull: nothing held is given out by it", async () => {
    expect(await statuses()).toEqual([200]);
    await mirror.ghcr.addImage("alice/secret", "latest", { layers: [SECRET] });
    mirror.ghcr.setVisibility("alice/secret", "private");
    mirror.ghcr.settings.auth = "basic";
    const path = `/v2/alice/secret/blobs/${secret.layers[0]?.digest}`;
    const as = (password: string) => ({ host: LOGIN_HOST, headers: basic(password, ALICE.username) });
    expect((await mirror.ask(path, as(ALICE.password))).status).toBe(200);
    const behind: Behaviour = {
      transform: (response, request) =>
        request.headers.has("authorization") ? new Response(...made) : response,
    };
    for (const behaviour of [page, behind]) {
      later(3_600_000);
      mirror.ghcr.clearFaults();
      mirror.ghcr.fail({ path: /./ }, behaviour);
      for (const method of ["HEAD", "GET"]) {
        expect((await mirror.ask(path, { ...as("wrong"), method })).status).toBe(503);
      }
    }
  });

  test("doesn't make a private repository everybody's", async () => {
    mirror.docker.fail({ path: /^\/v2\//, method: "HEAD" }, page, 2);
    for (let round = 0; round < 3; round++) {
      await mirror.ask(ways[3] ?? "", { headers: basic(KEY) });
    }
    const { stored } = mirror;
    for (const key of await stored()) expect(key).toMatch(/^(private|links)\//);
  });
});

describe("what isn't there", () => {
  test("doesn't close a public repository to those who come with a login", async () => {
    await mirror.ghcr.addImage("open/image", "latest", { layers: [patternBytes(10, 3)] });
    const init = { host: LOGIN_HOST, headers: basic("whatever", "mallory") };
    expect((await mirror.ask("/v2/open/image/manifests/absent", init)).status).toBe(401);
    expect((await mirror.ask("/v2/open/image/manifests/latest", init)).status).toBe(200);
    for (const key of await mirror.stored()) expect(key).toMatch(/^manifests\//);
  });
});

describe("many at once", () => {
  test("wait for each other's answers only where they may have them", async () => {
    await mirror.ghcr.addImage("alice/secret", "latest", { layers: [SECRET] });
    mirror.ghcr.setVisibility("alice/secret", "private");
    mirror.ghcr.settings.auth = "basic";
    for (const rest of ["manifests/latest", `blobs/${secret.layers[0]?.digest}`]) {
      const path = `/v2/alice/secret/${rest}`;
      const logins = [basic(ALICE.password, "alice"), basic("wrong", "alice"), {}, bearer("x")];
      const answers = await Promise.all(
        [...logins, ...logins].map((headers) => mirror.ask(path, { host: LOGIN_HOST, headers })),
      );
      expect(answers.map(({ status }) => status)).toEqual([200, 401, 401, 401, 200, 401, 401, 401]);
    }
    const keys = [KEY, NARROW, UNKNOWN, KEY, NARROW, UNKNOWN];
    for (const path of ways) {
      const answers = await Promise.all(keys.map((key) => mirror.ask(path, { headers: basic(key) })));
      expect(answers.map(({ status }) => status)).toEqual([200, 403, 401, 200, 403, 401]);
    }
  });
});

describe("a key", () => {
  const everyPlace: [string, string, RequestInit & { host?: string }][] = [
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
      "behind v2, as podman would have it",
      `/v2/${KEY}/docker.io/library/demo/manifests/latest`,
      { headers: basic(KEY) },
    ],
    ["as a repository's end", `/${KEY}/v2/library/${KEY}/manifests/latest`, {}],
    ["as a tag", `/${KEY}/v2/library/demo/manifests/${KEY}`, {}],
    ["an expired one as a name", `/${KEY}/v2/${EXPIRED}/demo/manifests/latest`, {}],
    ["as ns", `/v2/library/demo/manifests/latest?ns=${KEY}`, { headers: basic(KEY) }],
    ["in a query that pages", `/${KEY}/v2/library/demo/tags/list?last=${KEY}&n=1`, {}],
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

  test.each(everyPlace)("%s is neither logged, nor stored, nor sent upstream", async (_, path, init) => {
    const answer = await mirror.ask(path, init);
    expect(answer.status).toBeLessThan(500);
    // A second request makes sure that the first one's record is written.
    await mirror.ask("/v2/");
    const kept = JSON.stringify([
      written,
      await mirror.stored(),
      await mirror.bindings.TAGS.list(),
      everythingSent(),
    ]);
    for (const key of [KEY, NARROW, EXPIRED]) {
      for (const shown of [key, basic(key).Authorization, basic("x", key).Authorization]) {
        expect(kept).not.toContain(shown);
      }
    }
    expect(written.join()).toContain('"requests"');
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
    ["with more than can be looked at", `/v2/a/tags/list?last=${"a".repeat(600)}`],
  ])(
    "glued %s is 404 with advice, with and without a login, and neither logged nor sent upstream",
    async (_, path) => {
      for (const headers of [{}, basic(NARROW)]) {
        for (const host of ["mirror.test", "docker.example.com", `docker-${NARROW}.example.com`]) {
          const answer = await mirror.ask(path, { headers, host });
          expect([answer.status, answer.headers.get("WWW-Authenticate")]).toEqual([404, null]);
          const { errors } = answer.json() as { errors: { message: string }[] };
          expect(errors[0]?.message).toContain("/<key>/docker.io/v2/");
        }
      }
      await mirror.ask("/v2/");
      const kept = (JSON.stringify(written) + everythingSent()).toLowerCase();
      for (const key of [KEY, NARROW, EXPIRED]) expect(kept).not.toContain(key);
      expect(kept).not.toContain(escaped(KEY));
      expect([mirror.docker.requests, mirror.ghcr.requests, mirror.network.strays]).toEqual([[], [], []]);
    },
  );

  test("as a scope isn't sent to an upstream's realm", async () => {
    const path = `/_/token?scope=repository:x/${KEY}a:pull`;
    expect(
      (await mirror.ask(path, { host: LOGIN_HOST, headers: basic(ALICE.password, "alice") })).status,
    ).toBe(404);
    expect(everythingSent()).not.toContain(KEY);
  });

  test("in the host isn't in the tokens that are given there, nor in the service that clients repeat", async () => {
    const host = `docker-${KEY}.example.com`;
    const { token } = (await mirror.ask("/_/token", { host, headers: basic(KEY) })).json();
    expect(atob(String(token).split(".")[1] ?? "")).not.toContain(KEY);
    const headers = bearer(token);
    const status = async (at: string) =>
      (await mirror.ask("/v2/library/demo/manifests/latest", { host: at, headers })).status;
    expect([await status("docker.example.com"), await status("ghcr.example.com")]).toEqual([200, 401]);
    const { headers: challenged } = await mirror.ask("/v2/", { host: LOGIN_HOST });
    expect(challenged.get("WWW-Authenticate")).toContain('service="ghcr.example.com"');
  });

  test("is only one: a valid one in the header doesn't mend a wrong one in the URL, nor the other way round", async () => {
    const path = "/v2/library/demo/manifests/latest";
    expect((await pull(`/${UNKNOWN}${path}`)).status).toBe(401);
    expect((await pull(path, { host: `docker-${UNKNOWN}.example.com` })).status).toBe(401);
    expect((await mirror.ask(`/${UNKNOWN}${path}`, { host: `docker-${KEY}.example.com` })).status).toBe(200);
    expect((await mirror.ask(`/${KEY}${path}`, { host: `docker-${UNKNOWN}.example.com` })).status).toBe(401);
  });

  test.each([
    [
      "as several headers",
      [
        ["Authorization", basic(UNKNOWN).Authorization],
        ["Authorization", basic(KEY).Authorization],
      ],
    ],
    ["behind another scheme", [["Authorization", `Digest x, ${basic(KEY).Authorization}`]]],
    ["in an odd alphabet", [["Authorization", `Basic ${btoa(`\u00ff\u00fe:${KEY}`).replaceAll("/", "_")}`]]],
    ["with a NUL behind it", [["Authorization", basic(`${KEY}\0`).Authorization]]],
    ["with a line end behind it", [["Authorization", basic(`${KEY}\n`).Authorization]]],
    [
      "in another header",
      [
        ["Proxy-Authorization", basic(KEY).Authorization],
        ["X-Authorization", KEY],
        ["Cookie", `key=${KEY}`],
      ],
    ],
  ] as [string, [string, string][]][])("%s isn't read as one", async (_, headers) => {
    expect((await mirror.ask("/v2/library/demo/manifests/latest", { headers })).status).toBe(401);
    expect((await mirror.ask("/_/token", { headers })).status).toBe(401);
  });

  test.each([
    "ghcr.example.com.",
    "docker-KEY.example.com.",
    "KEY.example.com",
    "-KEY.example.com",
    "docker-KEY.example.com.evil.test",
    "docker-KEY-.example.com",
    "a.docker-KEYx.example.com",
  ])("isn't found in a host such as %s", async (host) => {
    const answer = await mirror.ask("/v2/library/demo/manifests/latest", { host: host.replace("KEY", KEY) });
    expect(answer.status).toBe(401);
    expect(everythingSent()).toBe("[[],[],[]]");
  });
});

describe("a token", () => {
  const secretOf = KEYED.SIGNING_SECRET;
  const claims = { iss: "portolan", aud: "mirror.test", use: "pull", iat: 1, exp: 4e9 };

  test("of this mirror, wherever it was given, isn't shown to an upstream as a login", async () => {
    for (const at of ["ghcr.example.com", "docker.example.com"]) {
      const { token, refresh_token } = (
        await mirror.ask("/_/token?offline_token=true", { host: at, headers: basic(KEY) })
      ).json();
      for (const shown of [token, refresh_token]) {
        for (const headers of [bearer(shown), basic(String(shown))]) {
          for (const path of ["/v2/", "/v2/alice/x/manifests/latest", "/_/token"]) {
            await mirror.ask(path, { host: LOGIN_HOST, headers });
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
        await mirror.ask("/v2/ghcr.io/a/b/manifests/latest", { headers: basic(KEY) });
        return "token-ghcr-io-1";
      },
    ],
    ["that is huge", () => `${"a".repeat(15_000)}.b.c`],
    ["with many parts", () => "a.".repeat(7000)],
    ["whose payload is null", () => `${btoa('{"alg":"HS256","typ":"JWT"}')}.${btoa("null")}.x`],
    ["whose header is an array", () => `${btoa("[]")}.${btoa("{}")}.x`],
    ["for a key that isn't one", () => sign({ ...claims, sub: "00".repeat(32) }, secretOf, "HS256")],
    ["for __proto__", () => sign({ ...claims, sub: "__proto__" }, secretOf, "HS256")],
  ])("%s opens nothing, and is no reason to fail", async (_, make) => {
    const headers = bearer(await make());
    for (const path of ["/v2/", "/v2/library/demo/manifests/latest", "/_/token"]) {
      expect((await mirror.ask(path, { headers })).status).toBe(401);
    }
  });
});

describe("who has no key", () => {
  test("isn't told which registries are mirrored", async () => {
    for (const path of [
      "/",
      "/_/health",
      "/v2/nowhere.example.org/a/manifests/latest",
      "/nowhere.example.org/v2/",
    ]) {
      const { bytes, headers } = await mirror.ask(path);
      expect(new TextDecoder().decode(bytes) + JSON.stringify([...headers])).not.toContain(
        "corp.example.net",
      );
    }
  });

  test("gets nothing by sending what others' answers say: validators, ranges, a body, another method", async () => {
    for (const path of ways) await pull(path);
    const sent = everythingSent();
    for (const path of ways) {
      for (const headers of [
        { "If-None-Match": "*" },
        { "If-None-Match": `"${secret.layers[0]?.digest}"` },
        { Range: "bytes=0-0" },
        { "X-HTTP-Method-Override": "GET", "X-Original-URL": path },
      ]) {
        for (const method of ["GET", "HEAD", "POST", "OPTIONS"]) {
          const answer = await mirror.ask(path, { method, headers });
          expect([401, 405]).toContain(answer.status);
          expect(answer.headers.get("Docker-Content-Digest")).toBeNull();
        }
      }
    }
    expect(everythingSent()).toBe(sent);
  });

  test("learns nothing of what a narrow key doesn't open from one either, by validators or ranges", async () => {
    for (const path of ways) await pull(path);
    for (const path of ways) {
      for (const headers of [
        { "If-None-Match": "*" },
        { Range: "bytes=0-0" },
        { "If-Range": "x", Range: "bytes=99999-" },
      ]) {
        const { status } = await mirror.ask(path, { headers: { ...basic(NARROW), ...headers } });
        expect(status).toBe(403);
      }
    }
  });
});

describe("a user's login", () => {
  const headers = basic(ALICE.password, ALICE.username);

  beforeEach(async () => {
    mirror.ghcr.settings.auth = "basic";
    await mirror.ghcr.addImage("alice/secret", "latest", { layers: [SECRET] });
    mirror.ghcr.setVisibility("alice/secret", "private");
  });

  test("goes to its host's upstream, whatever path or ns names another", async () => {
    for (const path of [
      "/v2/docker.io/library/demo/manifests/latest",
      "/docker.io/v2/library/demo/manifests/latest",
      "/v2/library/demo/manifests/latest?ns=docker.io",
    ]) {
      await mirror.ask(path, { host: LOGIN_HOST, headers });
    }
    expect(JSON.stringify(mirror.docker.requests)).not.toContain(headers.Authorization);
    expect(mirror.network.strays).toEqual([]);
  });

  test("isn't shown to a realm, a redirect's target or a storage that upstream only names", async () => {
    const ask = async () => {
      for (const path of [
        "/v2/",
        "/_/token?scope=repository:alice/secret:pull",
        "/v2/alice/secret/manifests/latest",
      ]) {
        await mirror.ask(path, { host: LOGIN_HOST, headers });
      }
    };
    mirror.ghcr.settings.auth = "bearer";
    mirror.ghcr.settings.realm = "https://evil.test/token";
    await ask();
    mirror.newIsolate();
    mirror.ghcr.settings.realm = "http://169.254.169.254/token";
    await ask();
    expect(mirror.network.strays).toEqual([]);
    mirror.newIsolate();
    mirror.ghcr.settings.realm = null;
    mirror.ghcr.fail({ path: /./ }, behaviours.redirectTo("https://auth.docker.io/token"));
    await ask();
    expect(JSON.stringify(mirror.docker.requests)).not.toContain("Basic");
  });

  test("isn't read where the key stands in the path", async () => {
    const answer = await mirror.ask(`/${KEY}/v2/alice/secret/manifests/latest`, {
      host: "ghcr.example.com",
      headers,
    });
    expect(answer.status).toBe(403);
    expect(everythingSent()).not.toContain(headers.Authorization);
  });

  test("opens what it opens to itself, and not to the next one with the same key", async () => {
    const path = "/v2/alice/secret/manifests/latest";
    const init = { host: LOGIN_HOST };
    expect((await mirror.ask(path, { ...init, headers })).status).toBe(200);
    for (const next of [{}, basic("wrong", "alice"), basic(ALICE.password, "bob"), bearer("x")]) {
      for (const method of ["GET", "HEAD"]) {
        expect((await mirror.ask(path, { ...init, method, headers: next })).status).toBe(401);
      }
    }
    expect((await pull(path.replace("/v2/", "/v2/ghcr.io/"))).status).toBe(403);
  });

  test.each(["basic", "bearer"] as const)("can't be guessed from many addresses: %s", async (auth) => {
    mirror.ghcr.settings.auth = auth;
    const path = auth === "basic" ? "/v2/" : "/_/token?scope=repository:alice/secret:pull";
    const guess = (password: string, at: number, user = "alice") =>
      mirror.ask(path, {
        host: LOGIN_HOST,
        headers: { ...basic(password, user), "CF-Connecting-IP": `2001:db8:${at}::1` },
      });
    for (let at = 0; at < REFUSED_LOGIN_RATE; at++) {
      expect((await guess(`wrong ${at}`, at, at % 2 ? "alice" : "ALICE")).status).toBe(401);
    }
    const sent = everythingSent();
    const refused = await guess(ALICE.password, 1000);
    expect([refused.status, refused.headers.get("Retry-After")]).toEqual([
      429,
      expect.stringMatching(/^[123]$/),
    ]);
    expect(everythingSent()).toBe(sent);
    expect((await guess("wrong", 1000, "bob")).status).toBe(401);
    mirror.clock.ahead += 3000;
    expect((await guess(ALICE.password, 1000)).status).toBe(200);
  });

  test("that is right can be shown as often as anybody likes", async () => {
    for (let count = 0; count < 3 * REFUSED_LOGIN_RATE; count++) {
      expect((await mirror.ask("/v2/", { host: LOGIN_HOST, headers })).status).toBe(200);
    }
  });
});
