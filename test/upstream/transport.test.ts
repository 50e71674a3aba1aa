import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { BEARER } from "../registry/support.ts";
import { behaviours, createFakeRegistry } from "../support/fake-registry.ts";
import { createClient, DIGEST, stub, upstreamOf } from "./support.ts";

const BLOB = `blobs/${DIGEST}`;
/** Milliseconds that a whole upstream request may take. */
const QUESTION = 10_000;

/** A response that takes so many milliseconds, unless the request is aborted before. */
function after(milliseconds: number, { signal }: Request, response: Response): Promise<Response> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) reject(signal.reason);
    const timer = setTimeout(() => resolve(response), milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
const NEVER = 3_600_000;
const status = (code: number, headers: Record<string, string> = {}) =>
  new Response(null, { status: code, headers });
const challenged = () => status(401, { "WWW-Authenticate": BEARER });
const redirected = (location: string) => status(307, { Location: location });
const isToken = ({ url }: Request) => new URL(url).host === "auth.test";

afterEach(() => {
  vi.useRealTimers();
});

describe("a whole upstream request takes ten seconds at most", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });
  });

  test.each<[string, (request: Request, count: number) => Response | Promise<Response>]>([
    ["the registry's first silence", (request) => after(NEVER, request, status(200))],
    [
      "challenge, token and response, each of which takes a while",
      (request) => {
        if (isToken(request)) return after(4_000, request, Response.json({ token: "t" }));
        const isKnown = request.headers.has("Authorization");
        return after(isKnown ? NEVER : 4_000, request, isKnown ? status(200) : challenged());
      },
    ],
    [
      "a slow challenge and a token endpoint that never responds",
      (request) =>
        isToken(request) ? after(NEVER, request, status(200)) : after(9_000, request, challenged()),
    ],
    [
      "redirects, each of which takes a while",
      (request, count) => after(3_000, request, redirected(`https://storage.test/${count}`)),
    ],
    [
      "a broken connection and a retry that never responds",
      (request, count) => {
        if (count === 1) throw new TypeError("network connection lost");
        return after(NEVER, request, status(200));
      },
    ],
  ])("made up of %s", async (_, response) => {
    const { fetch, requested } = stub((request) => response(request, requested.length));
    let settled = false;
    const failure = createClient(fetch)
      .failure()
      .finally(() => {
        settled = true;
      });
    await vi.advanceTimersByTimeAsync(QUESTION - 1);
    expect(settled).toBe(false);
    // A retry pauses first.
    await vi.advanceTimersByTimeAsync(250);
    expect(settled).toBe(true);
    expect(await failure).toMatchObject({ kind: "unavailable", status: 0 });
  });

  test("and a response that arrives just in time is served", async () => {
    const { fetch } = stub((request) => after(QUESTION - 1, request, new Response("x")));
    const response = createClient(fetch).request();
    await vi.advanceTimersByTimeAsync(QUESTION);
    expect(await (await response).text()).toBe("x");
  });
});

describe("one retry", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });
  });

  test("follows a short pause, so that the upstream has a moment to recover", async () => {
    const { fetch, requested } = stub(() => (requested.length === 1 ? status(503) : new Response("x")));
    const response = createClient(fetch).status();
    await vi.advanceTimersByTimeAsync(49);
    expect(requested).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(151);
    expect(await response).toBe(200);
  });

  test.each([
    ["a connection that breaks", 2_400, 2],
    ["a connection that breaks", 2_600, 1],
    ["a gateway's 504 that comes", 2_400, 2],
    ["a gateway's 504 that comes", 2_600, 1],
  ])(
    "after %s in %i ms makes %i requests in all: a client that has waited long must not wait twice",
    async (what, wait, tries) => {
      const { fetch, requested } = stub(async (request) => {
        const response = await after(wait, request, status(504));
        if (what.startsWith("a gateway")) return response;
        throw new TypeError("network connection lost");
      });
      const failure = createClient(fetch).failure();
      await vi.advanceTimersByTimeAsync(QUESTION);
      expect((await failure).kind).toBe("unavailable");
      expect(requested).toHaveLength(tries);
    },
  );

  test("leaves nothing of the first response open", async () => {
    const cancelled = vi.fn();
    const { fetch, requested } = stub(() =>
      requested.length === 1
        ? new Response(new ReadableStream({ cancel: cancelled }), { status: 502 })
        : new Response("x"),
    );
    const response = createClient(fetch).status();
    await vi.advanceTimersByTimeAsync(200);
    await response;
    expect(cancelled).toHaveBeenCalledTimes(1);
  });

  test("is made separately for each round: a gateway may fail before the challenge and after it", async () => {
    const counts = { without: 0, with: 0 };
    const { fetch } = stub((request) => {
      if (isToken(request)) return Response.json({ token: "t", expires_in: 300 });
      const which = request.headers.has("Authorization") ? "with" : "without";
      counts[which] += 1;
      if (counts[which] === 1) return status(502);
      return which === "with" ? new Response("x") : challenged();
    });
    const response = createClient(fetch).status();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(await response).toBe(200);
    expect(counts).toEqual({ without: 2, with: 2 });
  });
});

