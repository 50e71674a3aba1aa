// How the client handles a registry's challenges: its requests, their headers, and when it gives up.

import { describe, expect, test } from "vitest";
import {
  behaviours,
  createFakeNetwork,
  createFakeRegistry,
  type FakeRegistry,
  type FakeRegistryOptions,
  profiles,
} from "../support/fake-registry.ts";
import { createClient, createClock, stub, upstreamOf } from "./support.ts";

async function createScene(options: FakeRegistryOptions = {}) {
  const clock = createClock();
  const registry = createFakeRegistry({ now: clock.now, ...options });
  await registry.addImage("owner/image", "latest");
  await registry.addImage("owner/other", "latest");
  const { registryHost: name, tokenHost } = registry.settings;
  const upstream = upstreamOf({ name, realms: tokenHost === name ? [] : [tokenHost] });
  const client = createClient(registry.fetch, clock.now);
  const kinds = () => {
    const seen = registry.requests.map(({ kind, status }) => `${kind} ${status}`);
    registry.requests.length = 0;
    return seen;
  };
  return { clock, registry, upstream, kinds, ...client };
}

/** The tokens that a registry received, in order. */
const tokensSeen = (registry: FakeRegistry) =>
  registry.requests.map(({ headers }) => headers.authorization).filter((header) => header !== undefined);

describe("a registry that requires a token", () => {
  test("gets a request without one, a token request, then a request with it; later requests carry it at once", async () => {
    const { status, kinds } = await createScene();
    expect(await status()).toBe(200);
    expect(kinds()).toEqual(["manifest 401", "token 200", "manifest 200"]);
    expect(await status()).toBe(200);
    expect(kinds()).toEqual(["manifest 200"]);
  });

  test("has its challenge reused to get the next repository's token", async () => {
    const { status, kinds } = await createScene();
    await status();
    kinds();
    expect(await status({ repository: "owner/other" })).toBe(200);
    expect(kinds()).toEqual(["token 200", "manifest 200"]);
  });

  test("never receives one repository's token for another", async () => {
    const { status, registry } = await createScene();
    await status();
    const [first] = tokensSeen(registry);
    registry.requests.length = 0;
    await status({ repository: "owner/other" });
    expect(tokensSeen(registry)).not.toContain(first);
    expect(tokensSeen(registry)).toHaveLength(1);
  });

  test("gets a new token shortly before the old one expires, so no request is refused for it", async () => {
    const { status, kinds, clock } = await createScene({ expiresIn: 300 });
    await status();
    clock.pass(290);
    kinds();
    expect(await status()).toBe(200);
    expect(kinds()).toEqual(["token 200", "manifest 200"]);
  });

  test.each([
    ["without expires_in", { expiresIn: null, tokenLifetime: 60 }],
    ["with a negative expires_in", { expiresIn: -1, tokenLifetime: 60 }],
  ])("and gives tokens %s is served for as long as one likes", async (_, options) => {
    const { status, kinds, clock } = await createScene(options);
    for (let round = 0; round < 4; round++) {
      expect(await status()).toBe(200);
      clock.pass(59);
    }
    expect(kinds().filter((kind) => kind === "manifest 401")).toHaveLength(1);
  });

  test("may let it expire early: a new one is requested mid-pull", async () => {
    const { status, kinds, clock } = await createScene({ expiresIn: 300, tokenLifetime: 5 });
    await status();
    clock.pass(100);
    kinds();
    expect(await status()).toBe(200);
    expect(kinds()).toEqual(["manifest 401", "manifest 401", "token 200", "manifest 200"]);
  });
});

