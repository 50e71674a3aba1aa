import { afterEach, describe, expect, test, vi } from "vitest";
import { failureOf, upstreamOf } from "../upstream/support.ts";
import { BEARER, createTokens, numberedToken } from "./support.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

describe("the request for a token", () => {
  const parametersOf = async (header: string, repository = "o/i") => {
    const { requested, obtain } = createTokens();
    await obtain(header, { repository });
    const [request] = requested;
    if (request === undefined) throw new Error("no token was requested");
    return { url: new URL(request.url), request };
  };

  test("goes to the realm with its service, for pulling this repository, and carries no credential", async () => {
    const { url, request } = await parametersOf(BEARER, "library/alpine");
    expect(url.origin + url.pathname).toBe("https://auth.test/token");
    expect(Object.fromEntries(url.searchParams)).toEqual({
      service: "registry.test",
      scope: "repository:library/alpine:pull",
    });
    expect(request.method).toBe("GET");
    expect(request.headers.has("Authorization")).toBe(false);
    expect(request.redirect).toBe("manual");
  });

  test("leaves the service out where there is none, as at nvcr.io", async () => {
    const { url } = await parametersOf('Bearer realm="https://auth.test/proxy_auth"');
    expect([...url.searchParams.keys()]).toEqual(["scope"]);
  });

  test.each([
    ["a placeholder, as ghcr.io's", `${BEARER},scope="repository:user/image:pull"`],
    ["more than pulling", `${BEARER},scope="repository:o/i:pull,push,delete"`],
    ["another repository", `${BEARER},scope="repository:secret/i:pull"`],
    [
      "one in the realm's own query",
      'Bearer realm="https://auth.test/token?scope=repository:x:push&scope=y"',
    ],
  ])("requests its own scope, whatever the challenge has: %s", async (_, header) => {
    const { url } = await parametersOf(header);
    expect(url.searchParams.getAll("scope")).toEqual(["repository:o/i:pull"]);
  });

  test("keeps what else the realm's query has", async () => {
    const { url } = await parametersOf('Bearer realm="https://auth.test/token?tenant=1",service="s"');
    expect(url.searchParams.get("tenant")).toBe("1");
  });

  test("takes the first challenge that can be met", async () => {
    const { url } = await parametersOf(`Basic realm="x", Negotiate, ${BEARER}`);
    expect(url.host).toBe("auth.test");
  });

  test("may go to the registry's own host, also by a relative realm", async () => {
    for (const realm of ["https://registry.test/v2/token", "/v2/token"]) {
      const { url } = await parametersOf(`Bearer realm="${realm}"`);
      expect(url.origin + url.pathname).toBe("https://registry.test/v2/token");
    }
  });

  test("isn't waited for longer than a client waits for a mirror", async () => {
    const timeout = vi.spyOn(AbortSignal, "timeout").mockImplementation(() => AbortSignal.abort());
    const { obtain } = createTokens(({ signal }) => signal.throwIfAborted() ?? Response.json({ token: "t" }));
    expect((await failureOf(obtain())).kind).toBe("unavailable");
    expect(timeout.mock.calls[0]?.[0]).toBeLessThan(15_000);
  });
});

