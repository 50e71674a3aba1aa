/** Malformed, hostile and unusual requests to a mirror behind keys, above all around the key itself. */
import { beforeEach, expect } from "vitest";
import { basic, bearer, KEY, KEYED } from "../access/keyed.ts";
import { patternBytes } from "../support/fake-registry.ts";
import type { MirrorResponse } from "../support/mirror.ts";
import { expectRefused, expectWhole, LAYER, TAG, useFaults } from "./support.ts";

const OWNER = { username: "owner", password: "hunter2" };
const ALICE = { username: "alice", password: "wonderland" };
const LOGIN_HOST = `ghcr-${KEY}.example.com`;
const { mirror, demo, fault } = useFaults("input", {
  vars: {
    ...KEYED,
    PRIVATE: ["docker.io/owner/*"],
    UPSTREAM_CREDENTIALS: { "docker.io": [OWNER] },
    UPSTREAMS: { "ghcr.io": { login: true } },
  },
});
type Init = RequestInit & { host?: string };

beforeEach(() => {
  mirror.docker.settings.credentials = [OWNER];
  mirror.ghcr.settings.credentials = [ALICE];
});

const statusOf = async (path: string, init: Init = {}) => (await mirror.request(path, init)).status;
const pull = (path: string, init: Init = {}): Promise<MirrorResponse> =>
  mirror.request(path, { ...init, headers: { ...basic(KEY), ...init.headers } });

/**
 * Challenged before any upstream request, whatever else is wrong; or, with a key in the path where none is
 * read, rejected with advice.
 */
async function expectRejected(requested: readonly (readonly [string, Init?])[]): Promise<void> {
  for (const [path, init] of requested) {
    const response = await mirror.request(path, init);
    const shown = [path.slice(0, 100), init?.host];
    const isGlued = new RegExp(KEY, "i").test(
      decodeURIComponent(new URL(`https://mirror.test${path}`).pathname),
    );
    expect([shown, response.status, response.headers.get("WWW-Authenticate")]).toEqual([
      shown,
      isGlued ? 404 : 401,
      isGlued ? null : expect.stringContaining("/_/token"),
    ]);
    if (isGlued) expect(JSON.stringify(response.json())).toContain("access key");
  }
  expect([mirror.docker.requests, mirror.ghcr.requests, mirror.network.strays]).toEqual([[], [], []]);
  expect(await mirror.stored()).toEqual([]);
}

fault("dots and slashes, plain and encoded", "before, after and within the key", async () => {
  await expectRejected([
    [`/${KEY}%2Fv2/library/demo/manifests/latest`],
    [`/${KEY}%2f..%2fv2/library/demo/manifests/latest`],
    [`//${KEY}${TAG}`],
    [`/.%2f${KEY}${TAG}`],
    [`/%2e%2e%2f${KEY}${TAG}`],
    [`/${KEY}/..${TAG}`],
    [`/${KEY}/%2e%2e${TAG}`],
    [`/v2/../${KEY}/../${TAG}`],
    [`/${KEY};x${TAG}`],
    [`/docker.io/${KEY}${TAG}`],
  ]);
  for (const path of [`/${KEY}/${TAG}`, `/${KEY}/%2F${TAG}`, `/${KEY}/x/y/z`, `/${KEY}/`]) {
    expect([path, await statusOf(path)]).toEqual([path, 404]);
  }
  for (const path of [`/x/../${KEY}${TAG}`, `/${KEY}/x/..${TAG}`, `/./${KEY}/.${TAG}`]) {
    await expectWhole(await mirror.request(path), demo.image.target.bytes);
  }
});

fault("upper case", "a host is case-insensitive, a key in the path isn't", async () => {
  await expectRejected([[`/${KEY.toUpperCase()}${TAG}`], [TAG, { headers: basic(KEY.toUpperCase()) }]]);
  const host = `DOCKER-${KEY.toUpperCase()}.EXAMPLE.COM`;
  await expectWhole(await mirror.request(TAG, { host }), demo.image.target.bytes);
  expect(
    await statusOf(TAG, { headers: { authorization: basic(KEY).Authorization.replace("Basic", "bASIC") } }),
  ).toBe(200);
  expectRefused(await pull("/v2/library/Demo/manifests/latest"), 400, "NAME_INVALID");
});

fault("Unicode, NUL", "in a key, a user name or a host", async () => {
  const utf8 = (text: string) => ({
    Authorization: `Basic ${btoa(String.fromCharCode(...new TextEncoder().encode(text)))}`,
  });
  await expectRejected([
    [`/${KEY.slice(1)}${"\u212a"}${TAG}`],
    [`/${KEY}%00${TAG}`],
    [`/%00${KEY}${TAG}`],
    [TAG, { headers: utf8(`x:${KEY}\0`) }],
    [TAG, { headers: utf8(`x:\u{feff}${KEY}`) }],
    [TAG, { headers: utf8(`x:${KEY.slice(1)}\u212a`) }],
    [TAG, { headers: { Authorization: "Basic /////w==" } }],
  ]);
  expect(await statusOf(TAG, { headers: utf8(`üser\0\u{202e}:${KEY}`) })).toBe(200);
});

