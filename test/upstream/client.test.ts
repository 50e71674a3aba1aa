import { afterEach, describe, expect, test, vi } from "vitest";
import { behaviours, createFakeRegistry } from "../support/fake-registry.ts";
import { createClient, createClock, DIGEST, stub, upstreamOf } from "./support.ts";

const LOST = () => {
  throw new TypeError("network connection lost");
};
const status = (code: number, headers: Record<string, string> = {}) =>
  new Response(null, { status: code, headers });
const BY_DIGEST = [`manifests/${DIGEST}`, `blobs/${DIGEST}`];

afterEach(() => {
  vi.useRealTimers();
});

describe("an upstream request", () => {
  const sent = async (sketch: Parameters<ReturnType<typeof createClient>["request"]>[0]) => {
    const { fetch, requested } = stub(() => new Response("x"));
    await createClient(fetch).request(sketch);
    const [request] = requested;
    if (request === undefined) throw new Error("nothing was sent");
    return request;
  };

  test("goes to its repository at the endpoint, with its method and query", async () => {
    const search = new URLSearchParams({ n: "5", last: "a b" });
    const request = await sent({ path: "tags/list", search, method: "HEAD" });
    expect(request.url).toBe("https://registry.test/v2/owner/image/tags/list?n=5&last=a+b");
    expect(request.method).toBe("HEAD");
  });

  test("has Accept and Range as given, and neither where none is", async () => {
    const full = await sent({ accept: "a/b", range: "bytes=5-" });
    expect([full.headers.get("Accept"), full.headers.get("Range")]).toEqual(["a/b", "bytes=5-"]);
    const bare = await sent({});
    expect(bare.headers.has("Range")).toBe(false);
  });

  test("requests identity encoding: encoded bytes wouldn't match the digest", async () => {
    expect((await sent({ path: BY_DIGEST[1] ?? "" })).headers.get("Accept-Encoding")).toBe("identity");
  });

  test("carries no Authorization before the registry's challenge", async () => {
    expect((await sent({})).headers.has("Authorization")).toBe(false);
  });

  test("is sent once to a registry without tokens", async () => {
    const registry = createFakeRegistry({ auth: "none" });
    await registry.addImage("owner/image", "latest");
    expect(await createClient(registry.fetch).status()).toBe(200);
    expect(registry.requests).toHaveLength(1);
  });
});

describe("a response", () => {
  test.each([200, 206, 416])("of %i is returned", async (code) => {
    expect(await createClient(stub(() => status(code)).fetch).status()).toBe(code);
  });

  test.each([
    [204, "unavailable"],
    [304, "unavailable"],
    [400, "unavailable"],
    [403, "denied"],
    [404, "missing"],
    [405, "unavailable"],
    [429, "limited"],
    [500, "unavailable"],
  ])("of %i is the failure %s", async (code, kind) => {
    expect(await createClient(stub(() => status(code)).fetch).failure()).toMatchObject({
      kind,
      status: code,
    });
  });

  test("is returned with its body unread", async () => {
    const response = await createClient(stub(() => new Response("bytes")).fetch).request();
    expect(response.bodyUsed).toBe(false);
    expect(await response.text()).toBe("bytes");
  });

  test("of 401 without a challenge that can be met is a denial, after one request", async () => {
    const { fetch, requested } = stub(() => status(401, { "WWW-Authenticate": 'Basic realm="x"' }));
    expect((await createClient(fetch).failure()).kind).toBe("denied");
    expect(requested).toHaveLength(1);
  });

  test("of 429 reports how long to wait, by either form of Retry-After", async () => {
    const clock = createClock();
    for (const text of ["90", new Date(clock.now() + 90_000).toUTCString()]) {
      const { fetch } = stub(() => status(429, { "Retry-After": text }));
      expect((await createClient(fetch, clock.now).failure()).retryAfter).toBe(90);
    }
  });
});

