/** Relays: when they are requested, with what, and what of their responses counts. */
import { describe, expect, test } from "vitest";
import { basic } from "../../src/registry/registry.ts";
import type { Relay } from "../../src/upstream/relays.ts";
import type { Identity } from "../../src/upstream/request.ts";
import { createClient, createClock, DIGEST, stub, upstreamOf } from "./support.ts";

const KEY = "r".repeat(32);
const RELAY: Relay = {
  url: new URL("https://relay.test"),
  upstreams: [],
  when: "limited",
  private: false,
  key: KEY,
  binding: null,
};
const MANIFEST = "manifests/latest";
const BLOB = `blobs/${DIGEST}`;
const OPERATOR: Identity = { kind: "operator" };
const USER: Identity = { kind: "user", authorization: "Basic dXNlcjpwYXNz" };

type Responses = Record<string, (request: Request) => Response | Promise<Response>>;

/** A client with a relay, and the hosts it sent requests to, in order. */
function createScene(
  relay: Partial<Relay>,
  responses: Responses,
  logins: Parameters<typeof createClient>[2] = [],
) {
  const ok = () => new Response("{}");
  const { fetch, requested } = stub(async (request) => {
    const { host } = new URL(request.url);
    return (responses[host] ?? ok)(request);
  });
  const clock = createClock();
  const client = createClient(fetch, clock.now, logins, [{ ...RELAY, ...relay }]);
  const hosts = () => requested.splice(0).map(({ url }) => new URL(url).host);
  return { ...client, clock, requested, hosts };
}

const status =
  (code: number, headers: HeadersInit = {}) =>
  () =>
    new Response(null, { status: code, headers });

describe("a relay for when the registry limits requests", () => {
  test.each([429, 500, 503])("resolves a tag that the registry answers with %i", async (code) => {
    const { status: statusOf, hosts, requested } = createScene({}, { "registry.test": status(code) });
    expect(await statusOf({ path: MANIFEST })).toBe(200);
    const last = requested.at(-1);
    expect(last?.url).toBe("https://relay.test/v2/registry.test/owner/image/manifests/latest");
    expect(last?.headers.get("Authorization")).toBe(basic({ username: "portolan", password: KEY }));
    expect(last?.headers.get("Portolan-Identity")).toBe("anonymous");
    expect(hosts().at(-1)).toBe("relay.test");
  });

  test.each([401, 403, 404])("isn't requested what the registry answers with %i", async (code) => {
    const { failure, hosts } = createScene({}, { "registry.test": status(code) });
    expect((await failure({ path: MANIFEST })).kind).toBe(code === 404 ? "missing" : "denied");
    expect(hosts()).not.toContain("relay.test");
  });

  test("is requested at once while the registry's limit lasts", async () => {
    const { status: statusOf, hosts } = createScene(
      {},
      { "registry.test": status(429, { "Retry-After": "60" }) },
    );
    await statusOf({ path: MANIFEST });
    hosts();
    expect(await statusOf({ path: MANIFEST })).toBe(200);
    expect(hosts()).toEqual(["relay.test"]);
  });

  test("stands in for all that the registry has, while its token endpoint limits requests", async () => {
    const realm = 'Bearer realm="https://auth.test/token",service="registry.test"';
    const {
      status: statusOf,
      hosts,
      clock,
    } = createScene(
      {},
      { "registry.test": status(401, { "WWW-Authenticate": realm }), "auth.test": status(429) },
    );
    expect(await statusOf({ path: MANIFEST })).toBe(200);
    expect(hosts()).toEqual(["registry.test", "auth.test", "relay.test"]);
    expect(await statusOf({ path: BLOB, repository: "owner/other" })).toBe(200);
    expect(hosts()).toEqual(["relay.test"]);
    clock.pass(61);
    await statusOf({ path: MANIFEST });
    expect(hosts()[0]).toBe("registry.test");
  });

  test("comes before the fallbacks, and the registry's own failure is reported if all fail", async () => {
    const upstream = upstreamOf({ endpoints: ["https://registry.test", "https://fallback.test"] });
    const { failure, hosts } = createScene(
      {},
      { "registry.test": status(429), "relay.test": status(429), "fallback.test": status(404) },
    );
    const { kind, message } = await failure({ upstream, path: BLOB });
    expect([kind, message]).toEqual([
      "limited",
      `upstream limits requests; requested was owner/image/${BLOB}`,
    ]);
    expect(hosts()).toEqual(["registry.test", "relay.test", "fallback.test"]);
  });
});