const fullName = `library/${"a".repeat(255 - "docker.io/library/".length)}`;
fault("256-character name", "after a key, which doesn't count", async () => {
  const { target } = await mirror.docker.addImage(fullName, "latest");
  await expectWhole(await mirror.request(`/${KEY}/v2/${fullName}/manifests/latest`), target.bytes);
  expectRefused(await mirror.request(`/${KEY}/v2/${fullName}a/manifests/latest`), 400, "NAME_INVALID");
});

fault("129-character tag", "after a key, which doesn't count", async () => {
  const tag = "a".repeat(128);
  mirror.docker.moveTag("library/demo", tag, demo.image.target.digest);
  await expectWhole(await mirror.request(`/${KEY}${TAG.replace("latest", tag)}`), demo.image.target.bytes);
  expectRefused(await mirror.request(`/${KEY}${TAG.replace("latest", `${tag}a`)}`), 404, "MANIFEST_UNKNOWN");
});

fault("sha512", "a private blob, linked to its repository only", async () => {
  const bytes = patternBytes(500, 5);
  const { digest } = await mirror.docker.addBlob(bytes, { algorithm: "sha512", repository: "owner/secret" });
  mirror.docker.setVisibility("owner/secret", "private");
  for (let round = 0; round < 2; round++)
    await expectWhole(await pull(`/v2/owner/secret/blobs/${digest}`), bytes);
  expect(mirror.docker.count({ kind: "storage", method: "GET" })).toBe(1);
  const hex = digest.slice("sha512:".length);
  expect(await mirror.stored()).toEqual([
    `links/docker.io/owner/secret/_/sha512/${hex}`,
    `private/blobs/sha512/${hex.slice(0, 2)}/${hex}`,
  ]);
  expect((await pull(`/v2/library/demo/blobs/${digest}`)).status).toBe(404);
});

fault(
  "short or unknown digest",
  "is challenged without a key like any other request, and rejected with one",
  async () => {
    const paths = ["sha256:a1", "sha256:", `md5:${"a1".repeat(16)}`, "latest"].map(
      (digest) => `/v2/owner/secret/blobs/${digest}`,
    );
    await expectRejected(paths.map((path) => [path]));
    for (const path of paths) expectRefused(await pull(path), 400, "DIGEST_INVALID");
    expect(mirror.docker.requests).toEqual([]);
  },
);

fault("CRLF", "in a challenge, a token request or a login: none of it becomes a header", async () => {
  const evil = "%0d%0aX-Evil:%20yes";
  const answers = [
    await mirror.request(`/${KEY}${TAG}${evil}`),
    await mirror.request(`${TAG}?service=${evil}`),
    await mirror.request(`/_/token?service=${evil}&scope=repository:a${evil}:pull`, { headers: basic(KEY) }),
    await mirror.request("/_/token", { headers: basic(KEY, "x\r\nX-Evil") }),
    await mirror.request(`/_/token?scope=repository:a/b${evil}:pull&service=${evil}`, {
      host: LOGIN_HOST,
      headers: basic(`${ALICE.password}\r\nX-Evil: yes`, "alice"),
    }),
    await mirror.request(`/${KEY}/docker.io/v2/library/demo/tags/list?n=1&last=${evil}`),
  ];
  expect(answers.map(({ status }) => status)).toEqual([400, 401, 200, 200, 401, 200]);
  for (const { headers } of answers) expect(headers.get("X-Evil")).toBe(null);
  for (const { headers, query } of [...mirror.docker.requests, ...mirror.ghcr.requests]) {
    expect(headers["x-evil"]).toBe(undefined);
    if (query.includes("scope")) expect(query).not.toContain("Evil");
  }
});

fault("X-Forwarded-* poisoning", "neither grants access nor changes where clients are sent", async () => {
  for (const tag of ["a", "b"]) mirror.docker.moveTag("library/demo", tag, demo.image.target.digest);
  const headers = {
    "X-Forwarded-Host": `docker-${KEY}.example.com`,
    "X-Forwarded-Proto": "https, http",
    "X-Forwarded-Prefix": `/${KEY}`,
    "X-Forwarded-Uri": `/${KEY}${TAG}`,
    "X-Original-URL": `/${KEY}${TAG}`,
    "X-Rewrite-URL": `/${KEY}${TAG}`,
    Forwarded: `host="docker-${KEY}.example.com";proto=http`,
    "CF-Connecting-IP": "127.0.0.1",
    "True-Client-IP": "127.0.0.1",
  };
  await expectRejected([
    [TAG, { headers }],
    ["/v2/", { headers }],
    ["/_/other", { headers }],
  ]);
  const { headers: challenged } = await mirror.request("/v2/", { headers });
  expect(challenged.get("WWW-Authenticate")).toBe(
    'Bearer realm="https://mirror.test/_/token",service="mirror.test"',
  );
  const paged = await mirror.request(`/${KEY}/v2/library/demo/tags/list?n=1`, {
    headers: { "X-Forwarded-Host": "evil.test", "X-Forwarded-Prefix": "/evil", "X-Forwarded-Proto": "http" },
  });
  expect(paged.headers.get("Link")).toBe(`</${KEY}/v2/library/demo/tags/list?n=1&last=a>; rel="next"`);
  expect(JSON.stringify(mirror.docker.requests)).not.toMatch(/evil|x-forwarded|cf-connecting/i);
});

