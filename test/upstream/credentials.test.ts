import { beforeEach, describe, expect, type MockInstance, test, vi } from "vitest";
import { basic, type Credential } from "../../src/registry/registry.ts";
import { UpstreamClient } from "../../src/upstream/client.ts";
import { Credentials } from "../../src/upstream/credentials.ts";
import type { UpstreamRequest } from "../../src/upstream/request.ts";
import { BEARER } from "../registry/support.ts";
import { createClock, failureOf, stub, upstreamOf } from "./support.ts";

const ANN = { username: "ann", password: "secret-of-ann" };
const BOB = { username: "bob", password: "secret-of-bob" };
const UPSTREAM = upstreamOf();
const SIX_HOURS = 6 * 3600;

let log: MockInstance<typeof console.error>;

beforeEach(() => {
  log = vi
    .spyOn(console, "error")
    .mockReset()
    .mockImplementation(() => {});
});

describe("the pool", () => {
  const createPool = () => {
    const clock = createClock();
    const pool = new Credentials({ "registry.test": [ANN, BOB] }, clock.now);
    const [ann, bob] = pool.usable(UPSTREAM);
    if (ann === undefined || bob === undefined) throw new Error("both logins should be usable");
    const remaining = (text: string) => new Headers({ "ratelimit-remaining": text });
    return {
      clock,
      pool,
      ann,
      bob,
      remaining,
      users: () => pool.usable(UPSTREAM).map((login) => login.username),
    };
  };

  test("belongs to the upstream it was configured for", () => {
    const { pool } = createPool();
    expect(pool.has(UPSTREAM)).toBe(true);
    const other = upstreamOf({ name: "other.test" });
    expect([pool.has(other), pool.usable(other)]).toEqual([false, []]);
  });

  test("names each login by its position, for messages", () => {
    const { ann, bob } = createPool();
    expect([ann.name, bob.name]).toEqual(["registry.test #1", "registry.test #2"]);
  });

  test("prefers the login with most pulls left, and before that one whose limit is unknown", () => {
    const { pool, ann, bob, remaining, users } = createPool();
    expect(users()).toEqual(["ann", "bob"]);
    pool.note(ann, remaining("76;w=21600"));
    expect(users()).toEqual(["bob", "ann"]);
    pool.note(bob, remaining("9;w=21600"));
    expect(users()).toEqual(["ann", "bob"]);
  });

  test.each(["", "many", "-5"])("learns nothing from a ratelimit-remaining of %j", (text) => {
    const { pool, ann, bob, remaining, users } = createPool();
    pool.note(ann, remaining("50"));
    pool.note(bob, remaining("60"));
    pool.note(ann, remaining(text));
    pool.note(bob, new Headers());
    expect(users()).toEqual(["bob", "ann"]);
  });

  test("sets a login aside until its limit ends, then treats it as new", () => {
    const { clock, pool, ann, bob, remaining, users } = createPool();
    pool.note(bob, remaining("100"));
    pool.setAside(ann, 90);
    clock.pass(89);
    expect(users()).toEqual(["bob"]);
    clock.pass(1);
    expect(users()).toEqual(["ann", "bob"]);
  });

  test("sets one aside for a minute where upstream names no duration", () => {
    const { clock, pool, ann, users } = createPool();
    pool.setAside(ann, null);
    clock.pass(59);
    expect(users()).toEqual(["bob"]);
    clock.pass(1);
    expect(users()).toEqual(["ann", "bob"]);
  });

  test("sets none aside for longer than Docker Hub's window, whatever upstream sends", () => {
    const { clock, pool, ann, users } = createPool();
    pool.setAside(ann, 365 * 24 * 3600);
    clock.pass(SIX_HOURS - 1);
    expect(users()).toEqual(["bob"]);
    clock.pass(1);
    expect(users()).toEqual(["ann", "bob"]);
  });

  test("keeps one aside although a response to an earlier request arrives", () => {
    const { pool, ann, remaining, users } = createPool();
    pool.setAside(ann, 90);
    pool.note(ann, remaining("100"));
    expect(users()).toEqual(["bob"]);
  });

  test("sets a refused login aside for a quarter of an hour, and logs that once, by its position only", () => {
    const { clock, pool, bob, users } = createPool();
    pool.refuse(bob);
    pool.refuse(bob);
    clock.pass(15 * 60 - 1);
    expect(users()).toEqual(["ann"]);
    expect(log.mock.calls).toEqual([
      [
        "upstream refuses the credential registry.test #2 of UPSTREAM_CREDENTIALS; it is tried again in 15 minutes",
      ],
    ]);
    clock.pass(1);
    expect(users()).toEqual(["ann", "bob"]);
    pool.refuse(bob);
    expect(users()).toEqual(["ann"]);
  });

  test("has an accepted login as long as one isn't refused, even if its limit is reached", () => {
    const { pool, ann, bob } = createPool();
    pool.setAside(ann, 90);
    pool.refuse(bob);
    expect([pool.usable(UPSTREAM), pool.hasAccepted(UPSTREAM)]).toEqual([[], true]);
    pool.refuse(ann);
    expect(pool.hasAccepted(UPSTREAM)).toBe(false);
  });

  test("encodes a login in UTF-8, as RFC 7617 requires", () => {
    expect(basic(ANN)).toBe(`Basic ${btoa("ann:secret-of-ann")}`);
    expect(basic({ username: "ü", password: "p:€" })).toBe("Basic w7w6cDrigqw=");
  });
});

