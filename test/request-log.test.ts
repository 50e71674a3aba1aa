/** The request log: a record of every request, gathered, as JSON that can be searched. */
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { Hono } from "hono";
import { afterEach, beforeEach, describe, expect, type MockInstance, test, vi } from "vitest";
import { GATHER, type RequestRecord, requestLog } from "../src/request-log.ts";
import { useMirror } from "./support/mirror.ts";

const mirror = useMirror();
let log: MockInstance;
let image: Awaited<ReturnType<typeof mirror.docker.addImage>>;

beforeEach(async () => {
  log = vi.spyOn(console, "log").mockImplementation(() => {});
  image = await mirror.docker.addImage("library/demo", "latest");
});

/** All that was logged of requests, in order; every line must be JSON. */
function records(): RequestRecord[] {
  return log.mock.calls.flatMap(([line]) => JSON.parse(String(line)).requests ?? []);
}

describe("a record", () => {
  test("says what was requested and what was answered", async () => {
    await mirror.request("/v2/library/demo/manifests/latest?ns=docker.io");
    expect(records()).toEqual([
      {
        method: "GET",
        path: "/v2/library/demo/manifests/latest?ns=docker.io",
        upstream: "docker.io",
        repository: "library/demo",
        resource: "manifest",
        reference: "tag",
        key: null,
        status: 200,
        servedBy: "upstream",
        bytes: image.target.size,
        ms: expect.any(Number),
        reason: null,
      },
    ]);
  });

  test("says why the mirror couldn't serve, and nothing of what is the client's doing", async () => {
    mirror.docker.fail({ kind: "manifest", repository: "library/other" }, { status: 503 });
    await mirror.request("/v2/library/other/manifests/latest");
    await mirror.request("/v2/library/demo/manifests/latest", { method: "POST" });
    expect(records().map(({ status, upstream, reason }) => [status, upstream, reason])).toEqual([
      [503, "docker.io", "upstream answered 503 for library/other/manifests/latest"],
      [405, null, null],
    ]);
  });

  test("says where each response came from", async () => {
    const blob = `/v2/library/demo/blobs/${image.layers[0]?.digest}`;
    for (const path of [
      "/v2/library/demo/manifests/latest",
      "/v2/library/demo/manifests/latest",
      blob,
      blob,
    ]) {
      await mirror.request(path);
    }
    await mirror.request("/_/health");
    expect(records().map(({ servedBy }) => servedBy)).toEqual([
      "upstream",
      "memory",
      "upstream",
      "store",
      null,
    ]);
  });

  test("names the key that admitted the request, and how its resource is named", async () => {
    const blob = `/v2/library/demo/blobs/${image.layers[0]?.digest}`;
    for (const path of [blob, "/v2/library/demo/tags/list", "/v2/"]) await mirror.request(path);
    expect(
      records().map(({ resource, reference, repository, key }) => [resource, reference, repository, key]),
    ).toEqual([
      ["blob", "digest", "library/demo", null],
      ["tags", null, "library/demo", null],
      [null, null, null, null],
    ]);
  });

  test("is written also when a handler throws what isn't an error", async () => {
    const app = new Hono();
    app.use(requestLog(GATHER, () => {}));
    app.get("*", () => {
      throw "text";
    });
    const context = createExecutionContext();
    await expect(app.fetch(new Request("https://mirror.test/x"), {}, context)).rejects.toBe("text");
    await waitOnExecutionContext(context);
    expect(records()).toMatchObject([{ path: "/x", status: 500, servedBy: null }]);
  });

  test("is made of refusals and failures too", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    await mirror.request("/nothing");
    await mirror.request("/v2/library/demo/manifests/none");
    await mirror.request("/v2/", { method: "DELETE" });
    vi.spyOn(mirror.services.tags, "fresh").mockRejectedValue(new Error("inside"));
    await mirror.request("/v2/library/demo/manifests/latest");
    expect(records().map(({ method, status }) => `${method} ${status}`)).toEqual([
      "GET 404",
      "GET 404",
      "DELETE 405",
      "GET 500",
    ]);
    expect(records().every(({ servedBy }) => servedBy === null)).toBe(true);
  });

  test("has no length where none is declared, and 0 where it is 0", async () => {
    const { digest } = await mirror.docker.addBlob(new Uint8Array(0));
    await mirror.request("/v2/library/demo/manifests/none");
    await mirror.request(`/v2/library/demo/blobs/${digest}`);
    expect(records().map(({ bytes }) => bytes)).toEqual([null, 0]);
  });

  test("holds nothing of a client's headers", async () => {
    await mirror.request("/v2/", {
      headers: { Authorization: "Bearer of-the-client", Cookie: "of-the-client" },
    });
    expect(JSON.stringify(records())).not.toContain("of-the-client");
  });

  test("holds nothing that could be a key, neither in the repository's name nor in the reason", async () => {
    const key = "abcdefgh".repeat(4);
    mirror.docker.fail({ kind: "manifest", repository: `${key}/demo` }, { status: 503 });
    await mirror.request(`/v2/${key}/demo/manifests/latest`);
    expect(records()).toMatchObject([{ repository: "<key>/demo", status: 503 }]);
    expect(records()[0]?.reason).toContain("<key>/demo");
    expect(JSON.stringify(records())).not.toContain(key);
  });

  test("is short, however long the path", async () => {
    const key = "k".repeat(32);
    for (const start of ["/", "/v2/".padEnd(500, "-")])
      await mirror.request(start + key + "/a".repeat(30_000));
    for (const { path, status } of records()) {
      expect([path.length, status]).toEqual([513, 414]);
      expect(path).not.toContain("kkk");
    }
  });

  test("is one line, whatever the path holds", async () => {
    await mirror.request("/v2/%0a%22/manifests/x?a=%0d%0a");
    const [[line]] = log.mock.calls as [[string]];
    expect(line).not.toMatch(/[\r\n]/);
    expect(records()[0]?.path).toBe("/v2/%0a%22/manifests/x?a=%0d%0a");
  });
});

describe("writing", () => {
  const app = new Hono();
  app.use(requestLog(GATHER, () => {}));
  app.get("*", (c) => c.text("x"));
  const contexts: ExecutionContext[] = [];

  afterEach(async () => {
    for (const context of contexts.splice(0)) await waitOnExecutionContext(context);
  });

  async function request(url = "https://mirror.test/x"): Promise<void> {
    const context = createExecutionContext();
    contexts.push(context);
    await app.fetch(new Request(url), {}, context);
  }

  test("gathers what comes at about the same time into one line, and loses none", async () => {
    for (let count = 0; count < 20; count++) await request();
    expect(log).not.toHaveBeenCalled();
    for (const context of contexts.splice(0)) await waitOnExecutionContext(context);
    expect(log).toHaveBeenCalledTimes(1);
    expect(records()).toHaveLength(20);
  });

  test("doesn't wait when many have gathered", async () => {
    for (let count = 0; count < 50; count++) await request();
    expect(records()).toHaveLength(50);
    await request();
    for (const context of contexts.splice(0)) await waitOnExecutionContext(context);
    expect(records()).toHaveLength(51);
  });

  test.each([
    { url: "http://127.0.0.1:8787/v2/", path: "/v2/" },
    { url: "https://mirror.test/", path: "/" },
    { url: "http://a/b?c=http://d/e", path: "/b?c=http://d/e" },
  ])("names the path whatever the host: $url", async ({ url, path }) => {
    await request(url);
    for (const context of contexts.splice(0)) await waitOnExecutionContext(context);
    expect(records().map((record) => record.path)).toEqual([path]);
  });
});
