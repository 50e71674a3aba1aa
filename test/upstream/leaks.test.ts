// The owner's login for docker.io, looked for in every output of the mirror: only docker.io may ever receive it.

import { createExecutionContext, runInDurableObject } from "cloudflare:test";
import { beforeEach, describe, expect, test, vi } from "vitest";
import worker from "../../src/index.ts";
import { isolate } from "../../src/services.ts";
import {
  behaviours,
  createFakeNetwork,
  createFakeRegistry,
  type FakeRegistry,
  type Image,
} from "../support/fake-registry.ts";
import { type MirrorResponse, useMirror } from "../support/mirror.ts";

const USER = "owner-marker-5e1f";
const PASSWORD = "password-marker-90ab";
const BASIC = btoa(`${USER}:${PASSWORD}`);
const CLIENT = btoa("client-marker:client-password");
const MARKERS = [USER, PASSWORD, BASIC, btoa(USER).slice(0, 20), btoa(PASSWORD).slice(0, 20)];
const OWN_HOSTS = ["https://registry-1.docker.io", "https://auth.docker.io"];
const CONSOLE = ["log", "warn", "error", "info", "debug", "trace", "dir", "table"] as const;
const REPOSITORY = "/v2/library/demo";

const mirror = useMirror({ UPSTREAM_CREDENTIALS: { "docker.io": [{ username: USER, password: PASSWORD }] } });
let image: Image;
let fallback: FakeRegistry;
let answers: string[];
let sent: Request[];
let logged: string[];
/** What must appear nowhere: the markers, and the tokens that docker.io issued for the login. */
let secrets: string[];

beforeEach(async () => {
  logged = [];
  for (const method of CONSOLE) {
    vi.spyOn(console, method).mockImplementation((...words: unknown[]) => {
      logged.push(words.map(written).join(" "));
    });
  }
  mirror.docker.settings.credentials = [{ username: USER, password: PASSWORD }];
  image = await mirror.docker.addImage("library/demo", "latest");
  await mirror.ghcr.addImage("library/demo", "latest");
  fallback = createFakeRegistry({ registryHost: "mirror.gcr.io", auth: "none" });
  await fallback.addImage("library/demo", "latest");
  answers = [];
  sent = [];
  secrets = [...MARKERS];
  const network = createFakeNetwork(mirror.docker, mirror.ghcr, fallback);
  vi.stubGlobal("fetch", async (input: Request | URL | string, init?: RequestInit) => {
    const request = new Request(input, init);
    sent.push(request);
    const response = await network.fetch(input, init);
    if (response.ok && request.url.includes("/token?") && textOf(request).includes(BASIC)) {
      const { token } = await response.clone().json<{ token: string }>();
      secrets.push(token);
    }
    return response;
  });
});

/** Searches everywhere. The login must have been used, or the check would prove nothing, unless it is `unused` on purpose. */
async function expectNoLeak(use: "used" | "unused" = "used"): Promise<void> {
  const stored = await everythingStored();
  const urls = sent.map(({ url }) => url);
  const foreign = sent.filter(({ url }) => !OWN_HOSTS.includes(new URL(url).origin)).map(textOf);
  expect(sent.filter(({ redirect }) => redirect !== "manual")).toEqual([]);
  expect(sent.map(textOf).join().includes(BASIC)).toBe(use === "used");
  for (const [where, texts] of Object.entries({ answers, stored, logged, foreign, urls })) {
    for (const secret of secrets) {
      const leaks = texts.filter((text) => text.includes(secret));
      expect(leaks, `${secret} in ${where}`).toEqual([]);
    }
  }
}

function textOf({ method, url, headers }: Request): string {
  return [method, url, ...[...headers].flat()].join(" ");
}

