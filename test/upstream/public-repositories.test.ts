import { beforeEach, describe, expect, test, vi } from "vitest";
import { UpstreamClient } from "../../src/upstream/client.ts";
import { PublicRepositories } from "../../src/upstream/public-repositories.ts";
import type { UpstreamRequest } from "../../src/upstream/request.ts";
import {
  behaviours,
  createFakeRegistry,
  type FakeRegistryOptions,
  type Image,
  patternBytes,
  profiles,
} from "../support/fake-registry.ts";
import { useMirror } from "../support/mirror.ts";
import { createClock, failureOf, upstreamOf } from "./support.ts";

const OWNER = { username: "owner", password: "secret" };

describe("what is known of a repository", () => {
  const imageOf = (name: string, repository: string) => ({
    upstream: upstreamOf({ name }),
    repository,
    path: "manifests/latest",
  });
  const createKnowledge = () => {
    const clock = createClock();
    return { clock, known: new PublicRepositories(clock.now) };
  };

  test("is nothing before the first request", () => {
    expect(createKnowledge().known.isPublic(imageOf("registry.test", "owner/image"))).toBeNull();
  });

  test("lasts for minutes after the last successful anonymous request", () => {
    const { known, clock } = createKnowledge();
    known.noteGiven(imageOf("registry.test", "owner/image"));
    clock.pass(299);
    expect(known.isPublic(imageOf("registry.test", "owner/image"))).toBe(true);
    known.noteGiven(imageOf("registry.test", "owner/image"));
    clock.pass(299);
    expect(known.isPublic(imageOf("registry.test", "owner/image"))).toBe(true);
    clock.pass(1);
    expect(known.isPublic(imageOf("registry.test", "owner/image"))).toBeNull();
  });

  test("ends with a denial, which lasts for minutes", () => {
    const { known, clock } = createKnowledge();
    known.noteGiven(imageOf("registry.test", "owner/image"));
    known.noteDenied(imageOf("registry.test", "owner/image"));
    expect(known.isPublic(imageOf("registry.test", "owner/image"))).toBe(false);
    clock.pass(300);
    expect(known.isPublic(imageOf("registry.test", "owner/image"))).toBeNull();
  });

  test("doesn't extend to another repository, nor to the same name at another upstream", () => {
    const { known } = createKnowledge();
    known.noteGiven(imageOf("registry.test", "owner/image"));
    known.noteGiven(imageOf("other.test", "owner/other"));
    known.noteDenied(imageOf("registry.test", "owner/other"));
    expect(known.isPublic(imageOf("registry.test", "owner/other"))).toBe(false);
    expect(known.isPublic(imageOf("other.test", "owner/image"))).toBeNull();
    expect(known.isPublic(imageOf("other.test", "owner/other"))).toBe(true);
  });

  test("is bounded: the least recently noted repository is forgotten first", () => {
    const { known } = createKnowledge();
    known.noteGiven(imageOf("registry.test", "first"));
    known.noteGiven(imageOf("registry.test", "second"));
    for (let index = 0; index < 9_998; index++) known.noteGiven(imageOf("registry.test", `other/${index}`));
    known.noteGiven(imageOf("registry.test", "first"));
    known.noteGiven(imageOf("registry.test", "one-more"));
    expect(known.isPublic(imageOf("registry.test", "second"))).toBeNull();
    expect(known.isPublic(imageOf("registry.test", "first"))).toBe(true);
  });
});