describe("a registry with peculiarities", () => {
  test.each([
    "docker.io",
    "ghcr.io",
    "quay.io",
    "gcr.io",
    "registry.k8s.io",
    "nvcr.io",
    "docker.elastic.co",
  ] as const)("as %s has them: manifests and blobs come", async (name) => {
    const { status, registry, upstream, clock } = await createScene(profiles[name]);
    const { layers } = await registry.addImage("owner/image", "latest");
    for (const path of ["manifests/latest", `blobs/${layers[0]?.digest}`]) {
      for (let round = 0; round < 2; round++) {
        expect(await status({ upstream, path, accept: "application/vnd.oci.image.manifest.v1+json" })).toBe(
          200,
        );
        clock.pass(1000);
      }
    }
  });

  test("nvcr.io's other realm for expired tokens is never used: its first challenge is requested again", async () => {
    const options = { ...profiles["nvcr.io"], expiresIn: 300, tokenLifetime: 5 };
    const { registry, upstream, clock } = await createScene(options);
    const { fetch, strays } = createFakeNetwork(registry);
    const { status } = createClient(fetch, clock.now);
    expect(await status({ upstream })).toBe(200);
    clock.pass(100);
    expect(await status({ upstream })).toBe(200);
    expect(strays).toEqual([]);
  });

  test("lscr.io redirects to ghcr.io, whose challenge and token are used there", async () => {
    const ghcr = createFakeRegistry(profiles["ghcr.io"]);
    const { layers } = await ghcr.addImage("linuxserver/image", "latest");
    const { fetch, requested } = stub((request) => {
      const url = new URL(request.url);
      if (url.host !== "lscr.io") return ghcr.fetch(request);
      return new Response(null, { status: 302, headers: { Location: `https://ghcr.io${url.pathname}` } });
    });
    const { status } = createClient(fetch);
    const upstream = upstreamOf({ name: "lscr.io", realms: ["ghcr.io"] });
    const path = `blobs/${layers[0]?.digest}`;
    expect(await status({ upstream, repository: "linuxserver/image", path })).toBe(200);
    const storage = requested.filter(({ url }) => url.includes("githubusercontent"));
    expect(storage.map(({ headers }) => headers.has("Authorization"))).toEqual([false]);
  });
});

describe("401 without end", () => {
  test.each([
    ["from a registry that takes no token", () => true],
    ["from one that just no longer takes the token it gave", (count: number) => count > 1],
  ])("%s is a denial after a few requests", async (_, refuses) => {
    let count = 0;
    const registry = createFakeRegistry();
    await registry.addImage("owner/image", "latest");
    registry.fail(
      { kind: "manifest" },
      {
        transform: (response) => {
          if (response.ok) count += 1;
          if (response.ok && !refuses(count)) return response;
          const challenge = 'Bearer realm="https://auth.test/token",service="registry.test"';
          return new Response(null, { status: 401, headers: { "WWW-Authenticate": challenge } });
        },
      },
    );
    const { status, failure } = createClient(registry.fetch);
    if (!refuses(1)) expect(await status()).toBe(200);
    registry.requests.length = 0;
    expect(await failure()).toMatchObject({ kind: "denied", status: 401 });
    expect(registry.count({ kind: "manifest" })).toBeLessThanOrEqual(3);
    expect(registry.count({ kind: "token" })).toBe(1);
  });

  test("doesn't keep the next request from succeeding", async () => {
    const { status, failure, registry } = await createScene();
    const fault = registry.fail({ kind: "manifest" }, behaviours.challenge("https://auth.test/token"));
    expect((await failure()).kind).toBe("denied");
    fault.remove();
    expect(await status()).toBe(200);
  });
});

