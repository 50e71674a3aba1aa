import { describe, expect, test } from "vitest";
import { followRedirects, isLocal, isTrusted } from "../../src/registry/redirects.ts";
import type { Upstream } from "../../src/upstream/registries.ts";
import { behaviours, createFakeRegistry, profiles } from "../support/fake-registry.ts";
import { createClient, failureOf, stub, upstreamOf } from "../upstream/support.ts";

const START = "https://registry.test/v2/owner/image/blobs/x";

function redirect(location: string, status = 307): Response {
  return new Response("over there", { status, headers: { Location: location } });
}

/** Follows from `start` through redirects by URL; every other URL answers 200. */
function follow(hops: Record<string, string>, upstream: Upstream = upstreamOf(), start = START) {
  const { fetch, requested } = stub(({ url }) => {
    const next = hops[url];
    return next === undefined ? new Response(url) : redirect(next);
  });
  const headers = new Headers({ Authorization: "Bearer secret", Range: "bytes=1-", Accept: "a/b" });
  const init = { method: "GET", headers, signal: new AbortController().signal };
  return { response: followRedirects(upstream, new URL(start), init, fetch), requested, headers };
}

const urls = (requested: readonly Request[]) => requested.map(({ url }) => url);
const authorizations = (requested: readonly Request[]) =>
  requested.map(({ headers }) => headers.get("Authorization") !== null);

describe("a redirect is followed", () => {
  test.each([301, 302, 303, 307, 308])("of status %i", async (status) => {
    const { fetch } = stub(({ url }) =>
      url === START ? redirect("https://storage.test/x", status) : new Response("bytes"),
    );
    const init = { method: "GET", headers: new Headers(), signal: new AbortController().signal };
    const response = await followRedirects(upstreamOf(), new URL(START), init, fetch);
    expect(await response.text()).toBe("bytes");
  });

  test("by hand: fetch itself must never do it, or nothing would be checked", async () => {
    const { response, requested } = follow({ [START]: "https://storage.test/x" });
    await response;
    expect(requested.map(({ redirect: mode }) => mode)).toEqual(["manual", "manual"]);
  });

  test("with the method and all other headers, also to storage", async () => {
    const { response, requested } = follow({ [START]: "https://storage.test/x" });
    await response;
    expect(requested.map(({ headers }) => headers.get("Range"))).toEqual(["bytes=1-", "bytes=1-"]);
    expect(requested.map(({ method }) => method)).toEqual(["GET", "GET"]);
  });

  test.each([
    ["a path", "/artifacts-downloads/x?y=1", "https://registry.test/artifacts-downloads/x?y=1"],
    ["a path relative to this one", "../blobs/y", "https://registry.test/v2/owner/image/blobs/y"],
    ["a host without a scheme", "//storage.test/x", "https://storage.test/x"],
    ["only a query", "?sig=1", `${START}?sig=1`],
  ])("relative to where it was met: %s", async (_, location, next) => {
    const { response, requested } = follow({ [START]: location });
    await response;
    expect(urls(requested)).toEqual([START, next]);
  });

  test("with its query to the letter, for a signature is made over it", async () => {
    const signed = "https://storage.test/x?X-Amz-Signature=a%2Fb%3D&a=1&a=2&e=~%20+";
    const { response, requested } = follow({ [START]: signed });
    await response;
    expect(urls(requested)[1]).toBe(signed);
  });

  test("without the query of the request before it", async () => {
    const { response, requested } = follow(
      { [`${START}?n=1`]: "https://storage.test/x" },
      upstreamOf(),
      `${START}?n=1`,
    );
    await response;
    expect(urls(requested)[1]).toBe("https://storage.test/x");
  });

  test("five times, and not a sixth time", async () => {
    const chain = (length: number) =>
      Object.fromEntries(
        Array.from({ length }, (_, hop) => [
          hop === 0 ? START : `https://s${hop}.test/`,
          `https://s${hop + 1}.test/`,
        ]),
      );
    const five = follow(chain(5));
    expect(await (await five.response).text()).toBe("https://s5.test/");
    const six = follow(chain(6));
    expect(await failureOf(six.response)).toMatchObject({ kind: "unavailable" });
    expect(six.requested).toHaveLength(6);
  });

  test("in a loop for no longer than that", async () => {
    const { response, requested } = follow({ [START]: START });
    expect((await failureOf(response)).kind).toBe("unavailable");
    expect(requested.length).toBeLessThanOrEqual(6);
  });
});

test("a response that only looks like a redirect is returned as it is", async () => {
  for (const response of [
    new Response(null, { status: 307 }),
    new Response("x", { headers: { Location: "/" } }),
  ]) {
    const { fetch, requested } = stub(() => response);
    const init = { method: "GET", headers: new Headers(), signal: new AbortController().signal };
    expect((await followRedirects(upstreamOf(), new URL(START), init, fetch)).status).toBe(response.status);
    expect(requested).toHaveLength(1);
  }
});