/** A client with the owner's login at a registry where the owner may pull everything. */
async function createScene(options: FakeRegistryOptions = {}, endpoints = ["https://registry.test"]) {
  const clock = createClock();
  const registry = createFakeRegistry({ now: clock.now, credentials: [OWNER], ...options });
  const image = await registry.addImage("owner/image", "latest");
  const upstream = upstreamOf({ endpoints });
  const fetch: typeof globalThis.fetch = async (input, init) =>
    new URL(String(input)).host === "one.test"
      ? new Response("from the fallback")
      : registry.fetch(String(input), init);
  const client = new UpstreamClient({ fetch, now: clock.now, credentials: { "registry.test": [OWNER] } });
  const request = (sketch: Partial<UpstreamRequest> = {}) =>
    client.fetch(
      { upstream, repository: "owner/image", method: "GET", path: "manifests/latest", ...sketch },
      () => {},
    );
  /** The registry's requests since the last call without its 401s, and whose tokens were requested. */
  const seen = () => {
    const lines = registry.requests
      .filter(({ status }) => status !== 401)
      .map(({ kind, method, headers }) =>
        kind === "token"
          ? `token of ${headers.authorization === undefined ? "anonymous" : "owner"}`
          : `${method} ${kind}`,
      );
    registry.requests.length = 0;
    return lines;
  };
  const wasLoginUsed = () =>
    registry.requests.some(({ headers }) => headers.authorization?.startsWith("Basic"));
  return { clock, registry, image, request, seen, wasLoginUsed };
}

describe("the operator's login is used", () => {
  test("for a tag's manifest after an anonymous HEAD of the tag, each time", async () => {
    const { request, seen } = await createScene();
    await request();
    expect(seen()).toEqual(["token of anonymous", "HEAD manifest", "token of owner", "GET manifest"]);
    await request();
    expect(seen()).toEqual(["HEAD manifest", "GET manifest"]);
    await request({ method: "HEAD" });
    await request();
    expect(seen()).toEqual(["HEAD manifest", "HEAD manifest", "GET manifest"]);
  });

  test.each(["manifest", "blob"] as const)(
    "for a %s by digest for minutes after an anonymous HEAD of it, but for no other",
    async (kind) => {
      const { request, seen, image, clock } = await createScene();
      const paths = {
        manifest: `manifests/${image.target.digest}`,
        blob: `blobs/${image.layers[0]?.digest}`,
      };
      const other = kind === "blob" ? "manifest" : "blob";
      await request({ path: paths[kind] });
      expect(seen()).toEqual(["token of anonymous", `HEAD ${kind}`, "token of owner", `GET ${kind}`]);
      clock.pass(250);
      await request({ path: paths[kind] });
      expect(seen().filter((line) => !line.startsWith("token"))).toEqual([`GET ${kind}`]);
      await request({ path: paths[other] });
      expect(seen().filter((line) => !line.startsWith("token"))).toEqual([`HEAD ${other}`, `GET ${other}`]);
      clock.pass(50);
      await request({ path: paths[kind] });
      expect(seen().filter((line) => !line.startsWith("token"))).toEqual([`HEAD ${kind}`, `GET ${kind}`]);
    },
  );

  test("for a range of a blob after an anonymous HEAD of the whole", async () => {
    const { request, registry, image } = await createScene();
    await request({ path: `blobs/${image.layers[0]?.digest}`, range: "bytes=1-2" });
    const ranges = registry.requests
      .filter(({ kind, status }) => kind === "blob" && status !== 401)
      .map(({ method, headers }) => [method, headers.range]);
    expect(ranges).toEqual([
      ["HEAD", undefined],
      ["GET", "bytes=1-2"],
    ]);
  });

  test("and its response discarded where the tag has moved since: then the anonymous response counts", async () => {
    const { request, registry, image, seen } = await createScene();
    registry.fail(
      { kind: "manifest", method: "HEAD", authorized: true },
      {
        transform: (response) => {
          const headers = new Headers(response.headers);
          headers.set("Docker-Content-Digest", `sha256:${"0".repeat(64)}`);
          return new Response(null, { headers });
        },
      },
    );
    const response = await request();
    expect(response.headers.get("Docker-Content-Digest")).toBe(image.target.digest);
    expect(seen().filter((line) => !line.startsWith("token"))).toEqual([
      "HEAD manifest",
      "GET manifest",
      "GET manifest",
    ]);
    expect(registry.requests).toEqual([]);
  });
});