/** Responses for a login, or for "anonymous"; `null` is content. */
type Respond = (who: string, request: Request) => Response | null;

/** A client with Ann's and Bob's logins at a registry whose tokens say whose they are. */
function createScene(response: Respond = () => null, credentials: readonly Credential[] = [ANN, BOB]) {
  const clock = createClock();
  const users = new Map(credentials.map((credential) => [basic(credential), credential.username]));
  const who = ({ headers }: Request) => users.get(headers.get("Authorization") ?? "") ?? "anonymous";
  const refused = new Map<string, number>();
  const { fetch, requested } = stub((request) => {
    if (new URL(request.url).host === "auth.test") {
      const user = who(request);
      const status = refused.get(user);
      return status === undefined
        ? Response.json({ token: user, expires_in: 300 })
        : new Response(null, { status });
    }
    const token = /^Bearer (.+)$/.exec(request.headers.get("Authorization") ?? "")?.[1];
    if (token === undefined)
      return new Response(null, { status: 401, headers: { "WWW-Authenticate": BEARER } });
    return response(token, request) ?? new Response("content");
  });
  const client = new UpstreamClient({ fetch, now: clock.now, credentials: { "registry.test": credentials } });
  const request = (sketch: Partial<UpstreamRequest> = {}) =>
    client.fetch(
      { upstream: UPSTREAM, repository: "owner/image", method: "GET", path: "manifests/latest", ...sketch },
      () => {},
    );
  return {
    clock,
    requested,
    request,
    /** Makes a request and returns the logins with which the registry was requested, in order: "GET ann". */
    async tries(sketch: Partial<UpstreamRequest> = {}) {
      requested.length = 0;
      await (await request(sketch)).body?.cancel();
      return requested.flatMap(({ method, url, headers }) => {
        const token = /^Bearer (.+)$/.exec(headers.get("Authorization") ?? "")?.[1];
        return new URL(url).host === "registry.test" && token !== undefined ? [`${method} ${token}`] : [];
      });
    },
    /** Makes the token endpoint refuse a user with a status. */
    refuse: (user: string, status: number) => refused.set(user, status),
    accept: (user: string) => refused.delete(user),
    tokensFor: (user: string) =>
      requested.filter((request) => new URL(request.url).host === "auth.test" && who(request) === user)
        .length,
  };
}

const limited = (seconds?: number) =>
  new Response(null, {
    status: 429,
    headers: seconds === undefined ? {} : { "Retry-After": String(seconds) },
  });
const left = (count: number) =>
  new Response("content", { headers: { "ratelimit-remaining": `${count};w=21600` } });

