import { beforeEach, describe, expect, test, vi } from "vitest";
import { UpstreamClient } from "../../src/upstream/client.ts";
import type { Question } from "../../src/upstream/question.ts";
import { Visibility } from "../../src/upstream/visibility.ts";
import {
  behaviours,
  createFakeRegistry,
  type FakeRegistryOptions,
  type Image,
  profiles,
} from "../support/fake-registry.ts";
import { useMirror } from "../support/mirror.ts";
import { createClock, failureOf, upstreamOf } from "./asking.ts";

const OWNER = { username: "owner", password: "secret" };
const DAY = 24 * 3600;

describe("what is known of a repository", () => {
  const createKnowledge = () => {
    const clock = createClock();
    return { clock, known: new Visibility(clock.now) };
  };

  test("is nothing before anybody has asked", () => {
    expect(createKnowledge().known.isPublic("registry.test", "owner/image")).toBeNull();
  });

  test("lasts for a day since it last was given to anybody", () => {
    const { known, clock } = createKnowledge();
    known.notePublic("registry.test", "owner/image");
    clock.pass(DAY - 1);
    expect(known.isPublic("registry.test", "owner/image")).toBe(true);
    known.notePublic("registry.test", "owner/image");
    clock.pass(DAY - 1);
    expect(known.isPublic("registry.test", "owner/image")).toBe(true);
    clock.pass(1);
    expect(known.isPublic("registry.test", "owner/image")).toBeNull();
  });

  test("ends with a denial, which lasts for minutes", () => {
    const { known, clock } = createKnowledge();
    known.notePublic("registry.test", "owner/image");
    known.noteClosed("registry.test", "owner/image");
    expect(known.isPublic("registry.test", "owner/image")).toBe(false);
    clock.pass(300);
    expect(known.isPublic("registry.test", "owner/image")).toBeNull();
  });

  test("says nothing of another repository, nor of the same name elsewhere", () => {
    const { known } = createKnowledge();
    known.notePublic("registry.test", "owner/image");
    known.notePublic("other.test", "owner/other");
    known.noteClosed("registry.test", "owner/other");
    expect(known.isPublic("registry.test", "owner/other")).toBe(false);
    expect(known.isPublic("other.test", "owner/image")).toBeNull();
    expect(known.isPublic("other.test", "owner/other")).toBe(true);
  });

  test("doesn't grow without end: what was heard of longest ago is forgotten first", () => {
    const { known } = createKnowledge();
    known.notePublic("registry.test", "first");
    known.notePublic("registry.test", "second");
    for (let index = 0; index < 9_998; index++) known.notePublic("registry.test", `other/${index}`);
    known.notePublic("registry.test", "first");
    known.notePublic("registry.test", "one-more");
    expect(known.isPublic("registry.test", "second")).toBeNull();
    expect(known.isPublic("registry.test", "first")).toBe(true);
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
      ? new Response("from the alternate")
      : registry.fetch(String(input), init);
  const client = new UpstreamClient({ fetch, now: clock.now, credentials: { "registry.test": [OWNER] } });
  const ask = (question: Partial<Question> = {}) =>
    client.ask(
      { upstream, repository: "owner/image", method: "GET", path: "manifests/latest", ...question },
      () => {},
    );
  /** What came to the registry past its 401s since the last call, and whose tokens were asked for. */
  const seen = () => {
    const lines = registry.requests
      .filter(({ status }) => status !== 401)
      .map(({ kind, method, headers }) =>
        kind === "token"
          ? `token of ${headers.authorization === undefined ? "nobody" : "owner"}`
          : `${method} ${kind}`,
      );
    registry.requests.length = 0;
    return lines;
  };
  const wasLoginUsed = () =>
    registry.requests.some(({ headers }) => headers.authorization?.startsWith("Basic"));
  return { clock, registry, image, ask, seen, wasLoginUsed };
}

describe("the owner's login is used", () => {
  test("once an anonymous HEAD has shown that anybody may pull, and then without another", async () => {
    const { ask, seen } = await createScene();
    await ask();
    expect(seen()).toEqual(["token of nobody", "HEAD manifest", "token of owner", "GET manifest"]);
    await ask();
    expect(seen()).toEqual(["GET manifest"]);
  });

  test("for a blob after a HEAD of the blob, and then for the repository's manifests too", async () => {
    const { ask, seen, image } = await createScene();
    await ask({ path: `blobs/${image.layers[0]?.digest}` });
    expect(seen()).toEqual(["token of nobody", "HEAD blob", "token of owner", "GET blob"]);
    await ask();
    expect(seen()).toEqual(["GET manifest"]);
  });

  test("without a HEAD of its own after a client's, which is asked as nobody", async () => {
    const { ask, seen } = await createScene();
    await ask({ method: "HEAD" });
    expect(seen()).toEqual(["token of nobody", "HEAD manifest"]);
    await ask();
    expect(seen()).toEqual(["token of owner", "GET manifest"]);
  });

  test("after a day only if anybody may still pull", async () => {
    const { ask, seen, clock } = await createScene();
    await ask();
    clock.pass(DAY);
    seen();
    await ask();
    expect(seen()).toEqual(["token of nobody", "HEAD manifest", "token of owner", "GET manifest"]);
  });
});

describe("the owner's login is never used", () => {
  test.each([
    ["refuses tokens for", { deniedScope: "refuse" }],
    ["denies", { deniedScope: "grant-nothing" }],
    ["has behind Basic", { auth: "basic" }],
  ] as const)("for what the registry %s to the anonymous, though it would open it", async (_, options) => {
    const { ask, registry, wasLoginUsed } = await createScene(options);
    registry.setVisibility("owner/image", "private");
    for (const method of ["GET", "HEAD", "GET"] as const) {
      expect(await failureOf(ask({ method }))).toMatchObject({ kind: "denied" });
    }
    expect(wasLoginUsed()).toBe(false);
  });

  test("for what isn't there: the anonymous answer stands", async () => {
    const { ask, wasLoginUsed } = await createScene();
    expect((await failureOf(ask({ path: "manifests/gone" }))).kind).toBe("missing");
    expect(wasLoginUsed()).toBe(false);
  });

  test.each([
    ["limited", behaviours.tooManyRequests(30)],
    ["limited without a word of how long", behaviours.tooManyRequests()],
    ["answered 405", { status: 405 }],
    ["answered 500", { status: 500 }],
    ["lost on the way", { network: true as const }],
  ])("where the HEAD is %s: nobody's turn is the only safe one", async (_, behaviour) => {
    const { ask, registry, seen, wasLoginUsed } = await createScene();
    registry.fail({ kind: "manifest", method: "HEAD", authorized: true }, behaviour);
    expect((await ask()).status).toBe(200);
    expect(wasLoginUsed()).toBe(false);
    expect(seen().at(-1)).toBe("GET manifest");
  });

  test("for a private repository where the HEAD is limited", async () => {
    const { ask, registry, wasLoginUsed } = await createScene();
    registry.setVisibility("owner/image", "private");
    registry.fail({ kind: "manifest", method: "HEAD" }, behaviours.tooManyRequests(30));
    for (let round = 0; round < 2; round++) expect((await failureOf(ask())).kind).toBe("denied");
    expect(wasLoginUsed()).toBe(false);
  });

  test("for a repository that has become private, once the day is over", async () => {
    const { ask, registry, clock, wasLoginUsed } = await createScene();
    await ask();
    registry.setVisibility("owner/image", "private");
    registry.requests.length = 0;
    clock.pass(DAY);
    expect((await failureOf(ask())).kind).toBe("denied");
    expect(wasLoginUsed()).toBe(false);
  });

  test("for a repository that has become private, once anybody has looked whether its tag has moved", async () => {
    const { ask, registry, wasLoginUsed } = await createScene();
    await ask();
    registry.setVisibility("owner/image", "private");
    registry.requests.length = 0;
    expect((await failureOf(ask({ method: "HEAD" }))).kind).toBe("denied");
    expect((await failureOf(ask())).kind).toBe("denied");
    expect(wasLoginUsed()).toBe(false);
  });

  test("for a repository that has become private, once anybody has been denied it", async () => {
    const { ask, registry, clock, wasLoginUsed } = await createScene();
    await ask();
    registry.setVisibility("owner/image", "private");
    // With the login set aside it is nobody's turn, and nobody hears that it is private now.
    registry.fail({ kind: "token" }, behaviours.tooManyRequests(60), 1);
    clock.pass(400);
    expect((await failureOf(ask())).kind).toBe("denied");
    registry.reset();
    clock.pass(61);
    expect((await failureOf(ask())).kind).toBe("denied");
    expect(wasLoginUsed()).toBe(false);
  });

  test("because a tags list was given to an anonymous client: that says nothing of who may pull", async () => {
    const { ask, registry, wasLoginUsed } = await createScene();
    await ask({ path: "tags/list" });
    registry.setVisibility("owner/image", "private");
    expect((await failureOf(ask())).kind).toBe("denied");
    expect(wasLoginUsed()).toBe(false);
  });

  test("because an alternate gave it to anybody: an alternate doesn't know who may pull", async () => {
    const endpoints = ["https://registry.test", "https://one.test"];
    const { ask, registry, image, wasLoginUsed } = await createScene({}, endpoints);
    registry.setVisibility("owner/image", "private");
    registry.fail({}, behaviours.tooManyRequests(), 2);
    const path = `blobs/${image.layers[0]?.digest}`;
    expect(await (await ask({ path })).text()).toBe("from the alternate");
    registry.reset();
    expect((await failureOf(ask())).kind).toBe("denied");
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

  test("answers 403 for a private repository that the login could open, and keeps nothing of it", async () => {
    mirror.docker.setVisibility("owner/image", "private");
    for (const path of paths()) {
      for (const headers of [{}, { Range: "bytes=0-3" }]) {
        const { status, bytes } = await mirror.ask(`/v2/owner/image/${path}`, { headers });
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

  test("answers for a repository that doesn't exist as for one that is private, without the login", async () => {
    expect(profiles["docker.io"].unknownRepositories).toBe("private");
    expect((await mirror.ask("/v2/no/such/manifests/latest")).status).toBe(403);
    expect(
      mirror.docker.requests.filter(({ headers }) => headers.authorization?.startsWith("Basic")),
    ).toEqual([]);
  });

  test("serves a public repository with the login", async () => {
    for (const path of paths()) expect((await mirror.ask(`/v2/owner/image/${path}`)).status).toBe(200);
    expect(
      mirror.docker.requests.filter(({ headers }) => headers.authorization?.startsWith("Basic")),
    ).toHaveLength(1);
  });
});