/** The text of a logged value, including an error's properties besides its message. */
function written(value: unknown): string {
  if (!(value instanceof Error)) return typeof value === "string" ? value : JSON.stringify(value);
  const rest = Object.getOwnPropertyNames(value).map((name) => written(Reflect.get(value, name)));
  return [String(value), ...rest].join(" ");
}

async function everythingStored(): Promise<string[]> {
  const { STORE, TAGS } = mirror.bindings;
  const texts: string[] = [];
  for (const { key } of (await STORE.list()).objects) {
    const object = await STORE.get(key);
    texts.push(
      key,
      JSON.stringify([object?.httpMetadata, object?.customMetadata]),
      `${await object?.text()}`,
    );
  }
  for (const { name, metadata } of (await TAGS.list()).keys) {
    texts.push(name, JSON.stringify(metadata ?? null), (await TAGS.get(name)) ?? "");
  }
  for (const { digest } of image.layers) {
    const state = await runInDurableObject(mirror.fills(digest), (_, { storage }) => storage.list());
    texts.push(JSON.stringify([...state]));
  }
  return texts;
}

async function request(path: string, init: RequestInit = {}): Promise<MirrorResponse> {
  const response = await mirror.request(path, init);
  answers.push([...response.headers].flat().join(" "), new TextDecoder().decode(response.bytes));
  return response;
}

const manifest = `${REPOSITORY}/manifests/latest`;
const blob = () => `${REPOSITORY}/blobs/${image.layers[0]?.digest}`;

/** Every kind of request at once, and the work left to the alarm. */
async function askEverything(): Promise<number[]> {
  const [first, second] = image.layers.map(({ digest }) => `${REPOSITORY}/blobs/${digest}`);
  const answered = await Promise.all([
    request(manifest),
    request(`${REPOSITORY}/manifests/${image.target.digest}`, { method: "HEAD" }),
    request(`${first}`, { headers: { Range: "bytes=0-3" } }),
    request(`${second}`),
    request(`${REPOSITORY}/tags/list`),
    request(`${REPOSITORY}/referrers/${image.target.digest}`),
  ]);
  for (const { digest } of image.layers) await mirror.runAlarm(digest);
  return answered.map(({ status }) => status);
}

describe("the login is sent to docker.io only", () => {
  test("when everything goes well, storage and the fill by alarm included", async () => {
    expect(await askEverything()).toEqual([200, 200, 206, 200, 200, 200]);
    expect(mirror.docker.count({ kind: "storage" })).toBeGreaterThan(1);
    await expectNoLeak();
  });

  test.each([
    "https://storage.evil.example/x",
    "https://ghcr.io/v2/library/demo/manifests/latest",
    "https://auth.docker.io:8443/x",
    "http://registry-1.docker.io/v2/library/demo/manifests/latest",
    "//user@registry-1.docker.io@evil.example/x",
  ])("when it redirects to %s", async (location) => {
    mirror.docker.fail({ kind: "manifest", method: "GET" }, behaviours.redirectTo(location));
    mirror.docker.fail({ kind: "blob", method: "GET" }, behaviours.redirectTo(location));
    await askEverything();
    await expectNoLeak();
  });

  test.each([
    'Bearer realm="https://evil.example/token",service="registry.docker.io"',
    'Bearer realm="http://auth.docker.io/token"',
    'Bearer realm="https://ghcr.io/token"',
    'Bearer realm="https://auth.docker.io:444/token"',
    'Basic realm="x", Bearer realm="https://evil.example/token"',
  ])("when it is challenged with %s", async (header) => {
    await request(`${REPOSITORY}/tags/list`);
    mirror.newIsolate();
    const challenge = { status: 401, headers: { "www-authenticate": header } };
    mirror.docker.fail({ kind: "manifest", method: "GET" }, challenge);
    mirror.docker.fail({ kind: "storage" }, challenge);
    await askEverything();
    await expectNoLeak();
  });

  test("when docker.io requires Basic and redirects to storage", async () => {
    mirror.docker.fail(
      { method: "GET" },
      {
        transform: (response, { headers, url }) =>
          url.includes("/token") || headers.get("Authorization")?.startsWith("Basic")
            ? response
            : new Response(null, { status: 401, headers: { "www-authenticate": 'Basic realm="docker"' } }),
      },
    );
    mirror.docker.settings.auth = "none";
    await askEverything();
    expect(mirror.docker.count({ kind: "storage" })).toBeGreaterThan(1);
    await expectNoLeak();
  });

  test.each(["https://evil.example/token", "https://ghcr.io/token", "http://auth.docker.io/token"])(
    "when the token endpoint redirects to %s",
    async (location) => {
      const redirect = new Response(null, { status: 307, headers: { location } });
      const transform = (response: Response, { headers }: Request) =>
        headers.has("Authorization") ? redirect.clone() : response;
      mirror.docker.fail({ kind: "token" }, { transform });
      await askEverything();
      await expectNoLeak();
    },
  );

  test.each(["Basic realm=x", 'Bearer realm="https://auth.docker.io/token",service="registry.docker.io"'])(
    "when another upstream demands it with %s",
    async (header) => {
      await request(manifest);
      mirror.ghcr.fail({}, { status: 401, headers: { "www-authenticate": header } });
      expect((await request("/v2/ghcr.io/library/demo/manifests/latest")).status).toBeGreaterThanOrEqual(400);
      mirror.ghcr.clearFaults();
      expect((await request("/v2/ghcr.io/library/demo/manifests/latest")).status).toBe(200);
      await expectNoLeak();
    },
  );
});

