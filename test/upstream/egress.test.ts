/** The two networks of one machine: only the operator's configured hosts are reached through the internal one. */
import { afterEach, describe, expect, test, vi } from "vitest";
import { readConfig } from "../../src/config.ts";
import { egress, PROXY_FAILURE_HEADER, type Routed } from "../../src/upstream/egress.ts";

const UPSTREAMS = {
  "docker.io": { endpoints: ["https://registry-1.docker.io", "https://mirror.lan:8443/docker.io"] },
  "registry.corp.example": { realms: ["login.corp.example"] },
  "*.ci.example": {},
};

afterEach(() => vi.unstubAllGlobals());

/** The network through which a URL is fetched. */
async function networkOf(
  url: string,
  upstreams: object = UPSTREAMS,
  proxies: Record<string, string> = {},
  init: Routed = {},
): Promise<string> {
  const by = (name: string) => async () => new Response(name);
  vi.stubGlobal("fetch", by("internet"));
  const { isOperators } = readConfig({ UPSTREAMS: upstreams });
  const response = await egress({
    operatorNetwork: { fetch: by("operator") },
    forwarder: { fetch: by("proxy") },
    isOperators,
    proxies,
    bound: new Map(),
  })(url, init);
  return response.text();
}

describe("is fetched through the operator's network", () => {
  test.each([
    "https://registry-1.docker.io/v2/",
    "https://mirror.lan:8443/v2/docker.io/library/alpine/manifests/latest",
    "https://registry.corp.example/v2/",
    "https://login.corp.example/token",
    "https://team.ci.example/v2/",
  ])("%s, which the configuration names", async (url) => {
    expect(await networkOf(url)).toBe("operator");
  });

  test("another port of this machine, where an upstream is on it", async () => {
    const local = { "local.test": { endpoints: ["http://127.0.0.1:5000"], insecure: true } };
    expect(await networkOf("http://127.0.0.1:9000/storage", local)).toBe("operator");
    expect(await networkOf("http://localhost:9000/storage", local)).toBe("operator");
  });
});

describe("is fetched through the Internet's network", () => {
  test.each([
    "https://ghcr.io/v2/",
    "https://cdn.example/blob",
    "https://mirror.lan/v2/",
    "https://corp.example/",
    "https://a.team.ci.example/",
    "http://127.0.0.1:9000/",
  ])("%s, which it doesn't name", async (url) => {
    expect(await networkOf(url)).toBe("internet");
  });

  test("everything, where there is no other", async () => {
    vi.stubGlobal("fetch", async () => new Response("internet"));
    const { isOperators } = readConfig({ UPSTREAMS });
    const response = await egress({
      operatorNetwork: null,
      forwarder: null,
      isOperators,
      proxies: {},
      bound: new Map(),
    })("https://registry-1.docker.io/v2/");
    expect(await response.text()).toBe("internet");
  });
});

test("is fetched by its host's own binding before any other way", async () => {
  vi.stubGlobal("fetch", async () => new Response("internet"));
  const { isOperators } = readConfig({ UPSTREAMS });
  const bound = new Map([["home.example", { fetch: async () => new Response("binding") }]]);
  const send = egress({ operatorNetwork: null, forwarder: null, isOperators, proxies: {}, bound });
  expect(await (await send("https://home.example/v2/")).text()).toBe("binding");
  expect(await (await send("https://ghcr.io/v2/")).text()).toBe("internet");
});

describe("is fetched through a proxy", () => {
  const proxies = { https_proxy: "http://proxy.example:3128", no_proxy: "quay.io" };

  test("what the variables don't except, an operator's host too", async () => {
    expect(await networkOf("https://ghcr.io/v2/", UPSTREAMS, proxies)).toBe("proxy");
    expect(await networkOf("https://registry-1.docker.io/v2/", UPSTREAMS, proxies)).toBe("proxy");
    expect(await networkOf("https://quay.io/v2/", UPSTREAMS, proxies)).toBe("internet");
    expect(await networkOf("http://127.0.0.1:9000/", UPSTREAMS, proxies)).toBe("internet");
  });

  test("what its upstream names one for, and not what names none", async () => {
    expect(await networkOf("https://quay.io/v2/", UPSTREAMS, proxies, { proxy: "socks5h://a.example" })).toBe(
      "proxy",
    );
    expect(await networkOf("https://ghcr.io/v2/", UPSTREAMS, proxies, { proxy: "direct" })).toBe("internet");
  });

  test("whose failure is an error of its own", async () => {
    const failed = new Response(null, {
      status: 502,
      headers: { [PROXY_FAILURE_HEADER]: "the proxy a can't be reached" },
    });
    const { isOperators } = readConfig({ UPSTREAMS });
    const send = egress({
      operatorNetwork: null,
      forwarder: { fetch: async () => failed },
      isOperators,
      proxies,
      bound: new Map(),
    });
    await expect(send("https://ghcr.io/v2/")).rejects.toThrow("the proxy a can't be reached");
  });
});