describe("a redirect to a forbidden target is refused, and nothing is sent there", () => {
  test.each([
    ["plain http", "http://storage.test/x"],
    ["plain http at the same host", "http://registry.test/x"],
    ["another scheme", "ftp://storage.test/x"],
    ["data", "data:text/plain,x"],
    ["a private address", "https://10.0.0.1/x"],
    ["a cloud's metadata", "https://169.254.169.254/latest/meta-data"],
    ["a cloud's metadata in plain http", "http://169.254.169.254/latest/meta-data"],
    ["a decimal address", "https://2130706433/x"],
    ["a hexadecimal address", "https://0x7f.1/x"],
    ["an octal address", "https://0300.0250.0.1/x"],
    ["this machine", "https://127.0.0.1:8787/v2/"],
    ["this machine by name", "https://localhost/x"],
    ["this machine in IPv6", "https://[::1]/x"],
    ["a link-local address in IPv6", "https://[fe80::1]/x"],
    ["IPv4 within IPv6", "https://[::ffff:192.168.0.1]/x"],
    ["a name without dots", "https://intranet/x"],
    ["a host after a user", "https://registry.test@10.0.0.1/x"],
    ["a private address without a scheme", "//10.0.0.1/x"],
    ["no URL at all", "https://"],
  ])("%s", async (_, location) => {
    const { response, requested } = follow({ [START]: location });
    expect((await failureOf(response)).kind).toBe("unavailable");
    expect(urls(requested)).toEqual([START]);
  });

  test("also at the second hop", async () => {
    const { response, requested } = follow({
      [START]: "https://storage.test/x",
      "https://storage.test/x": "https://192.168.0.1/",
    });
    expect((await failureOf(response)).kind).toBe("unavailable");
    expect(requested).toHaveLength(2);
  });

  test("and the message about it contains neither path nor query, which may be a signature", async () => {
    const { response } = follow({ [START]: "http://storage.test/path?X-Amz-Signature=secret" });
    const { message } = await failureOf(response);
    expect(message).toContain("http://storage.test");
    expect(message).not.toMatch(/secret|path/);
  });
});

describe("within this machine", () => {
  const local = upstreamOf({ endpoints: ["http://127.0.0.1:5000"], realms: [] });
  const start = "http://127.0.0.1:5000/v2/x";

  test.each(["http://127.0.0.1:6000/x", "http://localhost:6000/x", "http://127.0.0.1:5000/y", "/y"])(
    "an upstream that lives here may redirect to %s",
    async (location) => {
      const { response } = follow({ [start]: location }, local, start);
      expect((await response).status).toBe(200);
    },
  );

  test.each(["http://10.0.0.1/x", "http://storage.test/x", "https://10.0.0.1/x", "http://169.254.169.254/"])(
    "and still not to %s",
    async (location) => {
      const { response } = follow({ [start]: location }, local, start);
      expect((await failureOf(response)).kind).toBe("unavailable");
    },
  );

  test("it may send its clients out into the Internet over https, without its credentials", async () => {
    const { response, requested } = follow({ [start]: "https://storage.test/x" }, local, start);
    await response;
    expect(authorizations(requested)).toEqual([true, false]);
  });

  test("an upstream that only has a fallback here may not redirect to other ports", async () => {
    const mixed = upstreamOf({ endpoints: ["https://registry.test", "http://127.0.0.1:5000"] });
    const { response } = follow({ [START]: "http://127.0.0.1:6000/x" }, mixed);
    expect((await failureOf(response)).kind).toBe("unavailable");
    expect(isLocal(mixed)).toBe(false);
  });
});

describe("Authorization", () => {
  test("stays behind at a redirect to storage", async () => {
    const { response, requested, headers } = follow({ [START]: "https://storage.test/x" });
    await response;
    expect(authorizations(requested)).toEqual([true, false]);
    expect(headers.get("Authorization")).toBe("Bearer secret");
  });

  test("stays behind for good, also when a later redirect leads back", async () => {
    const { response, requested } = follow({
      [START]: "https://storage.test/x",
      "https://storage.test/x": "https://registry.test/y",
    });
    await response;
    expect(authorizations(requested)).toEqual([true, false, false]);
  });

  test.each([
    ["another port", "https://registry.test:8443/x"],
    ["a host below", "https://cdn.registry.test/x"],
    ["a host that begins alike", "https://registry.test.example.org/x"],
    ["a host dressed as a user", "https://registry.test@example.org/x"],
  ])("isn't sent to %s", async (_, location) => {
    const { response, requested } = follow({ [START]: location });
    await response.catch(() => {});
    expect(authorizations(requested.slice(1))).not.toContain(true);
  });

  test("goes along within the endpoint", async () => {
    const { response, requested } = follow({ [START]: "/y" });
    await response;
    expect(authorizations(requested)).toEqual([true, true]);
  });

  test("isn't sent to a fallback, which may belong to anyone, nor from a fallback to the primary", async () => {
    const upstream = upstreamOf({ endpoints: ["https://registry.test", "https://fallback.test"] });
    for (const [from, to] of [
      [START, "https://fallback.test/x"],
      ["https://fallback.test/x", START],
    ] as const) {
      const { response, requested } = follow({ [from]: to }, upstream, from);
      await response;
      expect(authorizations(requested)).toEqual([true, false]);
    }
  });

  test("goes along to a listed realm, as lscr.io's to ghcr.io, and no further", async () => {
    const lscr = upstreamOf({ name: "lscr.io", realms: ["ghcr.io"] });
    const { response, requested } = follow(
      {
        "https://lscr.io/v2/x": "https://ghcr.io/v2/x",
        "https://ghcr.io/v2/x": "https://pkg-containers.githubusercontent.com/x",
      },
      lscr,
      "https://lscr.io/v2/x",
    );
    await response;
    expect(authorizations(requested)).toEqual([true, true, false]);
  });

  test("of a trusted host is for https, or for exactly the endpoint that was set up", () => {
    const upstream = upstreamOf({ endpoints: ["http://127.0.0.1:5000"], realms: ["127.0.0.1:6000"] });
    const trusts = (url: string) => isTrusted(upstream, new URL("http://127.0.0.1:5000"), new URL(url));
    expect(trusts("http://127.0.0.1:5000/x")).toBe(true);
    expect(trusts("https://127.0.0.1:6000/x")).toBe(true);
    expect(trusts("http://127.0.0.1:6000/x")).toBe(false);
    expect(trusts("https://127.0.0.1:5000/x")).toBe(false);
  });
});

