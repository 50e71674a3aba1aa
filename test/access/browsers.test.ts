/** Browsers: pages of other sites can't use the mirror. */
import { beforeEach, describe, expect, test } from "vitest";
import { useMirror } from "../support/mirror.ts";

const TAG = "/v2/library/demo/manifests/latest";

describe("every response", () => {
  const mirror = useMirror();

  test.each<[string, string, RequestInit, number]>([
    ["a page", "/", {}, 200],
    ["health", "/_/health", {}, 200],
    ["robots.txt", "/robots.txt", {}, 200],
    ["a ping", "/v2/", {}, 200],
    ["a manifest", TAG, {}, 200],
    ["a manifest's HEAD", TAG, { method: "HEAD" }, 200],
    ["a blob", "BLOB", {}, 200],
    ["a blob's range", "BLOB", { headers: { Range: "bytes=0-3" } }, 206],
    ["an unsatisfiable range", "BLOB", { headers: { Range: "bytes=99999999-" } }, 416],
    ["what is unchanged", TAG, { headers: { "If-None-Match": "*" } }, 304],
    ["a list", "/v2/library/demo/tags/list", {}, 200],
    ["what isn't there", "/v2/library/demo/manifests/none", {}, 404],
    ["no registry request", "/favicon.ico", {}, 404],
    ["a push", TAG, { method: "PUT", body: "x" }, 405],
    ["a long URL", `/${"a".repeat(5000)}`, {}, 414],
    ["heavy headers", "/", { headers: { "X-A": "a".repeat(17_000) } }, 431],
  ])("can't be sniffed, framed, run, or embedded elsewhere: %s", async (_, path, init, status) => {
    const image = await mirror.docker.addImage("library/demo", "latest");
    const at = path.replace("BLOB", `/v2/library/demo/blobs/${image.layers[0]?.digest}`);
    if (path === "BLOB") await mirror.request(at);
    const response = await mirror.request(at, init);
    expect(response.status).toBe(status);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
      "cross-origin-resource-policy": "same-origin",
      "referrer-policy": "no-referrer",
      "x-content-type-options": "nosniff",
      "x-robots-tag": "noindex",
    });
  });
});

describe("a manifest that calls itself something else", () => {
  const mirror = useMirror();

  test.each([
    "application/xhtml+xml",
    "application/javascript",
    "application/pdf",
    "text/html",
    "image/svg+xml",
  ])("isn't served as %s", async (mediaType) => {
    const body = { schemaVersion: 2, mediaType, config: {}, layers: [] };
    const bytes = new TextEncoder().encode(JSON.stringify(body));
    const { digest } = await mirror.docker.addManifest("library/odd", bytes, { mediaType });
    mirror.docker.moveTag("library/odd", "latest", digest);
    for (const reference of ["latest", digest]) {
      for (const method of ["HEAD", "GET", "GET", "HEAD"]) {
        const { status, headers } = await mirror.request(`/v2/library/odd/manifests/${reference}`, {
          method,
        });
        expect(headers.get("Content-Type")).not.toBe(mediaType);
        if (status === 200) {
          expect(headers.get("Content-Type")).toMatch(/^application\/(octet-stream|vnd\.(oci|docker)\..*)$/);
        }
      }
    }
  });
});

describe("a fetch that a browser makes for a page", () => {
  const mirror = useMirror();

  beforeEach(async () => {
    await mirror.docker.addImage("library/demo", "latest");
  });

  test.each(["cross-site", "same-site", "anything-new"])("of another site is refused: %s", async (site) => {
    for (const path of [TAG, "/v2/", "/v2/library/demo/tags/list", "/_/token"]) {
      for (const [mode, dest] of [
        ["no-cors", "image"],
        ["cors", "empty"],
        ["navigate", "document"],
      ] as const) {
        const headers = { "Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest };
        const { status, headers: answered } = await mirror.request(path, { headers });
        expect([path, mode, status]).toEqual([path, mode, 403]);
        expect(answered.get("Access-Control-Allow-Origin")).toBeNull();
      }
    }
    expect(mirror.docker.requests).toEqual([]);
    expect(await mirror.stored()).toEqual([]);
  });

  test("of the mirror's own, or that a person navigates to, is served", async () => {
    for (const site of ["same-origin", "none"]) {
      expect((await mirror.request(TAG, { headers: { "Sec-Fetch-Site": site } })).status).toBe(200);
    }
  });

  test("may link to the mirror's page from any site", async () => {
    expect((await mirror.request("/", { headers: { "Sec-Fetch-Site": "cross-site" } })).status).toBe(200);
  });
});

describe("on loopback", () => {
  const mirror = useMirror({
    ACCESS: undefined,
    LOOPBACK: true,
    DOMAIN: "example.com",
    HOSTS: "mirror.lan, m.example.net",
  });

  test.each([
    "127.0.0.1:8787",
    "127.1.2.3",
    "localhost:8787",
    "localhost.",
    "docker.localhost",
    "[::1]:8787",
    "host.docker.internal:8787",
    "example.com",
    "docker.example.com",
    "mirror.lan:8787",
    "m.example.net",
  ])("the mirror answers to %s", async (host) => {
    for (const path of ["/", "/_/health", "/v2/"])
      expect((await mirror.request(path, { host })).status).toBe(200);
  });

  test.each([
    "evil.test:8787",
    "evil.test",
    "127.0.0.1.evil.test",
    "localhost.evil.test",
    "evilexample.com",
    "example.com.evil.test",
    "mirror.lan.evil.test",
    "a.m.example.net",
    "192.168.1.10",
    "10.0.0.1",
    "[::ffff:7f00:1]",
    "[fe80::1]",
    "0.0.0.0",
  ])("a page that had its name lead here is refused: %s", async (host) => {
    await mirror.docker.addImage("library/demo", "latest");
    for (const path of ["/", "/_/health", "/v2/", TAG, "/_/token", "/nothing"]) {
      for (const method of ["GET", "HEAD", "POST"]) {
        const response = await mirror.request(path, { host, method });
        expect([path, method, response.status]).toEqual([path, method, 421]);
      }
    }
    expect(mirror.docker.requests).toEqual([]);
  });

  test("explains how a name is added", async () => {
    const { errors } = (await mirror.request("/v2/", { host: "evil.test" })).json() as {
      errors: { message: string }[];
    };
    expect(errors[0]?.message).toContain("HOSTS");
  });

  test("trusts no header over Host", async () => {
    for (const name of ["X-Forwarded-Host", "X-Original-Host", "X-Host", "Forwarded"]) {
      const value = name === "Forwarded" ? "host=localhost" : "localhost";
      expect((await mirror.request("/v2/", { host: "evil.test", headers: { [name]: value } })).status).toBe(
        421,
      );
    }
  });
});

describe("where HOSTS isn't set and others can reach the mirror", () => {
  const mirror = useMirror();

  test("it answers to any name", async () => {
    expect((await mirror.request("/v2/", { host: "whatever.test" })).status).toBe(200);
  });
});