describe("a retry", () => {
  test.each([502, 503, 504])("recovers from a transient %i", async (code) => {
    const { fetch, requested } = stub(() => (requested.length === 1 ? status(code) : new Response("x")));
    expect(await createClient(fetch).status()).toBe(200);
    expect(requested).toHaveLength(2);
  });

  test("recovers from a broken connection", async () => {
    const { fetch, requested } = stub(() => (requested.length === 1 ? LOST() : new Response("x")));
    expect(await createClient(fetch).status()).toBe(200);
    expect(requested).toHaveLength(2);
  });

  test.each([
    [502, "unavailable"],
    [503, "unavailable"],
    [504, "unavailable"],
  ])("is the last for a lasting %i", async (code, kind) => {
    const { fetch, requested } = stub(() => status(code, { "Retry-After": "3" }));
    expect(await createClient(fetch).failure()).toMatchObject({ kind, status: code, retryAfter: 3 });
    expect(requested).toHaveLength(2);
  });

  test("is the last for an unreachable host, and the error's text isn't exposed", async () => {
    const { fetch, requested } = stub(LOST);
    const failure = await createClient(fetch).failure();
    expect(failure).toMatchObject({ kind: "unavailable", status: 0 });
    expect(failure.message).toBe(
      "registry.test can't be reached; if it is blocked here, use a proxy or a relay",
    );
    expect(requested).toHaveLength(2);
  });

  test.each([429, 404, 403, 400, 405, 500])("isn't made after %i", async (code) => {
    const { fetch, requested } = stub(() => status(code));
    await createClient(fetch).failure();
    expect(requested).toHaveLength(1);
  });

  test("carries the same token", async () => {
    const registry = createFakeRegistry();
    await registry.addImage("owner/image", "latest");
    registry.fail({ kind: "manifest", authorized: true }, { status: 503 }, 1);
    expect(await createClient(registry.fetch).status()).toBe(200);
    expect(registry.count({ kind: "token" })).toBe(1);
  });

  test("isn't made after a wait that was long enough for a client", async () => {
    const clock = createClock();
    const { fetch, requested } = stub(() => {
      clock.pass(3);
      return LOST();
    });
    await createClient(fetch, clock.now).failure();
    expect(requested).toHaveLength(1);
  });
});

describe("an upstream that never responds", () => {
  const silent = () =>
    stub(
      ({ signal }) =>
        new Promise<Response>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
    );

  test("is given up in time for the client, and not retried", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });
    const { fetch, requested } = silent();
    const failure = createClient(fetch).failure();
    await vi.advanceTimersByTimeAsync(12_000);
    expect(await failure).toMatchObject({ kind: "unavailable", message: "registry.test doesn't respond" });
    expect(requested).toHaveLength(1);
  });

  test("is given enough time first", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });
    const { fetch } = silent();
    let settled = false;
    const failure = createClient(fetch)
      .failure()
      .finally(() => {
        settled = true;
      });
    await vi.advanceTimersByTimeAsync(5_000);
    expect(settled).toBe(false);
    await vi.advanceTimersByTimeAsync(10_000);
    await failure;
  });

  test("is given up in time also when only the redirect's target doesn't respond", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });
    const quiet = silent();
    const { fetch } = stub((request) =>
      new URL(request.url).host === "registry.test"
        ? status(307, { Location: "https://storage.test/x" })
        : quiet.fetch(request),
    );
    const failure = createClient(fetch).failure();
    await vi.advanceTimersByTimeAsync(12_000);
    expect((await failure).kind).toBe("unavailable");
  });

  test("its body may take any time once the headers have arrived", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });
    const { fetch, requested } = stub(() => new Response("bytes"));
    const response = await createClient(fetch).request();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(requested[0]?.signal.aborted).toBe(false);
    expect(await response.text()).toBe("bytes");
  });
});