describe("public content is requested", () => {
  test("with the login that has most pulls left", async () => {
    const remaining: Record<string, number> = { ann: 40, bob: 90 };
    const { tries } = createScene((who) => left(remaining[who] ?? 0));
    expect(await tries()).toEqual(["HEAD anonymous", "GET ann"]);
    expect(await tries()).toEqual(["HEAD anonymous", "GET bob"]);
    expect(await tries()).toEqual(["HEAD anonymous", "GET bob"]);
    remaining.bob = 39;
    expect(await tries()).toEqual(["HEAD anonymous", "GET bob"]);
    expect(await tries()).toEqual(["HEAD anonymous", "GET ann"]);
  });

  test("with another login at once when one has no pulls left, and with that one again afterwards", async () => {
    let isOver = false;
    const { tries, clock } = createScene((who) => (who === "ann" && !isOver ? limited(120) : null));
    expect(await tries()).toEqual(["HEAD anonymous", "GET ann", "GET bob"]);
    isOver = true;
    clock.pass(119);
    expect(await tries()).toEqual(["HEAD anonymous", "GET bob"]);
    clock.pass(1);
    expect(await tries()).toEqual(["HEAD anonymous", "GET ann"]);
  });

  test("anonymously when every login has reached its limit", async () => {
    const { tries } = createScene((who) => (who === "anonymous" ? null : limited(120)));
    expect(await tries()).toEqual(["HEAD anonymous", "GET ann", "GET bob", "GET anonymous"]);
    expect(await tries()).toEqual(["GET anonymous"]);
  });

  test("without success when the anonymous limit is reached too: that limit is reported to the client", async () => {
    const { request } = createScene((who, { method }) =>
      method === "HEAD" ? null : limited(who === "anonymous" ? 33 : 120),
    );
    expect(await failureOf(request())).toMatchObject({ kind: "limited", retryAfter: 33 });
  });

  test("with a login also where only the anonymous limit is known to be reached", async () => {
    let hasLogins = false;
    const { tries, request, clock } = createScene((who, { method }) => {
      if (method === "HEAD") return null;
      if (who === "anonymous") return limited(3600);
      return hasLogins ? null : limited(10);
    });
    await failureOf(request());
    hasLogins = true;
    clock.pass(10);
    expect(await tries()).toEqual(["HEAD anonymous", "GET ann"]);
  });

  test("anonymously by HEAD, also where the anonymous limit is reached", async () => {
    let isLimited = false;
    const { tries, request, requested } = createScene(
      (who) => (who === "anonymous" && isLimited ? limited() : null),
      [ANN],
    );
    expect(await tries()).toEqual(["HEAD anonymous", "GET ann"]);
    isLimited = true;
    requested.length = 0;
    for (const method of ["HEAD", "GET"] as const)
      expect(await failureOf(request({ method }))).toMatchObject({ kind: "limited" });
    expect(requested.filter(({ headers }) => headers.get("Authorization")?.includes("ann"))).toEqual([]);
  });

  test("anonymously for a list of tags, which isn't limited", async () => {
    const { tries } = createScene();
    await tries();
    expect(await tries({ path: "tags/list" })).toEqual(["GET anonymous"]);
  });

  test("with each login's own token, kept for the next time", async () => {
    const { tries, tokensFor } = createScene((who) => left(who === "ann" ? 90 : 1));
    await tries();
    expect([tokensFor("ann"), tokensFor("bob"), tokensFor("anonymous")]).toEqual([1, 0, 1]);
    await tries();
    expect([tokensFor("ann"), tokensFor("bob"), tokensFor("anonymous")]).toEqual([0, 1, 0]);
    expect(await tries()).toEqual(["HEAD anonymous", "GET ann"]);
    expect([tokensFor("ann"), tokensFor("bob"), tokensFor("anonymous")]).toEqual([0, 0, 0]);
  });
});

