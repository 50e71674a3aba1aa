/** Attempts to get private content from a mirror behind keys after access was revoked, or past the checks of access. */
import { beforeEach, describe, expect, test } from "vitest";
import { type Behaviour, behaviours, patternBytes } from "../support/fake-registry.ts";
import { ALICE, LOGIN_HOST, OWNER, SECRET, useAttackScene } from "./attack-scene.ts";
import { basic, bearer, KEY, NARROW, UNKNOWN } from "./keyed.ts";

const scene = useAttackScene();
const { mirror, pull, statuses, later } = scene;

describe("a private image, once upstream denies the operator access", () => {
  const MINUTES = 6 * 60_000;

  beforeEach(async () => {
    expect(await statuses()).toEqual([200]);
  });

  test("isn't served once the login is refused, at the first request or any later one", async () => {
    mirror.docker.settings.credentials = [];
    later(MINUTES);
    for (let round = 0; round < 3; round++) expect(await statuses()).toEqual([403]);
  });

  test("isn't served once the operator has removed the login from the configuration", async () => {
    mirror.bindings = Object.assign(mirror.bindings, { UPSTREAM_CREDENTIALS: {} });
    later(MINUTES);
    for (let round = 0; round < 2; round++) expect(await statuses()).toEqual([403]);
  });

  test.each([
    ["down", { status: 503 }],
    ["limited", behaviours.tooManyRequests(60)],
    ["unreachable", { network: true as const }],
  ])("isn't served when upstream is %s afterwards", async (_, behaviour) => {
    mirror.docker.settings.credentials = [{ ...OWNER, repositories: ["owner/other"] }];
    later(MINUTES);
    // A single denial covers the whole repository.
    expect((await pull(scene.privatePaths[3] ?? "")).status).toBe(403);
    later(MINUTES);
    mirror.docker.fail({ path: /./ }, behaviour);
    for (const status of await statuses()) expect([429, 503]).toContain(status);
    expect((await mirror.stored()).filter((key) => key.startsWith("links/"))).toEqual([]);
  });

  test("is missing by tag when only the tag was deleted, also when upstream is down afterwards", async () => {
    mirror.docker.removeTag("owner/secret", "latest");
    later(MINUTES);
    expect((await pull(scene.privatePaths[0] ?? "")).status).toBe(404);
    later(MINUTES);
    mirror.docker.fail({ path: /./ }, { status: 503 });
    expect((await pull(scene.privatePaths[0] ?? "")).status).toBe(503);
    expect((await pull(scene.privatePaths[1] ?? "")).status).toBe(200);
  });

  test("isn't served from another repository's copy, and is fetched again when the operator regains access", async () => {
    await mirror.docker.addImage("owner/other", "latest", { layers: [SECRET] });
    mirror.docker.setVisibility("owner/other", "private");
    const other = `/v2/owner/other/blobs/${scene.secret.layers[0]?.digest}`;
    expect((await pull(other)).status).toBe(200);
    mirror.docker.settings.credentials = [{ ...OWNER, repositories: ["owner/other"] }];
    later(MINUTES);
    expect(await statuses()).toEqual([403]);
    mirror.docker.settings.credentials = [OWNER];
    // The lease of the first fill has ended by then.
    later(3 * MINUTES);
    expect((await pull(other)).headers.get("Cache-Status")).toContain("detail=store");
    expect((await pull(scene.privatePaths[3] ?? "")).headers.get("Cache-Status")).toContain(
      "detail=upstream",
    );
    expect((await pull(scene.privatePaths[3] ?? "")).headers.get("Cache-Status")).toContain("detail=store");
  });
});

describe("a repository that was public and is made private", () => {
  test("is revalidated anonymously, so that new pushes aren't served with the operator's login", async () => {
    await mirror.docker.addImage("library/flips", "latest", { layers: [patternBytes(100, 1)] });
    const path = "/v2/library/flips/manifests/latest";
    expect((await pull(path)).status).toBe(200);
    mirror.docker.setVisibility("library/flips", "private");
    await mirror.docker.addImage("library/flips", "latest", { layers: [SECRET] });
    mirror.clock.ahead += 301_000;
    const stored = await mirror.stored();
    for (let round = 0; round < 2; round++) {
      for (const rest of ["manifests/latest", "tags/list"]) {
        expect([rest, (await pull(`/v2/library/flips/${rest}`)).status]).toEqual([rest, 403]);
      }
    }
    expect(await mirror.stored()).toEqual(stored);
  });
});