describe("a fallback never receives the login", () => {
  const challenge = 'Bearer realm="https://auth.docker.io/token",service="registry.docker.io"';

  test.each([
    ["limited", behaviours.tooManyRequests()],
    ["down", { status: 503 }],
  ])("that stands in for a primary that is %s", async (_, behaviour) => {
    await request(manifest);
    mirror.docker.fail({ kind: "blob" }, behaviour);
    expect((await request(blob())).status).toBe(200);
    expect(fallback.count({ kind: "blob" })).toBeGreaterThan(0);
    await expectNoLeak();
  });

  test("that is requested beside a slow primary", async () => {
    await request(manifest);
    mirror.docker.fail({ kind: "blob" }, { delay: 4_000 });
    expect((await request(blob())).status).toBe(200);
    expect(fallback.count({ kind: "blob" })).toBe(1);
    await expectNoLeak();
  });

  test.each([challenge, 'Basic realm="mirror"', `Basic realm="mirror", ${challenge}`])(
    "that requests it with %s",
    async (header) => {
      await request(manifest);
      // No 429: that would set the login aside, leaving none to leak.
      mirror.docker.fail({ kind: "blob" }, { status: 500 });
      fallback.fail({}, { status: 401, headers: { "www-authenticate": header } });
      await request(blob());
      expect(fallback.requests.length).toBeGreaterThan(0);
      await expectNoLeak();
    },
  );
});

describe("no part of the login", () => {
  test.each([
    ["denied", { status: 403 }],
    ["limited", behaviours.tooManyRequests(60)],
    ["down", { status: 503 }],
    ["out of reach", { network: true as const }],
    [
      "full of echoes",
      {
        status: 500,
        headers: { "x-echo": BASIC, "www-authenticate": BASIC },
        body: `${BASIC} ${USER} ${PASSWORD}`,
      },
    ],
    [
      "failing with an error message of its own",
      {
        transform: () => {
          throw new TypeError(`fetch failed: Authorization: Basic ${BASIC}`);
        },
      },
    ],
  ])(
    "appears when docker.io is %s, be it in an error, a warning, a stale response or the log",
    async (_, behaviour) => {
      await askEverything();
      await request(blob());
      mirror.clock.ahead += 3_600_000;
      mirror.newIsolate();
      mirror.docker.fail({ kind: "manifest" }, behaviour);
      mirror.docker.fail({ kind: "tags" }, behaviour);
      mirror.docker.fail({ kind: "storage" }, behaviour);
      await askEverything();
      await request(manifest, { method: "HEAD" });
      await expectNoLeak();
    },
  );

  test.each([401, 403])("but its position is logged when docker.io refuses it with %i", async (status) => {
    mirror.docker.fail(
      { kind: "token" },
      {
        transform: (response, { headers }) =>
          headers.has("Authorization") ? new Response(BASIC, { status }) : response,
      },
    );
    expect(await askEverything()).toEqual([200, 200, 206, 200, 200, 200]);
    expect(logged.filter((line) => line.includes("docker.io #1"))).toHaveLength(1);
    await expectNoLeak();
  });
});