describe("a fallback", () => {
  const upstream = upstreamOf({
    endpoints: ["https://registry.test", "https://one.test", "https://two.test"],
  });
  /** The hosts requested, without immediate repetitions, when each responds as given. */
  const hostsAsked = async (answers: Record<string, () => Response>, path: string) => {
    const { fetch, requested } = stub(({ url }) => answers[new URL(url).host]?.() ?? new Response("x"));
    const client = createClient(fetch);
    const result = await client.request({ upstream, path }).then(
      () => "served" as const,
      () => client.failure({ upstream, path }).then(({ kind, status: code }) => `${kind} ${code}`),
    );
    return { result, hosts: [...new Set(requested.map(({ url }) => new URL(url).host))] };
  };

  test.each(BY_DIGEST)("is requested %s once the primary is limited or unavailable", async (path) => {
    for (const response of [() => status(429), () => status(500), () => status(503), LOST]) {
      const { result, hosts } = await hostsAsked({ "registry.test": response }, path);
      expect(result).toBe("served");
      expect(hosts).toEqual(["registry.test", "one.test"]);
    }
  });

  test.each(BY_DIGEST)("isn't requested %s while the primary serves it", async (path) => {
    expect((await hostsAsked({}, path)).hosts).toEqual(["registry.test"]);
  });

  test.each(BY_DIGEST)("isn't requested %s after the primary's refusal", async (path) => {
    for (const [code, kind] of [
      [404, "missing"],
      [403, "denied"],
      [401, "denied"],
    ] as const) {
      const { result, hosts } = await hostsAsked({ "registry.test": () => status(code) }, path);
      expect(result).toBe(`${kind} ${code}`);
      expect(hosts).toEqual(["registry.test"]);
    }
  });

  test.each(["manifests/latest", "tags/list", "manifests/sha256-aaaa"])(
    "is never requested %s, which no digest verifies",
    async (path) => {
      for (const response of [() => status(429), () => status(500), LOST]) {
        const { hosts } = await hostsAsked({ "registry.test": response }, path);
        expect(hosts).toEqual(["registry.test"]);
      }
    },
  );

  test("is never requested referrers: the digest doesn't verify the list", async () => {
    const { hosts } = await hostsAsked({ "registry.test": () => status(500) }, `referrers/${DIGEST}`);
    expect(hosts).toEqual(["registry.test"]);
  });

  test("that fails too is followed by the next", async () => {
    const answers = { "registry.test": () => status(429), "one.test": () => status(503) };
    const { result, hosts } = await hostsAsked(answers, BY_DIGEST[1] ?? "");
    expect(result).toBe("served");
    expect(hosts).toEqual(["registry.test", "one.test", "two.test"]);
  });

  test("that lacks the content doesn't make it missing: the primary's failure is reported", async () => {
    const gone = () => status(404);
    const answers = { "registry.test": () => status(429), "one.test": gone, "two.test": gone };
    expect((await hostsAsked(answers, BY_DIGEST[1] ?? "")).result).toBe("limited 429");
  });

  test("that lacks the content is followed by the next", async () => {
    const answers = { "registry.test": () => status(429), "one.test": () => status(404) };
    expect((await hostsAsked(answers, BY_DIGEST[1] ?? "")).hosts).toContain("two.test");
  });

  describe("when a body is resumed", () => {
    const path = BY_DIGEST[1] ?? "";
    const etags: Record<string, string> = { "registry.test": '"first"', "one.test": 'W/"weak"' };
    /** Requests once for each expected host; each time the rest after all earlier bytes. */
    const continued = async (times: number) => {
      const { fetch, requested } = stub(({ url }) => {
        const { host } = new URL(url);
        return host === "two.test"
          ? status(404)
          : new Response("x", { headers: { ETag: etags[host] ?? "" } });
      });
      const client = createClient(fetch);
      const continues: Response[] = [];
      for (let time = 0; time < times; time++) {
        continues.push(await client.request({ upstream, path, continues: [...continues] }));
      }
      return requested.map(({ url, headers }) => [new URL(url).host, headers.get("If-Range")]);
    };

    test("is preferred to a primary that broke off, and the primary to a fallback that did", async () => {
      expect((await continued(3)).map(([host]) => host)).toEqual([
        "registry.test",
        "one.test",
        "registry.test",
      ]);
    });

    test("isn't sent the ETag of another endpoint's response, but the primary is sent its own", async () => {
      expect((await continued(3)).map(([, tag]) => tag)).toEqual([null, null, '"first"']);
    });

    test("isn't sent its own weak ETag, which If-Range doesn't permit", async () => {
      expect((await continued(4)).at(-1)).toEqual(["one.test", null]);
    });
  });

  test("gets no token of the primary", async () => {
    const primary = createFakeRegistry();
    const { layers } = await primary.addImage("owner/image", "latest");
    const { fetch, requested } = stub((request) =>
      primary.serves(new URL(request.url).host) ? primary.fetch(request) : new Response("x"),
    );
    primary.fail({ kind: "blob", authorized: true }, behaviours.tooManyRequests());
    await createClient(fetch).request({ upstream, path: `blobs/${layers[0]?.digest}` });
    const atAlternate = requested.filter(({ url }) => new URL(url).host === "one.test");
    expect(atAlternate.map(({ headers }) => headers.has("Authorization"))).toEqual([false]);
  });
});