describe("a relay for always", () => {
  const always = { when: "always" } as const;

  test.each([MANIFEST, BLOB, "tags/list", `referrers/${DIGEST}`])(
    "is requested %s, and the registry isn't",
    async (path) => {
      const { status: statusOf, hosts } = createScene(always, {});
      expect(await statusOf({ path })).toBe(200);
      expect(hosts()).toEqual(["relay.test"]);
    },
  );

  test.each([
    [404, "missing"],
    [403, "denied"],
  ])("has the last word with %i", async (code, kind) => {
    const { failure, hosts } = createScene(always, { "relay.test": status(code) });
    expect((await failure({ path: MANIFEST })).kind).toBe(kind);
    expect(hosts()).toEqual(["relay.test"]);
  });

  test("that fails leaves it to the registry", async () => {
    const { status: statusOf, hosts } = createScene(always, { "relay.test": status(503) });
    expect(await statusOf({ path: MANIFEST })).toBe(200);
    expect(hosts().at(-1)).toBe("registry.test");
  });

  test("that has only what was confirmed earlier leaves it to the registry", async () => {
    const stale = () => new Response("{}", { headers: { Warning: '299 - "served is 3 hours ago"' } });
    const { status: statusOf, hosts } = createScene(always, { "relay.test": stale });
    expect(await statusOf({ path: MANIFEST })).toBe(200);
    expect(hosts()).toEqual(["relay.test", "registry.test"]);
    const { failure } = createScene(always, { "relay.test": stale, "registry.test": status(503) });
    expect((await failure({ path: MANIFEST })).message).toBe(
      "the relay relay.test can't reach registry.test",
    );
  });

  test("that doesn't accept its key says so, if the registry fails too", async () => {
    const { failure } = createScene(always, { "relay.test": status(401), "registry.test": status(503) });
    expect((await failure({ path: MANIFEST })).message).toBe(
      "the relay relay.test doesn't accept its key in RELAY_KEYS",
    );
  });

  test("tells whether a repository is public", async () => {
    const scene = createScene(always, { "registry.test": status(500) });
    expect(await scene.isPublic({ path: MANIFEST })).toBe(true);
    const denied = createScene(always, { "relay.test": status(403) });
    expect(await denied.isPublic({ path: MANIFEST })).toBe(false);
  });
});

test("a relay of some upstreams isn't requested for others", async () => {
  const { failure, hosts } = createScene({ upstreams: ["other.test"] }, { "registry.test": status(429) });
  await failure({ path: MANIFEST });
  expect(hosts()).not.toContain("relay.test");
});

describe("a relay's key", () => {
  test("is sent to no host that it redirects to", async () => {
    const seen: (string | null)[] = [];
    const { request } = createScene(
      { when: "always" },
      {
        "relay.test": () => Response.redirect("https://auth.test/x"),
        "auth.test": ({ headers }) => {
          seen.push(headers.get("Authorization"));
          return new Response("{}");
        },
      },
    );
    await request({ path: BLOB });
    expect(seen).toEqual([null]);
  });
});

describe("private content", () => {
  test("is requested of no relay", async () => {
    for (const identity of [OPERATOR, USER]) {
      const { failure, hosts } = createScene({ when: "always" }, { "registry.test": status(404) });
      await failure({ path: MANIFEST, identity });
      expect(hosts()).not.toContain("relay.test");
    }
  });

  test("is requested of one that is trusted with it, on the operator's behalf and without a login", async () => {
    const { status: statusOf, hosts, requested } = createScene({ when: "always", private: true }, {});
    expect(await statusOf({ path: MANIFEST, identity: OPERATOR })).toBe(200);
    expect(requested[0]?.headers.get("Portolan-Identity")).toBe(null);
    expect(hosts()).toEqual(["relay.test"]);
  });

  test("isn't requested with a user's own login even of that", async () => {
    const { failure, hosts } = createScene(
      { when: "always", private: true },
      { "registry.test": status(404) },
    );
    await failure({ path: MANIFEST, identity: USER });
    expect(hosts()).toEqual(["registry.test"]);
  });
});

test("what came through this mirror before isn't sent to a relay again", async () => {
  const { failure, hosts } = createScene({ when: "always" }, { "registry.test": status(404) });
  await failure({ path: MANIFEST, via: "1.1 portolan-other, 1.1 portolan" });
  expect(hosts()).not.toContain("relay.test");
});
