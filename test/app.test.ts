/** What stands around the pulls: pages, unknown paths, failures inside, and a configuration that can't be used. */
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, type MockInstance, test, vi } from "vitest";
import { type MirrorResponse, useMirror } from "./support/mirror.ts";

const mirror = useMirror();
let error: MockInstance;

function errorOf(response: MirrorResponse): { code: string; message: string } | undefined {
  const { errors } = response.json() as { errors: { code: string; message: string }[] };
  expect(errors).toHaveLength(1);
  return errors[0];
}

describe("the mirror's own pages", () => {
  test("/ says in plain text what this is and what is mirrored, and never challenges", async () => {
    const { status, headers, bytes } = await mirror.request("/");
    const text = new TextDecoder().decode(bytes);
    expect(status).toBe(200);
    expect(headers.get("Content-Type")).toMatch(/^text\/plain\b/);
    expect(text).toContain("Portolan");
    for (const name of ["docker.io", "ghcr.io", "quay.io"]) expect(text).toContain(name);
    expect(new TextDecoder().decode(bytes)).toMatch(
      /^This is Portolan, a pull-through mirror for container registries\.\n/,
    );
  });

  test("/_/health answers by one look at the store, and asks no upstream", async () => {
    const response = await mirror.request("/_/health");
    expect([response.status, response.json()]).toEqual([200, { status: "ok" }]);
    const { storeReads, kvReads, leases, resolutions } = mirror.operations();
    expect([storeReads, kvReads, leases, resolutions]).toEqual([1, 0, 0, 0]);
    expect(mirror.docker.requests).toEqual([]);
  });

  test("/_/health is 503 while the store can't be reached, and doesn't say why to anyone who asks", async () => {
    mirror.outage("STORE", "head");
    const response = await mirror.request("/_/health");
    expect([response.status, response.json()]).toEqual([503, { status: "unavailable" }]);
  });

  test.each(["/", "/_/health"])("%s answers HEAD without a body", async (path) => {
    const { status, bytes } = await mirror.request(path, { method: "HEAD" });
    expect([status, bytes.byteLength]).toEqual([200, 0]);
  });
});

describe("a private service", () => {
  test("tells search engines to leave all of it alone", async () => {
    const { status, headers, bytes } = await mirror.request("/robots.txt");
    expect(status).toBe(200);
    expect(headers.get("Content-Type")).toMatch(/^text\/plain\b/);
    expect(new TextDecoder().decode(bytes)).toBe("User-agent: *\nDisallow: /\n");
  });

  test("has no Strict-Transport-Security: a proxy's other hosts aren't ours to decide on", async () => {
    const { headers } = await mirror.request("/");
    for (const name of ["Strict-Transport-Security", "X-Powered-By"]) expect(headers.get(name)).toBeNull();
  });

  test("names nothing of what it holds or whom it serves", async () => {
    await mirror.docker.addImage("library/demo", "latest");
    await mirror.request("/v2/library/demo/manifests/latest");
    for (const path of ["/", "/robots.txt", "/_/health"]) {
      expect(new TextDecoder().decode((await mirror.request(path)).bytes)).not.toContain("demo");
    }
  });
});

describe("a path that is nothing here", () => {
  test.each([
    "/favicon.ico",
    "/robots.txt.bak",
    "/_/unknown",
    "/_",
    "/v1/_ping",
    "/v22/",
    "/V2/",
    "/library/demo",
    "/v2/demo",
    "/v2/demo/manifests/",
    "/v2/demo/blobs/",
    "/v2/_catalogue",
    "//v2/",
    "/http://169.254.169.254/latest",
  ])("is 404 in the registries' form: %s", async (path) => {
    const response = await mirror.request(path);
    expect(response.status).toBe(404);
    expect(response.headers.get("Content-Type")).toBe("application/json");
    expect(response.headers.get("Cache-Control")).toBe("no-store");
    expect(errorOf(response)).toMatchObject({ code: expect.stringMatching(/^[A-Z_]+$/) });
    expect(mirror.docker.requests).toEqual([]);
    expect(mirror.network.strays).toEqual([]);
  });

  test("can't be posted to either", async () => {
    for (const path of ["/", "/_/health", "/favicon.ico", "/v2/", "/v2/library/demo/manifests/latest"]) {
      const response = await mirror.request(path, { method: "POST", body: "x" });
      expect([path, response.status, response.headers.get("Allow")]).toEqual([path, 405, "GET, HEAD"]);
      expect(errorOf(response)?.code).toBe("UNSUPPORTED");
    }
  });
});