describe("the operator's login is never used", () => {
  test.each([
    ["refuses tokens for", { deniedScope: "refuse" }],
    ["denies", { deniedScope: "grant-nothing" }],
    ["has behind Basic", { auth: "basic" }],
  ] as const)("for what the registry %s to the anonymous, though it would open it", async (_, options) => {
    const { request, registry, wasLoginUsed } = await createScene(options);
    registry.setVisibility("owner/image", "private");
    for (const method of ["GET", "HEAD", "GET"] as const) {
      expect(await failureOf(request({ method }))).toMatchObject({ kind: "denied" });
    }
    expect(wasLoginUsed()).toBe(false);
  });

  test("for missing content: the anonymous response counts", async () => {
    const { request, wasLoginUsed } = await createScene();
    expect((await failureOf(request({ path: "manifests/gone" }))).kind).toBe("missing");
    expect(wasLoginUsed()).toBe(false);
  });

  test.each([
    ["limited", behaviours.tooManyRequests(30)],
    ["limited without a word of how long", behaviours.tooManyRequests()],
    ["answered 405", { status: 405 }],
    ["answered 500", { status: 500 }],
    ["lost on the way", { network: true as const }],
  ])("where the HEAD is %s: only an anonymous request is safe", async (_, behaviour) => {
    const { request, registry, seen, wasLoginUsed } = await createScene();
    registry.fail({ kind: "manifest", method: "HEAD", authorized: true }, behaviour);
    expect((await request()).status).toBe(200);
    expect(wasLoginUsed()).toBe(false);
    expect(seen().at(-1)).toBe("GET manifest");
  });

  test("for a private repository where the HEAD is limited", async () => {
    const { request, registry, wasLoginUsed } = await createScene();
    registry.setVisibility("owner/image", "private");
    registry.fail({ kind: "manifest", method: "HEAD" }, behaviours.tooManyRequests(30));
    for (let round = 0; round < 2; round++) expect((await failureOf(request())).kind).toBe("denied");
    expect(wasLoginUsed()).toBe(false);
  });

  test.each(["manifests/latest", "manifests/new", "tags/list"])(
    "for %s of a repository that has just become private",
    async (path) => {
      const { request, registry, wasLoginUsed } = await createScene();
      await request();
      await request({ path: "tags/list" });
      registry.setVisibility("owner/image", "private");
      await registry.addImage("owner/image", "new");
      registry.requests.length = 0;
      expect((await failureOf(request({ path }))).kind).toBe("denied");
      expect(wasLoginUsed()).toBe(false);
    },
  );

  test("for content of a repository of which only the tags list was ever served anonymously", async () => {
    const { request, registry, image, wasLoginUsed } = await createScene();
    registry.setVisibility("owner/image", "private");
    registry.fail(
      { kind: "tags" },
      { status: 200, body: JSON.stringify({ name: "owner/image", tags: ["latest"] }) },
    );
    expect((await request({ path: "tags/list" })).status).toBe(200);
    for (const path of [
      "manifests/latest",
      `manifests/${image.target.digest}`,
      `blobs/${image.layers[0]?.digest}`,
    ])
      expect((await failureOf(request({ path }))).kind).toBe("denied");
    expect(wasLoginUsed()).toBe(false);
  });

  test("while anonymous HEADs are limited, though the repository was public a moment ago", async () => {
    const { request, registry, wasLoginUsed } = await createScene();
    await request();
    registry.setVisibility("owner/image", "private");
    registry.fail({ kind: "manifest", method: "HEAD" }, behaviours.tooManyRequests(30));
    registry.requests.length = 0;
    for (const method of ["HEAD", "GET"] as const) {
      const { kind } = await failureOf(request({ method }));
      expect(["limited", "denied"]).toContain(kind);
    }
    expect(wasLoginUsed()).toBe(false);
  });

  test("because a tags list was served anonymously: that doesn't imply access to content", async () => {
    const { request, registry, wasLoginUsed } = await createScene();
    await request({ path: "tags/list" });
    registry.setVisibility("owner/image", "private");
    expect((await failureOf(request())).kind).toBe("denied");
    expect(wasLoginUsed()).toBe(false);
  });

  test("because a fallback served it anonymously: a fallback doesn't control access", async () => {
    const endpoints = ["https://registry.test", "https://one.test"];
    const { request, registry, image, wasLoginUsed } = await createScene({}, endpoints);
    registry.setVisibility("owner/image", "private");
    registry.fail({}, behaviours.tooManyRequests(), 2);
    const path = `blobs/${image.layers[0]?.digest}`;
    expect(await (await request({ path })).text()).toBe("from the fallback");
    registry.reset();
    expect((await failureOf(request())).kind).toBe("denied");
    expect(wasLoginUsed()).toBe(false);
  });
});