describe("a realm that isn't this upstream's gets no request at all", () => {
  test.each([
    ["a stranger", "https://nowhere.example/token"],
    ["a stranger that begins alike", "https://auth.test.nowhere.example/token"],
    ["a stranger after a user", "https://auth.test@nowhere.example/token"],
    ["a host below", "https://x.auth.test/token"],
    ["another port", "https://auth.test:8443/token"],
    ["plain http", "http://auth.test/token"],
    ["plain http at the registry", "http://registry.test/token"],
    ["this machine", "http://127.0.0.1:8787/token"],
    ["a cloud's metadata", "http://169.254.169.254/token"],
    ["no host", "data:application/json,{}"],
    ["no URL", "https://"],
  ])("%s", async (_, realm) => {
    const { requested, obtain, ready } = createTokens();
    const failure = await failureOf(obtain(`Bearer realm="${realm}",service="registry.test"`));
    expect(failure.kind).toBe("unavailable");
    expect(failure.message).toContain("realms");
    expect(requested).toHaveLength(0);
    expect(await ready()).toBeNull();
  });

  test("not even one that is listed for another upstream", async () => {
    const { requested, obtain } = createTokens();
    const lscr = upstreamOf({ name: "lscr.io", realms: ["ghcr.io"] });
    const lscrScope = { registry: lscr, endpoint: new URL("https://lscr.io") };
    await obtain('Bearer realm="https://ghcr.io/token"', lscrScope);
    await failureOf(obtain('Bearer realm="https://ghcr.io/token"'));
    expect(requested).toHaveLength(1);
  });

  test("an upstream on this machine may have its realm on this machine", async () => {
    const { requested, obtain } = createTokens();
    const local = upstreamOf({ endpoints: ["http://127.0.0.1:5000"], realms: [] });
    const scope = { registry: local, endpoint: new URL("http://127.0.0.1:5000") };
    await obtain('Bearer realm="http://127.0.0.1:5001/token"', scope);
    await failureOf(obtain('Bearer realm="http://10.0.0.1:5001/token"', { ...scope, repository: "x/y" }));
    expect(requested).toHaveLength(1);
  });

  describe("redirected", () => {
    const LOGIN = { name: "user", username: "user", password: "secret" };
    const upstream = upstreamOf({ realms: ["auth.test", "login.test"] });
    const scene = (hops: Record<string, string>, status = 302) =>
      createTokens((request) => {
        const next = hops[request.url.replace(/\?.*/, "")];
        if (next === undefined) return numberedToken(request, 1);
        return new Response(null, { status, headers: { Location: next } });
      });
    const start = "https://auth.test/token";

    test.each([
      ["its own host", "/v2/token?again=1"],
      ["another listed realm", "https://login.test/token"],
      ["the endpoint itself", "https://registry.test/token"],
    ])("goes on to %s with its login", async (_, next) => {
      const { requested, obtain } = scene({ [start]: next });
      expect(await obtain(BEARER, { registry: upstream, login: LOGIN })).toBe("Bearer t1");
      expect(requested.map(({ url }) => url)[1]).toBe(new URL(next, start).href);
      const { authorization } = Object.fromEntries(requested[1]?.headers ?? []);
      expect(authorization).toBe(`Basic ${btoa("user:secret")}`);
    });

    test.each([307, 308, 302, 301])("by %i takes the identity token along in its body", async (status) => {
      const { requested, obtain } = scene({ [start]: "/v2/token" }, status);
      await obtain(BEARER, { registry: upstream, login: { ...LOGIN, username: "<token>" } });
      expect(requested.map(({ method }) => method)).toEqual(["POST", "POST"]);
      expect(new URLSearchParams(await requested[1]?.text()).get("refresh_token")).toBe("secret");
    });

    test.each([
      ["a host that isn't listed", "https://nowhere.example/token"],
      ["a host below", "https://x.auth.test/token"],
      ["another port", "https://auth.test:8443/token"],
      ["plain http", "http://auth.test/token"],
      ["a private address", "https://10.0.0.1/token"],
      ["no URL", "https://"],
    ])("isn't followed to %s, with a login or without", async (_, next) => {
      const { requested, obtain } = scene({ [start]: next });
      for (const login of [null, LOGIN, { ...LOGIN, name: "identity", username: "<token>" }]) {
        expect((await failureOf(obtain(BEARER, { registry: upstream, login }))).kind).toBe("unavailable");
      }
      expect(new Set(requested.map(({ url }) => new URL(url).origin))).toEqual(
        new Set(["https://auth.test"]),
      );
    });

    test("in a loop ends after five hops", async () => {
      const { requested, obtain } = scene({ [start]: "/token" });
      expect((await failureOf(obtain())).kind).toBe("unavailable");
      expect(requested).toHaveLength(6);
    });
  });
});

describe("a challenge that can't be met without a login is a denial", () => {
  test.each([
    ["Basic", 'Basic realm="registry"'],
    ["none", ""],
    ["a Bearer without a realm", 'Bearer service="x"'],
  ])("%s", async (_, header) => {
    const { requested, obtain } = createTokens();
    expect(await failureOf(obtain(header))).toMatchObject({ kind: "denied", status: 401 });
    expect(requested).toHaveLength(0);
  });
});