describe("a request that has passed this mirror twice", () => {
  test.each(["/v2/", "/v2/library/demo/manifests/latest", "/_/token?service=x", "/"])(
    "is refused: %s",
    async (path) => {
      const through = (times: number) => ({
        headers: { Via: Array(times).fill(mirror.services.via).join(", 1.1 portolan-other, ") },
      });
      const refused = await mirror.request(path, through(2));
      expect(refused.status).toBe(508);
      expect((await mirror.request(path, through(1))).status).not.toBe(508);
    },
  );
});

describe("a failure inside", () => {
  beforeEach(() => {
    error = vi.spyOn(console, "error").mockImplementation(() => {});
    vi.spyOn(mirror.services.tags, "fresh").mockRejectedValue(
      new Error("secret-of-the-inside at /src/x.ts:1"),
    );
  });

  test("is 500 in the registries' form, and its text is for the log alone", async () => {
    const response = await mirror.request("/v2/library/demo/manifests/latest");
    expect(response.status).toBe(500);
    expect(response.headers.get("Cache-Control")).toBe("no-store");
    expect(response.headers.get("Content-Type")).toBe("application/json");
    expect(errorOf(response)).toMatchObject({ code: "UNAVAILABLE" });
    const served = new TextDecoder().decode(response.bytes) + JSON.stringify([...response.headers]);
    expect(served).not.toContain("secret-of-the-inside");
    expect(error).toHaveBeenCalledWith(
      expect.objectContaining({ message: expect.stringContaining("secret-of-the-inside") }),
    );
  });

  test("answers HEAD without a body", async () => {
    const { status, bytes } = await mirror.request("/v2/library/demo/manifests/latest", { method: "HEAD" });
    expect([status, bytes.byteLength]).toEqual([500, 0]);
  });

  test("ends with its request: the next one is served", async () => {
    await mirror.docker.addImage("library/demo", "latest");
    await mirror.request("/v2/library/demo/manifests/latest");
    vi.mocked(mirror.services.tags.fresh).mockRestore();
    expect((await mirror.request("/v2/library/demo/manifests/latest")).status).toBe(200);
  });
});

describe("the Worker's entry", () => {
  beforeEach(() => {
    // It keeps its app for as long as it lives: every test needs a new one.
    vi.resetModules();
    error = vi.spyOn(console, "error").mockImplementation(() => {});
  });

  afterEach(() => {
    vi.resetModules();
  });

  async function fetchEntry(vars: object, method = "GET"): Promise<Response> {
    const { default: worker } = await import("../src/index.ts");
    const context = createExecutionContext();
    const request = new Request<unknown, IncomingRequestCfProperties>("https://mirror.test/v2/", { method });
    const response = await worker.fetch(request, { ...mirror.bindings, ...vars }, context);
    await waitOnExecutionContext(context);
    return response;
  }

  test("serves with a configuration that can be used", async () => {
    expect((await fetchEntry({ TAG_TTL: 60 })).status).toBe(200);
  });

  test("serves nothing with one that can't, and says all that is wrong with it", async () => {
    const response = await fetchEntry({ TAG_TTL: "soon", DOMAIN: "Not A Host" });
    expect(response.headers.get("X-Content-Type-Options")).toBe("nosniff");
    expect(response.status).toBe(500);
    expect(response.headers.get("Cache-Control")).toBe("no-store");
    const { errors } = (await response.json()) as { errors: { code: string; message: string }[] };
    expect(errors[0]?.code).toBe("UNAVAILABLE");
    expect(errors[0]?.message).toContain("TAG_TTL");
    expect(errors[0]?.message).toContain("DOMAIN");
    expect(error).toHaveBeenCalled();
  });

  test("says it to HEAD by its status alone", async () => {
    const response = await fetchEntry({ TAG_TTL: "soon" }, "HEAD");
    expect([response.status, await response.text()]).toEqual([500, ""]);
  });

  test("is served again as soon as the configuration is right", async () => {
    expect((await fetchEntry({ TAG_TTL: "soon" })).status).toBe(500);
    expect((await fetchEntry({ TAG_TTL: 60 })).status).toBe(200);
  });
});