describe("a mirror with a login for docker.io", () => {
  const mirror = useMirror({ UPSTREAM_CREDENTIALS: { "docker.io": [OWNER] } });
  let image: Image;

  beforeEach(async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    mirror.docker.settings.credentials = [OWNER];
    image = await mirror.docker.addImage("owner/image", "latest");
  });

  const paths = () => [
    "manifests/latest",
    `manifests/${image.target.digest}`,
    `blobs/${image.layers[0]?.digest}`,
    "tags/list",
  ];

  test("answers 403 for a private repository that the login could pull, and stores nothing of it", async () => {
    mirror.docker.setVisibility("owner/image", "private");
    for (const path of paths()) {
      for (const headers of [{}, { Range: "bytes=0-3" }]) {
        const { status, bytes } = await mirror.request(`/v2/owner/image/${path}`, { headers });
        expect([path, status]).toEqual([path, 403]);
        expect(new TextDecoder().decode(bytes)).toContain("DENIED");
      }
    }
    expect(mirror.docker.count({ kind: "token" })).toBeGreaterThan(0);
    expect(
      mirror.docker.requests.filter(({ headers }) => headers.authorization?.startsWith("Basic")),
    ).toEqual([]);
    expect(await mirror.stored()).toEqual([]);
    expect((await mirror.bindings.TAGS.list()).keys).toEqual([]);
  });

  test("serves no new content of a repository that was public when it was pulled", async () => {
    for (const path of paths()) expect((await mirror.request(`/v2/owner/image/${path}`)).status).toBe(200);
    const content = async () => (await mirror.stored()).filter((key) => !key.startsWith("listings/"));
    const before = await content();
    mirror.docker.setVisibility("owner/image", "private");
    const secret = await mirror.docker.addImage("owner/image", "new", { layers: [patternBytes(5_000, 3)] });
    mirror.docker.requests.length = 0;
    const fresh = [
      "manifests/new",
      `manifests/${secret.target.digest}`,
      ...secret.layers.map(({ digest }) => `blobs/${digest}`),
      "tags/list",
    ];
    const limits = [null, behaviours.tooManyRequests(30)];
    for (const limit of limits) {
      if (limit) mirror.docker.fail({ method: "HEAD" }, limit);
      for (const path of fresh) {
        for (const method of ["HEAD", "GET"]) {
          const { status } = await mirror.request(`/v2/owner/image/${path}`, { method });
          expect([path, method, [403, 429].includes(status)]).toEqual([path, method, true]);
        }
      }
    }
    expect(
      mirror.docker.requests.filter(({ headers }) => headers.authorization?.startsWith("Basic")),
    ).toEqual([]);
    expect(await content()).toEqual(before);
  });

  test("answers for a repository that doesn't exist as for one that is private, without the login", async () => {
    expect(profiles["docker.io"].unknownRepositories).toBe("private");
    expect((await mirror.request("/v2/no/such/manifests/latest")).status).toBe(403);
    expect(
      mirror.docker.requests.filter(({ headers }) => headers.authorization?.startsWith("Basic")),
    ).toEqual([]);
  });

  test("serves a public repository with the login", async () => {
    for (const path of paths()) expect((await mirror.request(`/v2/owner/image/${path}`)).status).toBe(200);
    expect(
      mirror.docker.requests.filter(({ headers }) => headers.authorization?.startsWith("Basic")),
    ).toHaveLength(1);
  });
});