describe("a response with a token", () => {
  const after = async (body: unknown, seconds: number) => {
    const { clock, obtain, ready, requested } = createTokens(() => Response.json(body));
    await obtain();
    clock.pass(seconds);
    await ready();
    return requested.length === 1 ? "kept" : "requested again";
  };

  test.each([
    ["token", { token: "t" }],
    ["access_token alone, as docker.elastic.co's", { access_token: "t" }],
    ["both", { token: "t", access_token: "other" }],
    ["a token that says nothing", { token: "", access_token: "t" }],
    ["a token that is no text", { token: 7, access_token: "t" }],
  ])("may have %s", async (_, body) => {
    expect(await createTokens(() => Response.json(body)).obtain()).toBe("Bearer t");
  });

  test.each<[string, object, number, string]>([
    ["holds until shortly before it expires", { expires_in: 300 }, 269, "kept"],
    ["isn't used in its last half minute", { expires_in: 300 }, 270, "requested again"],
    ["is used for four fifths of a short life", { expires_in: 10 }, 7, "kept"],
    ["isn't used in the last fifth of it", { expires_in: 10 }, 8, "requested again"],
    ["without a life holds for the minute that the spec grants", {}, 47, "kept"],
    ["without a life holds no longer", {}, 60, "requested again"],
    ["of no life at all holds for that minute", { expires_in: 0 }, 47, "kept"],
    ["of negative life holds for that minute", { expires_in: -5 }, 47, "kept"],
    ["of negative life holds no longer", { expires_in: -5 }, 60, "requested again"],
    ["with a life in text holds for that minute", { expires_in: "300" }, 60, "requested again"],
    ["of endless life holds for an hour at most", { expires_in: 1e12 }, 3600, "requested again"],
  ])("%s", async (_, body, seconds, fate) =>
    expect(await after({ token: "t", ...body }, seconds)).toBe(fate),
  );

  test("counts its life from before it was requested, so that a slow response can't stretch it", async () => {
    const { clock, obtain, ready, requested } = createTokens(() => {
      if (requested.length === 1) clock.pass(100);
      return Response.json({ token: "t", expires_in: 300 });
    });
    await obtain();
    clock.pass(175);
    await ready();
    expect(requested).toHaveLength(2);
  });

  test.each([
    ["no JSON", new Response("<html>", { headers: { "Content-Type": "text/html" } })],
    ["null", Response.json(null)],
    ["a list", Response.json([])],
    ["no token", Response.json({ expires_in: 300 })],
    ["a token that would end the header", Response.json({ token: "t\r\nX: y" })],
    ["a token with letters from elsewhere", Response.json({ token: "tö" })],
  ])("is none if it has %s", async (_, response) => {
    const { obtain, ready } = createTokens(() => response);
    expect((await failureOf(obtain())).kind).toBe("unavailable");
    expect(await ready().catch(() => null)).toBeNull();
  });
});

describe("a token endpoint that gives none", () => {
  test.each([
    [500, "unavailable"],
    [503, "unavailable"],
    [401, "denied"],
    [403, "denied"],
    [404, "unavailable"],
    [429, "limited"],
  ])("with %i: %s, and never is the image called missing for it", async (status, kind) => {
    const { obtain } = createTokens(() => new Response(null, { status, headers: { "Retry-After": "9" } }));
    const failure = await failureOf(obtain());
    expect(failure).toMatchObject({ kind, status });
    if (kind === "limited") expect(failure.retryAfter).toBe(9);
  });

  test("because it can't be reached, is unavailable", async () => {
    const { obtain } = createTokens(() => {
      throw new TypeError("connection refused: https://auth.test/token?secret");
    });
    const failure = await failureOf(obtain());
    expect(failure.kind).toBe("unavailable");
    expect(failure.message).not.toContain("secret");
  });

  test("is requested again by the next one who needs a token: a failure isn't remembered", async () => {
    const { obtain, requested } = createTokens((request, count) =>
      count === 1 ? new Response(null, { status: 500 }) : numberedToken(request, count),
    );
    await failureOf(obtain());
    expect(await obtain()).toBe("Bearer t2");
    expect(requested).toHaveLength(2);
  });
});