describe("a repository that the operator's login can't pull either", () => {
  test("is denied, and the login still works for others: requested first, last, and concurrently", async () => {
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

describe("an HTML page in front of upstream, sent with 200 for every request", () => {
  const page = {
    status: 200,
    headers: { "content-type": "text/html; charset=utf-8", "content-length": "15" },
    body: "<h1>Closed</h1>",
  };
  const made = [page.body, { headers: page.headers }] as const;

  test("is no permission to pull: no cached content is served because of it", async () => {
    expect(await statuses()).toEqual([200]);
    await mirror.ghcr.addImage("alice/secret", "latest", { layers: [SECRET] });
    mirror.ghcr.setVisibility("alice/secret", "private");
    mirror.ghcr.settings.auth = "basic";
    const path = `/v2/alice/secret/blobs/${scene.secret.layers[0]?.digest}`;
    const as = (password: string) => ({ host: LOGIN_HOST, headers: basic(password, ALICE.username) });
    expect((await mirror.request(path, as(ALICE.password))).status).toBe(200);
    const behind: Behaviour = {
      transform: (response, request) =>
        request.headers.has("authorization") ? new Response(...made) : response,
    };
    for (const behaviour of [page, behind]) {
      later(3_600_000);
      mirror.ghcr.clearFaults();
      mirror.ghcr.fail({ path: /./ }, behaviour);
      for (const method of ["HEAD", "GET"]) {
        expect((await mirror.request(path, { ...as("wrong"), method })).status).toBe(503);
      }
    }
  });

  test("doesn't make a private repository public", async () => {
    mirror.docker.fail({ path: /^\/v2\//, method: "HEAD" }, page, 2);
    for (let round = 0; round < 3; round++) {
      await mirror.request(scene.privatePaths[3] ?? "", { headers: basic(KEY) });
    }
    const { stored } = mirror;
    for (const key of await stored()) expect(key).toMatch(/^(private|links)\//);
  });
});

describe("missing content", () => {
  test("doesn't close a public repository to clients with a login", async () => {
    await mirror.ghcr.addImage("open/image", "latest", { layers: [patternBytes(10, 3)] });
    const init = { host: LOGIN_HOST, headers: basic("whatever", "mallory") };
    expect((await mirror.request("/v2/open/image/manifests/absent", init)).status).toBe(401);
    expect((await mirror.request("/v2/open/image/manifests/latest", init)).status).toBe(200);
    for (const key of await mirror.stored()) expect(key).toMatch(/^manifests\//);
  });
});

describe("concurrent requests", () => {
  test("share responses only with clients that have access", async () => {
    await mirror.ghcr.addImage("alice/secret", "latest", { layers: [SECRET] });
    mirror.ghcr.setVisibility("alice/secret", "private");
    mirror.ghcr.settings.auth = "basic";
    for (const rest of ["manifests/latest", `blobs/${scene.secret.layers[0]?.digest}`]) {
      const path = `/v2/alice/secret/${rest}`;
      const logins = [basic(ALICE.password, "alice"), basic("wrong", "alice"), {}, bearer("x")];
      const answers = await Promise.all(
        [...logins, ...logins].map((headers) => mirror.request(path, { host: LOGIN_HOST, headers })),
      );
      expect(answers.map(({ status }) => status)).toEqual([200, 401, 401, 401, 200, 401, 401, 401]);
    }
    const keys = [KEY, NARROW, UNKNOWN, KEY, NARROW, UNKNOWN];
    for (const path of scene.privatePaths) {
      const answers = await Promise.all(keys.map((key) => mirror.request(path, { headers: basic(key) })));
      expect(answers.map(({ status }) => status)).toEqual([200, 403, 401, 200, 403, 401]);
    }
  });
});