describe("a login that the token endpoint refuses", () => {
  test.each([401, 403])(
    "with %i is set aside, named in one line of the log, and followed by the next",
    async (status) => {
      const { tries, tokensFor, refuse, clock } = createScene();
      refuse("ann", status);
      expect(await tries()).toEqual(["HEAD anonymous", "GET bob"]);
      // For the repository, and for nothing: it might be only the repository that isn't open to her.
      expect(tokensFor("ann")).toBe(2);
      clock.pass(14 * 60);
      expect(await tries()).not.toContain("GET ann");
      expect(await tries({ repository: "owner/other" })).toEqual(["HEAD anonymous", "GET bob"]);
      expect(tokensFor("ann")).toBe(0);
      expect(log).toHaveBeenCalledTimes(1);
      const [line] = log.mock.calls[0] ?? [];
      expect(line).toContain("registry.test #1");
      expect(line).not.toMatch(/ann|secret/);
    },
  );

  test("as the last login is followed by an anonymous request: the content is public", async () => {
    const { tries, refuse } = createScene();
    refuse("ann", 401);
    refuse("bob", 401);
    expect(await tries()).toEqual(["HEAD anonymous", "GET anonymous"]);
  });

  test("when its token has expired is set aside then", async () => {
    const { tries, refuse, clock } = createScene(undefined, [ANN]);
    expect(await tries()).toEqual(["HEAD anonymous", "GET ann"]);
    refuse("ann", 401);
    clock.pass(400);
    expect(await tries()).toEqual(["HEAD anonymous", "GET anonymous"]);
    expect(log).toHaveBeenCalledTimes(1);
  });

  test("with 429 has reached a limit: it is used again afterwards", async () => {
    const { tries, refuse, accept, clock } = createScene(undefined, [ANN]);
    refuse("ann", 429);
    expect(await tries()).toEqual(["HEAD anonymous", "GET anonymous"]);
    expect(log).not.toHaveBeenCalled();
    accept("ann");
    clock.pass(59);
    expect(await tries()).toEqual(["GET anonymous"]);
    clock.pass(1);
    expect(await tries()).toEqual(["HEAD anonymous", "GET ann"]);
  });

  test("with 500 isn't set aside: the endpoint is failing", async () => {
    const { request, refuse } = createScene(undefined, [ANN]);
    refuse("ann", 500);
    expect(await failureOf(request())).toMatchObject({ kind: "unavailable", status: 500 });
    expect(log).not.toHaveBeenCalled();
  });
});

describe("a login to which the registry itself denies public content", () => {
  test.each([401, 403])("with %i doesn't keep public content from the client", async (status) => {
    const { tries } = createScene(
      (who) => (who === "anonymous" ? null : new Response(null, { status })),
      [ANN],
    );
    expect((await tries()).at(-1)).toBe("GET anonymous");
  });

  test.each([401, 403])(
    "with %i still works for other repositories: its password wasn't refused",
    async (status) => {
      const { tries } = createScene(
        (who, { url }) =>
          who === "ann" && url.includes("owner/image") ? new Response(null, { status }) : null,
        [ANN],
      );
      await tries();
      expect(await tries({ repository: "owner/other" })).toEqual(["HEAD anonymous", "GET ann"]);
      expect(log).not.toHaveBeenCalled();
    },
  );
});

describe("a registry that requires Basic", () => {
  /** HEAD is anonymous; a GET requires a login, or what `mayGet` decides. */
  const createBasicScene = (mayGet: (authorization: string | null) => boolean) => {
    const clock = createClock();
    const { fetch, requested } = stub(({ method, headers }) =>
      method === "HEAD" || mayGet(headers.get("Authorization"))
        ? new Response("content")
        : new Response(null, { status: 401, headers: { "WWW-Authenticate": 'Basic realm="registry.test"' } }),
    );
    const client = new UpstreamClient({ fetch, now: clock.now, credentials: { "registry.test": [ANN] } });
    const request = () =>
      client.fetch(
        { upstream: UPSTREAM, repository: "owner/image", method: "GET", path: "manifests/latest" },
        () => {},
      );
    return { request, requested, shown: () => requested.map(({ headers }) => headers.get("Authorization")) };
  };

  test("gets the login only after its challenge", async () => {
    const { request, shown } = createBasicScene((authorization) => authorization === basic(ANN));
    expect((await request()).status).toBe(200);
    expect(shown()).toEqual([null, null, basic(ANN)]);
  });

  test("but serves anonymous requests never receives a login", async () => {
    const { request, shown } = createBasicScene(() => true);
    for (const _ of [1, 2]) await request();
    expect(shown()).toEqual([null, null, null, null]);
  });

  test("isn't sent a refused login again: that gets accounts locked", async () => {
    const { request, shown } = createBasicScene(() => false);
    for (let round = 0; round < 3; round++) await failureOf(request());
    expect(shown().filter((authorization) => authorization === basic(ANN))).toHaveLength(1);
    expect(log).toHaveBeenCalledTimes(1);
  });
});