describe("a signed URL that storage refuses", () => {
  /** Storage refuses, with a status, so many of the URLs that the registry gives, each of which is another. */
  const createScene = (code: number, times: number) => {
    let given = 0;
    const { fetch, requested } = stub(({ url }) => {
      if (new URL(url).host === "registry.test")
        return redirected(`https://storage.test/x?signature=${++given}`);
      return given <= times ? new Response("<Error/>", { status: code }) : new Response("bytes");
    });
    return { ...createClient(fetch), fetch, given: () => given, urls: () => requested.map(({ url }) => url) };
  };

  test.each([400, 401, 403, 410])(
    "with %i is replaced by a new one from the registry, once",
    async (code) => {
      const { request, urls } = createScene(code, 1);
      expect(await (await request({ path: BLOB })).text()).toBe("bytes");
      expect(urls().slice(1)).toEqual([
        "https://storage.test/x?signature=1",
        `https://registry.test/v2/owner/image/${BLOB}`,
        "https://storage.test/x?signature=2",
      ]);
    },
  );

  test.each([400, 401, 403, 410])("with %i twice is no denial of the repository", async (code) => {
    const { failure, given } = createScene(code, 2);
    const { kind, message } = await failure({ path: BLOB });
    expect(kind).toBe("unavailable");
    expect(message).not.toContain("signature");
    expect(given()).toBe(2);
  });

  test("repeatedly doesn't open the circuit of the registry, which has responded", async () => {
    const { failure, status: statusOf } = createScene(403, 10);
    for (let round = 0; round < 5; round++) await failure({ path: BLOB });
    expect(await statusOf({ path: BLOB })).toBe(200);
  });

  test("with 404 is missing, at once: for redirected manifests it is the only such response", async () => {
    const { failure, given } = createScene(404, 10);
    expect((await failure()).kind).toBe("missing");
    expect(given()).toBe(1);
  });

  test("is reported without storage's own message", async () => {
    const { fetch } = stub(({ url }) =>
      new URL(url).host === "registry.test"
        ? redirected("https://storage.test/x?signature=s3cret")
        : status(403, { "x-amz-error": "s3cret" }),
    );
    expect(JSON.stringify(await createClient(fetch).failure())).not.toContain("s3cret");
  });
});

describe("the attempts of an upstream request", () => {
  test.each([1, 2, 3])("end when tokens are always refused, at request %i too", async (round) => {
    let tokens = 0;
    const { fetch, requested } = stub((request) =>
      isToken(request) ? Response.json({ token: `t${++tokens}`, expires_in: 300 }) : challenged(),
    );
    const { failure } = createClient(fetch);
    for (let before = 1; before < round; before++) await failure();
    requested.length = 0;
    expect(await failure()).toMatchObject({ kind: "denied", status: 401 });
    expect(requested.filter((request) => !isToken(request)).length).toBeLessThanOrEqual(3);
    expect(requested.filter(isToken).length).toBeLessThanOrEqual(1);
  });

  test("cope with a registry that refuses a token while other requests use it", async () => {
    const registry = createFakeRegistry({ expiresIn: 300 });
    await registry.addImage("owner/image", "latest");
    const { status: statusOf } = createClient(registry.fetch);
    expect(await statusOf()).toBe(200);
    registry.fail({ kind: "manifest", authorized: true }, behaviours.challenge("https://auth.test/token"), 2);
    registry.requests.length = 0;
    const attempts = await Promise.allSettled([statusOf(), statusOf(), statusOf()]);
    expect(attempts.map((attempt) => attempt.status === "fulfilled" && attempt.value)).toEqual([
      200, 200, 200,
    ]);
    expect(registry.requests.length).toBeLessThanOrEqual(3 * 4);
  });

  test("carry the whole request each time: its method, query, Accept and Range", async () => {
    const { fetch, requested } = stub((request) => {
      if (isToken(request)) return Response.json({ token: "t", expires_in: 300 });
      return request.headers.has("Authorization") ? status(206) : challenged();
    });
    const search = new URLSearchParams({ n: "5" });
    await createClient(fetch).request({
      path: BLOB,
      method: "HEAD",
      search,
      accept: "a/b",
      range: "bytes=1-2",
    });
    const sent = requested
      .filter((request) => !isToken(request))
      .map(({ method, url, headers }) => [
        method,
        new URL(url).search,
        headers.get("Accept"),
        headers.get("Range"),
      ]);
    expect(sent).toEqual(Array(2).fill(["HEAD", "?n=5", "a/b", "bytes=1-2"]));
  });

  test("carry the client request's Via with one more entry, to registry and token endpoint", async () => {
    const registry = createFakeRegistry({ redirect: "absolute" });
    const { layers } = await registry.addImage("owner/image", "latest");
    const path = `blobs/${layers[0]?.digest}`;
    expect(await createClient(registry.fetch).status({ path, via: "1.1 portolan-x" })).toBe(200);
    expect(registry.requests.map(({ kind }) => kind)).toEqual(["blob", "token", "blob", "storage"]);
    expect(new Set(registry.requests.map(({ headers }) => headers.via))).toEqual(
      new Set(["1.1 portolan-x, 1.1 portolan"]),
    );
  });

  test("reveal nothing of the client to the registry", async () => {
    const { fetch, requested } = stub(() => new Response("x"));
    await createClient(fetch).request({ upstream: upstreamOf() });
    const known = ["accept-encoding", "user-agent", "via"];
    expect([...(requested[0]?.headers.keys() ?? [])].filter((name) => !known.includes(name))).toEqual([]);
  });
});