describe("against a registry whose storage refuses a stray Authorization", () => {
  test.each(["absolute", "relative"] as const)("a blob comes through an %s redirect", async (how) => {
    const registry = createFakeRegistry({ redirect: how });
    const { layers } = await registry.addImage("owner/image", "latest");
    const client = createClient(registry.fetch);
    for (const { digest, size } of layers) {
      const response = await client.request({ path: `blobs/${digest}` });
      expect((await response.arrayBuffer()).byteLength).toBe(size);
    }
    expect(registry.count({ kind: "storage", status: 200 })).toBe(layers.length);
  });

  test("a signed URL is never kept: after it has expired the blob comes through a new one", async () => {
    let now = Date.UTC(2026, 0, 1);
    const registry = createFakeRegistry({ redirect: "absolute", signatureLifetime: 60, now: () => now });
    const { layers } = await registry.addImage("owner/image", "latest");
    const client = createClient(registry.fetch, () => now);
    const path = `blobs/${layers[0]?.digest}`;
    expect(await client.status({ path })).toBe(200);
    now += 120_000;
    expect(await client.status({ path })).toBe(200);
  });

  test("storage's 403 to a signed URL is no word on access: it says that the URL is of no use", async () => {
    const registry = createFakeRegistry({ redirect: "absolute" });
    const { layers } = await registry.addImage("owner/image", "latest");
    registry.fail({ kind: "storage" }, { status: 403 });
    const client = createClient(registry.fetch);
    expect((await client.failure({ path: `blobs/${layers[0]?.digest}` })).kind).toBe("unavailable");
  });

  test("a tag that isn't there is missing also where all manifests are redirected, as registry.k8s.io's", async () => {
    const { registryHost: name, ...rest } = profiles["registry.k8s.io"];
    const registry = createFakeRegistry({ registryHost: name, ...rest });
    await registry.addImage("pause", "3.9");
    const client = createClient(registry.fetch);
    const sketch = { upstream: upstreamOf({ name, realms: [] }), repository: "pause" };
    expect(await client.status({ ...sketch, path: "manifests/3.9" })).toBe(200);
    const { kind } = await client.failure({ ...sketch, path: "manifests/nowhere" });
    expect(kind).toBe("missing");
  });

  test("one that has expired on the way is replaced by a new one", async () => {
    const registry = createFakeRegistry({ redirect: "absolute" });
    const { layers } = await registry.addImage("owner/image", "latest");
    registry.fail({ kind: "storage" }, { status: 403 }, 1);
    expect(await createClient(registry.fetch).status({ path: `blobs/${layers[0]?.digest}` })).toBe(200);
  });

  test.each([
    ["a loop", behaviours.redirectLoop()],
    ["too many hops", behaviours.redirectChain(9)],
    ["plain http", behaviours.redirectTo("http://storage.test/x")],
    ["a private address", behaviours.redirectTo("https://10.0.0.1/x")],
  ])("%s fails once: what is refused on purpose isn't tried again", async (_, behaviour) => {
    const registry = createFakeRegistry({ auth: "none" });
    const { layers } = await registry.addImage("owner/image", "latest");
    registry.fail({ kind: "blob" }, behaviour);
    const { kind } = await createClient(registry.fetch).failure({ path: `blobs/${layers[0]?.digest}` });
    expect(kind).toBe("unavailable");
    expect(registry.requests.length).toBeLessThanOrEqual(6);
  });

  test("five hops come through", async () => {
    const registry = createFakeRegistry({ auth: "none" });
    const { layers } = await registry.addImage("owner/image", "latest");
    registry.fail({ kind: "blob" }, behaviours.redirectChain(5));
    expect(await createClient(registry.fetch).status({ path: `blobs/${layers[0]?.digest}` })).toBe(200);
  });
});