for (const repository of [
  "blobs",
  "manifests",
  "v2",
  "token",
  "owner/manifests",
  "owner/blobs/tags",
  "owner/links/public",
]) {
  fault(
    "repository named blobs or manifests",
    `after a key${repository.startsWith("owner/") ? ", and private" : ""}: ${repository}`,
    async () => {
      const upstreams = repository.includes("/") ? repository : `library/${repository}`;
      const image = await mirror.docker.addImage(upstreams, "latest", { layers: [LAYER] });
      if (repository.startsWith("owner/")) mirror.docker.setVisibility(upstreams, "private");
      for (let round = 0; round < 2; round++) {
        for (const prefix of [`/${KEY}/v2`, `/${KEY}/docker.io/v2`]) {
          await expectWhole(
            await mirror.request(`${prefix}/${repository}/manifests/latest`),
            image.target.bytes,
          );
          await expectWhole(await mirror.request(`${prefix}/${repository}/blobs/${demo.digest}`));
        }
      }
    },
  );
}

fault("huge query", "in keys and token requests", async () => {
  await expectRejected([
    [TAG, { headers: bearer("a".repeat(15_000)) }],
    [TAG, { headers: bearer(`${"a".repeat(7_000)}.${"b".repeat(7_000)}.c`) }],
    [TAG, { headers: basic("k".repeat(10_000)) }],
    [`/${"k".repeat(4_000)}/v2/`],
  ]);
  expect(await statusOf(TAG, { headers: bearer("a".repeat(17_000)) })).toBe(431);
  expect(await statusOf(`/${`${KEY}/`.repeat(100)}v2/`)).toBe(404);
  const scopes = "scope=repository:a/b:pull&".repeat(150);
  expect(await statusOf(`/_/token?${scopes}`, { headers: basic(KEY) })).toBe(200);
  expect(await statusOf(`/_/token?${scopes}${scopes}`, { headers: basic(KEY) })).toBe(414);
  const body = (size: number) => `grant_type=password&password=${KEY}&x=${"y".repeat(size)}`;
  expect(await statusOf("/_/token", { method: "POST", body: body(8_000) })).toBe(200);
  expect(await statusOf("/_/token", { method: "POST", body: body(9_000) })).toBe(413);
  const endless = new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(4096)) });
  expect(await statusOf("/_/token", { method: "POST", body: endless })).toBe(413);
});

fault(
  "two scope parameters",
  "of a token request: the token grants what its key does, whatever the scopes",
  async () => {
    const scopes = "scope=repository:owner/secret:pull,push&scope=registry:catalog:*%20repository:a/b:delete";
    const { token } = (await mirror.request(`/_/token?${scopes}`, { headers: basic(KEY) })).json();
    await expectWhole(await mirror.request(TAG, { headers: bearer(token) }), demo.image.target.bytes);
    expect(await statusOf(TAG, { method: "PUT", headers: bearer(token) })).toBe(405);
  },
);

fault("two scope parameters", "of a user's token request: both are requested, for pull only", async () => {
  for (const name of ["alice/one", "alice/two"]) {
    await mirror.ghcr.addImage(name, "latest");
    mirror.ghcr.setVisibility(name, "private");
  }
  const query = "scope=repository:alice/one:pull,push&scope=repository:alice/two:*%20registry:catalog:*";
  const init = { host: LOGIN_HOST, headers: basic(ALICE.password, "alice") };
  const { token } = (await mirror.request(`/_/token?${query}`, init)).json();
  const requested = mirror.ghcr.requests.filter(({ kind }) => kind === "token").at(-1);
  const scopes = new URLSearchParams(requested?.query).getAll("scope");
  expect(scopes).toEqual(["repository:alice/one:pull", "repository:alice/two:pull"]);
  for (const name of ["alice/one", "alice/two"]) {
    const headers = bearer(token);
    expect(await statusOf(`/v2/${name}/manifests/latest`, { host: LOGIN_HOST, headers })).toBe(200);
  }
});

fault("Basic Og==", "is treated as no login", async () => {
  const headers = { Authorization: "Basic Og==" };
  await expectRejected([
    [TAG, { headers }],
    ["/v2/", { headers }],
  ]);
  expect(await statusOf("/_/token", { headers })).toBe(401);
  // With a key in the URL it is no login either: public content is pulled anonymously.
  for (const [path, init] of [
    [`/${KEY}${TAG}`, {}],
    [TAG, { host: `docker-${KEY}.example.com` }],
  ] as const) {
    await expectWhole(await mirror.request(path, { ...init, headers }), demo.image.target.bytes);
  }
  await mirror.ghcr.addImage("open/image", "latest");
  expect(await statusOf("/v2/open/image/manifests/latest", { host: LOGIN_HOST, headers })).toBe(200);
  expect(JSON.stringify([mirror.docker.requests, mirror.ghcr.requests])).not.toContain("Og==");
});
