import { describe, expect, test } from "vitest";
import { Limits, LONGEST_LIMIT } from "../../src/upstream/limits.ts";
import { behaviours, createFakeRegistry } from "../support/fake-registry.ts";
import { useMirror } from "../support/mirror.ts";
import { createClient, createClock, DIGEST, failureOf, stub, upstreamOf } from "./support.ts";

const MANIFEST = { upstream: upstreamOf(), method: "GET", path: "manifests/latest" };

describe("a limit", () => {
  const createLimits = () => {
    const clock = createClock();
    const limits = new Limits(clock.now);
    const holds = (requested: Partial<typeof MANIFEST> = {}) =>
      failureOf((async () => limits.check({ ...MANIFEST, ...requested }))()).then(
        ({ retryAfter }) => retryAfter,
        () => null,
      );
    return { limits, clock, holds };
  };

  test("that was never reported doesn't exist", async () => {
    expect(await createLimits().holds()).toBe(null);
  });

  test("is honoured until it ends, and reports what is left of it", async () => {
    const { limits, clock, holds } = createLimits();
    limits.note(MANIFEST, 90);
    expect(await holds()).toBe(90);
    clock.pass(89.5);
    expect(await holds()).toBe(1);
    clock.pass(0.5);
    expect(await holds()).toBe(null);
  });

  test.each<[string, Partial<typeof MANIFEST>, number | null]>([
    ["another tag", { path: "manifests/v1" }, 90],
    ["a manifest by digest", { path: `manifests/${DIGEST}` }, 90],
    ["a HEAD of the manifest", { method: "HEAD" }, null],
    ["a blob", { path: `blobs/${DIGEST}` }, null],
    ["the tags", { path: "tags/list" }, null],
  ])("on GETs of manifests, requested %s", async (_, requested, left) => {
    const { limits, holds } = createLimits();
    limits.note(MANIFEST, 90);
    expect(await holds(requested)).toBe(left);
  });

  test("is never believed to last longer than Docker Hub's window", async () => {
    const { limits, clock, holds } = createLimits();
    limits.note(MANIFEST, 10 * 365 * 24 * 3600);
    expect(await holds()).toBe(LONGEST_LIMIT);
    clock.pass(LONGEST_LIMIT);
    expect(await holds()).toBe(null);
    expect(LONGEST_LIMIT).toBe(6 * 3600);
  });

  test.each([
    ["no end", null],
    ["an end that is now", 0],
  ])("with %s is none: there is nothing to go by", async (_, retryAfter) => {
    const { limits, holds } = createLimits();
    limits.note(MANIFEST, retryAfter);
    expect(await holds()).toBe(null);
  });
});

describe("an upstream that has answered 429", () => {
  const createScene = (retryAfter: number | undefined) => {
    const clock = createClock();
    let isOver = false;
    const { fetch, requested } = stub(({ method }) => {
      if (isOver || method === "HEAD") return new Response(null);
      const headers = retryAfter === undefined ? {} : { "Retry-After": String(retryAfter) };
      return new Response(null, { status: 429, headers });
    });
    const end = () => {
      isOver = true;
    };
    return { clock, requested, end, ...createClient(fetch, clock.now) };
  };

  test("gets no request before its Retry-After ends, and the remaining time is reported to the client", async () => {
    const { failure, status, requested, clock, end } = createScene(120);
    expect(await failure()).toMatchObject({ kind: "limited", status: 429, retryAfter: 120 });
    clock.pass(50);
    expect(await failure()).toMatchObject({ kind: "limited", status: 429, retryAfter: 70 });
    expect(requested).toHaveLength(1);
    end();
    clock.pass(70);
    expect(await status()).toBe(200);
  });

  test("is requested again at once where it sent no Retry-After: Docker Hub's abuse limit may be over", async () => {
    const { failure, status, requested, end } = createScene(undefined);
    expect(await failure()).toMatchObject({ kind: "limited", retryAfter: null });
    end();
    expect(await status()).toBe(200);
    expect(requested).toHaveLength(2);
  });

  test("still revalidates tags by HEAD, which isn't counted", async () => {
    const { failure, status } = createScene(120);
    await failure();
    expect(await status({ method: "HEAD" })).toBe(200);
  });

  test("has its fallbacks requested at once for content by digest", async () => {
    const clock = createClock();
    const { fetch, requested } = stub(({ url }) =>
      new URL(url).host === "registry.test"
        ? new Response(null, { status: 429, headers: { "Retry-After": "60" } })
        : new Response("x"),
    );
    const { status } = createClient(fetch, clock.now);
    const upstream = upstreamOf({ endpoints: ["https://registry.test", "https://one.test"] });
    for (let round = 0; round < 3; round++) {
      expect(await status({ upstream, path: `blobs/${DIGEST}` })).toBe(200);
    }
    expect(requested.filter(({ url }) => new URL(url).host === "registry.test")).toHaveLength(1);
  });

  test("at its token endpoint isn't sent more token requests", async () => {
    const clock = createClock();
    const registry = createFakeRegistry({ now: clock.now });
    await registry.addImage("owner/image", "latest");
    registry.fail({ kind: "token" }, behaviours.tooManyRequests(30));
    const { failure } = createClient(registry.fetch, clock.now);
    for (let round = 0; round < 5; round++) expect((await failure()).kind).toBe("limited");
    expect(registry.count({ kind: "token" })).toBe(1);
  });
});

describe("docker.io, out of pulls", () => {
  const mirror = useMirror();

  test("still serves blobs, and reports Retry-After for manifests without another request", async () => {
    const { layers } = await mirror.docker.addImage("library/demo", "latest");
    await mirror.docker.addImage("library/other", "latest");
    mirror.docker.fail(
      { kind: "manifest", method: "GET", authorized: true },
      behaviours.tooManyRequests(600),
    );
    for (const name of ["demo", "other", "demo"]) {
      const { status, headers } = await mirror.request(`/v2/library/${name}/manifests/latest`);
      expect(status).toBe(429);
      expect(Number(headers.get("Retry-After"))).toBeGreaterThan(590);
    }
    expect(mirror.docker.count({ kind: "manifest", method: "GET", status: 429 })).toBe(1);
    for (const { digest, size } of layers) {
      const { status, bytes } = await mirror.request(`/v2/library/demo/blobs/${digest}`);
      expect([status, bytes.byteLength]).toEqual([200, size]);
    }
  });

  test("serves manifests again once the time is over", async () => {
    await mirror.docker.addImage("library/demo", "latest");
    const fault = mirror.docker.fail(
      { kind: "manifest", method: "GET", authorized: true },
      behaviours.tooManyRequests(600),
    );
    expect((await mirror.request("/v2/library/demo/manifests/latest")).status).toBe(429);
    fault.remove();
    mirror.clock.ahead += 601_000;
    expect((await mirror.request("/v2/library/demo/manifests/latest")).status).toBe(200);
  });
});