describe("a client's own Authorization", () => {
  test("isn't forwarded: no upstream, storage, fallback or token endpoint receives it", async () => {
    const headers = {
      Authorization: `Basic ${CLIENT}`,
      Cookie: CLIENT,
      "Proxy-Authorization": CLIENT,
      "X-Registry-Auth": CLIENT,
    };
    const paths = [manifest, blob(), `${REPOSITORY}/tags/list`, "/v2/ghcr.io/library/demo/manifests/latest"];
    for (const path of paths) expect((await request(path, { headers })).status).toBe(200);
    mirror.docker.fail({ kind: "blob" }, behaviours.tooManyRequests());
    const other = `${REPOSITORY}/blobs/${image.layers[1]?.digest}`;
    const bearer = { headers: { Authorization: `Bearer ${CLIENT}` } };
    expect((await request(other, bearer)).status).toBe(200);
    const texts = [...sent.map(textOf), ...logged, ...answers, ...(await everythingStored())];
    expect(texts.filter((text) => text.includes(CLIENT))).toEqual([]);
  });

  test("isn't used for docker.io: private content stays closed to it", async () => {
    mirror.docker.setVisibility("library/demo", "private");
    expect((await request(manifest, { headers: { Authorization: `Basic ${BASIC}` } })).status).toBe(403);
    await expectNoLeak("unused");
  });
});

describe("a configuration that can't be used", () => {
  const login = { username: USER, password: PASSWORD };

  test.each<[string, Record<string, unknown>]>([
    ["broken JSON", { UPSTREAM_CREDENTIALS: JSON.stringify({ "docker.io": [login] }).slice(0, -1) }],
    ["a login without its list", { UPSTREAM_CREDENTIALS: { "docker.io": login } }],
    ["a login as text", { UPSTREAM_CREDENTIALS: { "docker.io": [`${USER}:${PASSWORD}`] } }],
    ["a password for a key", { UPSTREAM_CREDENTIALS: { [PASSWORD]: USER } }],
    ["a login encoded", { UPSTREAM_CREDENTIALS: BASIC }],
    ["a fault elsewhere", { UPSTREAM_CREDENTIALS: { "docker.io": [login] }, TAG_TTL: "soon" }],
    [
      "a login in an endpoint",
      { UPSTREAMS: { "docker.io": { endpoints: [`https://${USER}:${PASSWORD}@registry-1.docker.io`] } } },
    ],
    ["a login beside the endpoints", { UPSTREAMS: { "docker.io": { credentials: [login] } } }],
  ])("because of %s says so without revealing the login, in the log and to the client", async (_, vars) => {
    isolate.services = null;
    const request = new Request("https://mirror.test/v2/");
    const bindings = { ...mirror.bindings, ...vars };
    const response = await Reflect.apply(worker.fetch, worker, [request, bindings, createExecutionContext()]);
    answers.push(await response.text());
    expect(response.status).toBe(500);
    expect(answers[0]).toMatch(/UPSTREAM_CREDENTIALS|TAG_TTL|UPSTREAMS/);
    await expectNoLeak("unused");
  });
});