describe("concurrent requests", () => {
  const ten = <Result>(request: () => Promise<Result>) => Promise.all(Array.from({ length: 10 }, request));

  test("on a cold start cause one request for a token", async () => {
    const { status, registry } = await createScene();
    expect(await ten(() => status())).toEqual(Array(10).fill(200));
    expect(registry.count({ kind: "token" })).toBe(1);
  });

  test("with an expired token cause one request for a token", async () => {
    const { status, registry, clock } = await createScene();
    await status();
    clock.pass(400);
    registry.requests.length = 0;
    expect(await ten(() => status())).toEqual(Array(10).fill(200));
    expect(registry.count({ kind: "token" })).toBe(1);
    expect(registry.count({ status: 401 })).toBe(0);
  });

  /** Delays each refusal more than the previous one, of requests with a token or of those without. */
  const staggered = (registry: FakeRegistry, withToken: boolean) => {
    let wait = 0;
    return stub(async (request) => {
      const response = await registry.fetch(request);
      if (response.status === 401 && request.headers.has("Authorization") === withToken) {
        wait += 10;
        await new Promise((resolve) => setTimeout(resolve, wait));
      }
      return response;
    }).fetch;
  };

  test("cause one request for a token also where the refusals arrive one after the other", async () => {
    const { registry, clock } = await createScene();
    const { status } = createClient(staggered(registry, false), clock.now);
    expect(await ten(() => status())).toEqual(Array(10).fill(200));
    expect(registry.count({ kind: "token" })).toBe(1);
  });

  test("a late refusal of the old token doesn't throw away the new one", async () => {
    const { registry, clock } = await createScene({ expiresIn: 300, tokenLifetime: 5 });
    const { status } = createClient(staggered(registry, true), clock.now);
    await status();
    clock.pass(100);
    registry.requests.length = 0;
    expect(await ten(() => status())).toEqual(Array(10).fill(200));
    expect(registry.count({ kind: "token" })).toBe(1);
  });
});

describe("problems with tokens", () => {
  test("a hostile realm is rejected, and nothing is sent to it", async () => {
    const { registry, clock } = await createScene({ realm: "https://nowhere.example/token" });
    const { fetch, strays } = createFakeNetwork(registry);
    const failure = await createClient(fetch, clock.now).failure();
    expect(failure.kind).toBe("unavailable");
    expect(strays).toEqual([]);
    expect(registry.requests).toHaveLength(1);
  });

  test("a storage host can't demand one: its challenge names no realm of this upstream", async () => {
    const { failure, registry } = await createScene({ redirect: "absolute" });
    const { layers } = await registry.addImage("owner/image", "latest");
    registry.fail({ kind: "storage" }, behaviours.challenge("https://storage.test/token"));
    expect((await failure({ path: `blobs/${layers[0]?.digest}` })).kind).toBe("unavailable");
    expect(
      registry.requests.filter(({ path, host }) => host === "storage.test" && path === "/token"),
    ).toEqual([]);
  });

  test.each([
    ["down", { status: 500 }, "unavailable"],
    ["out of reach", { network: true as const }, "unavailable"],
    ["limited", behaviours.tooManyRequests(11), "limited"],
    ["refusing, as ghcr.io does for what is private", { status: 401 }, "denied"],
    ["gone", { status: 404 }, "unavailable"],
  ])("a token endpoint that is %s fails the request as what it is", async (_, behaviour, kind) => {
    const { failure, registry } = await createScene();
    registry.fail({ kind: "token" }, behaviour);
    const { kind: reported, retryAfter } = await failure();
    expect(reported).toBe(kind);
    expect(retryAfter).toBe(kind === "limited" ? 11 : null);
  });

  test("requests succeed once they are over", async () => {
    const { failure, status, registry } = await createScene();
    const fault = registry.fail({ kind: "token" }, { status: 500 });
    await failure();
    fault.remove();
    expect(await status()).toBe(200);
  });

  test("a realm that has moved is found at the second request at the latest", async () => {
    const { registry, clock, request, status } = await createScene();
    const upstream = upstreamOf({ realms: ["auth.test", "new-auth.test"] });
    await request({ upstream });
    registry.settings.tokenHost = "new-auth.test";
    clock.pass(400);
    await request({ upstream }).catch(() => {});
    expect(await status({ upstream })).toBe(200);
  });

  test("a private repository is a denial, in every form of registry response", async () => {
    for (const deniedScope of ["refuse", "grant-nothing"] as const) {
      const { failure, registry } = await createScene({ deniedScope });
      registry.setVisibility("owner/image", "private");
      expect((await failure()).kind).toBe("denied");
    }
  });

  test("no failure message contains a token", async () => {
    const { status, failure, registry } = await createScene();
    await status();
    const [token = ""] = tokensSeen(registry);
    registry.fail({ kind: "manifest" }, { status: 500 });
    expect(JSON.stringify(await failure())).not.toContain(token.replace("Bearer ", ""));
  });
});
