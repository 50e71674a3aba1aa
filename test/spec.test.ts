/** The distribution specification, where mirrors usually fail: one test for each point. */
import { beforeEach, describe, expect, test } from "vitest";
import { MANIFEST_ACCEPT } from "../src/oci/mediatypes.ts";
import { digestOf } from "./support/fake-registry/bytes.ts";
import { behaviours, type Image, patternBytes } from "./support/fake-registry.ts";
import { codesOf, useMirror } from "./support/mirror.ts";

const OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const ERROR_CODES = [
  "BLOB_UNKNOWN",
  "BLOB_UPLOAD_INVALID",
  "BLOB_UPLOAD_UNKNOWN",
  "DIGEST_INVALID",
  "MANIFEST_BLOB_UNKNOWN",
  "MANIFEST_INVALID",
  "MANIFEST_UNKNOWN",
  "NAME_INVALID",
  "NAME_UNKNOWN",
  "SIZE_INVALID",
  "UNAUTHORIZED",
  "DENIED",
  "UNSUPPORTED",
  "TOOMANYREQUESTS",
];

const mirror = useMirror();
const layer = patternBytes(1000, 1);
let image: Image;
let digest: string;
let blob: string;

beforeEach(async () => {
  image = await mirror.docker.addImage("library/demo", "latest", { layers: [layer] });
  digest = image.target.digest;
  blob = `/v2/library/demo/blobs/${image.layers[0]?.digest}`;
});

describe("HEAD", () => {
  test.each(["cold", "warm"])(
    "a %s manifest by tag: Content-Length and Docker-Content-Digest",
    async (state) => {
      const path = "/v2/library/demo/manifests/latest";
      if (state === "warm") await mirror.request(path);
      const { status, headers, bytes } = await mirror.request(path, { method: "HEAD" });
      expect(status).toBe(200);
      expect(headers.get("Content-Length")).toBe(String(image.target.size));
      expect(headers.get("Docker-Content-Digest")).toBe(digest);
      expect(headers.get("Content-Type")).toBe(OCI_MANIFEST);
      expect(bytes.byteLength).toBe(0);
    },
  );

  test.each(["cold", "warm"])("a %s manifest by digest: the same", async (state) => {
    const path = `/v2/library/demo/manifests/${digest}`;
    if (state === "warm") await mirror.request(path);
    const { status, headers } = await mirror.request(path, { method: "HEAD" });
    expect(status).toBe(200);
    expect(headers.get("Content-Length")).toBe(String(image.target.size));
    expect(headers.get("Docker-Content-Digest")).toBe(digest);
  });

  test.each(["cold", "warm"])("a %s blob: the same", async (state) => {
    if (state === "warm") await mirror.request(blob);
    const { status, headers } = await mirror.request(blob, { method: "HEAD" });
    expect(status).toBe(200);
    expect(headers.get("Content-Length")).toBe("1000");
    expect(headers.get("Docker-Content-Digest")).toBe(image.layers[0]?.digest);
  });

  test("an error carries no body", async () => {
    const { status, bytes } = await mirror.request("/v2/library/demo/manifests/none", { method: "HEAD" });
    expect(status).toBe(404);
    expect(bytes.byteLength).toBe(0);
  });
});

describe("manifests", () => {
  test.each([OCI_MANIFEST, "application/vnd.docker.distribution.manifest.v2+json"])(
    "are served as they were pushed, without parameters: %s",
    async (mediaType) => {
      const { digest } = await mirror.docker.addManifest(
        "library/demo",
        { schemaVersion: 2, mediaType, layers: [] },
        { tag: "typed", mediaType: `${mediaType}; charset=utf-8` },
      );
      for (const method of ["HEAD", "GET", "GET"]) {
        for (const reference of ["typed", digest]) {
          const { headers } = await mirror.request(`/v2/library/demo/manifests/${reference}`, { method });
          expect(headers.get("Content-Type")).toBe(mediaType);
        }
      }
    },
  );

  test("of 4 MiB are mirrored", async () => {
    const annotations = { padding: "x".repeat(4 * 1024 * 1024 - 500) };
    const big = await mirror.docker.addManifest(
      "library/demo",
      { schemaVersion: 2, mediaType: OCI_MANIFEST, layers: [], annotations },
      { tag: "big" },
    );
    const { status, bytes } = await mirror.request("/v2/library/demo/manifests/big");
    expect(status).toBe(200);
    expect(await digestOf(new Uint8Array(bytes))).toBe(big.digest);
    mirror.newIsolate();
    mirror.docker.reset();
    const warm = await mirror.request(`/v2/library/demo/manifests/${big.digest}`);
    expect(warm.bytes.byteLength).toBe(big.size);
    expect(mirror.docker.requests).toEqual([]);
  });

  test("and blobs named by sha512 are verified and stored like others", async () => {
    const { digest } = await mirror.docker.addBlob(layer, {
      algorithm: "sha512",
      repository: "library/demo",
    });
    const manifest = await mirror.docker.addManifest(
      "library/demo",
      { schemaVersion: 2, mediaType: OCI_MANIFEST, layers: [] },
      { tag: "long", algorithm: "sha512" },
    );
    const paths = [`blobs/${digest}`, "manifests/long", `manifests/${manifest.digest}`];
    for (const path of paths) {
      expect((await mirror.request(`/v2/library/demo/${path}`)).status).toBe(200);
    }
    mirror.newIsolate();
    mirror.docker.reset();
    const answers = [];
    for (const path of paths) answers.push(await mirror.request(`/v2/library/demo/${path}`));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(answers.map(({ headers }) => headers.get("Docker-Content-Digest"))).toEqual([
      digest,
      manifest.digest,
      manifest.digest,
    ]);
    expect(mirror.docker.requests).toEqual([]);
  });

  test("are requested with the full list of types, whatever the client accepts", async () => {
    for (const Accept of ["application/json", "", "application/vnd.docker.distribution.manifest.v1+json"]) {
      mirror.clock.ahead += 301_000;
      await mirror.request("/v2/library/demo/manifests/latest", { headers: { Accept } });
    }
    await mirror.request(`/v2/library/demo/manifests/${image.manifests[0]?.digest}`);
    const accepts = mirror.docker.requests.filter(({ kind }) => kind === "manifest");
    expect(accepts.length).toBeGreaterThan(2);
    for (const { headers } of accepts) expect(headers.accept).toBe(MANIFEST_ACCEPT);
  });
});

describe("Range", () => {
  const part = (first: number, last: number) => layer.slice(first, last + 1);

  describe.each(["cold", "warm"])("on a %s blob", (state) => {
    beforeEach(async () => {
      if (state === "warm") await mirror.request(blob);
    });
    const ranged = (Range: string, more: Record<string, string> = {}) =>
      mirror.request(blob, { headers: { Range, ...more } });

    test.each([
      { range: "bytes=0-9", first: 0, last: 9 },
      { range: "bytes=990-", first: 990, last: 999 },
      { range: "bytes=990-5000", first: 990, last: 999 },
      { range: "bytes=-10", first: 990, last: 999 },
      { range: "bytes=-5000", first: 0, last: 999 },
    ])("$range is 206 with these very bytes", async ({ range, first, last }) => {
      const { status, headers, bytes } = await ranged(range);
      expect(status).toBe(206);
      expect(headers.get("Content-Range")).toBe(`bytes ${first}-${last}/1000`);
      expect(headers.get("Content-Length")).toBe(String(last - first + 1));
      expect(bytes).toEqual(part(first, last));
    });

    test.each(["bytes=1000-", "bytes=-0"])("%s is 416 and says how long the blob is", async (range) => {
      const { status, headers } = await ranged(range);
      expect(status).toBe(416);
      expect(headers.get("Content-Range")).toBe("bytes */1000");
    });

    test.each(["lines=0-1", "bytes=5-2", "bytes=a-b"])(
      "%s, which a server may ignore, is the whole with 200",
      async (range) => {
        const { status, headers, bytes } = await ranged(range);
        expect(status).toBe(200);
        expect(headers.get("Content-Range")).toBe(null);
        expect(bytes).toEqual(layer);
      },
    );

    test("If-Range with this blob's ETag is honoured, with another it is the whole", async () => {
      const etag = `"${image.layers[0]?.digest}"`;
      expect((await ranged("bytes=0-9", { "If-Range": etag })).status).toBe(206);
      for (const other of ['"sha256:0"', `W/${etag}`, "Thu, 01 Jan 2026 00:00:00 GMT"]) {
        const { status, bytes } = await ranged("bytes=0-9", { "If-Range": other });
        expect([other, status, bytes.byteLength]).toEqual([other, 200, 1000]);
      }
    });

    test("the ETag that If-Range wants, and that ranges are understood, are in every response", async () => {
      for (const method of ["HEAD", "GET"]) {
        const { headers } = await mirror.request(blob, { method });
        expect(headers.get("ETag")).toBe(`"${image.layers[0]?.digest}"`);
        expect(headers.get("Accept-Ranges")).toBe("bytes");
      }
    });
  });
});

describe("errors", () => {
  test.each([
    { path: "/v2/library/demo/manifests/none", status: 404, code: "MANIFEST_UNKNOWN" },
    { path: `/v2/library/demo/manifests/sha256:${"0".repeat(64)}`, status: 404, code: "MANIFEST_UNKNOWN" },
    { path: `/v2/library/demo/blobs/sha256:${"0".repeat(64)}`, status: 404, code: "BLOB_UNKNOWN" },
    { path: "/v2/ghcr.io/no/body/tags/list", status: 404, code: "NAME_UNKNOWN" },
    { path: "/v2/library/secret/manifests/latest", status: 403, code: "DENIED" },
    { path: "/v2/library/demo/blobs/sha256:abc", status: 400, code: "DIGEST_INVALID" },
    { path: "/v2/library/demo/manifests/sha256:abc", status: 400, code: "DIGEST_INVALID" },
    { path: "/v2/library/demo/manifests/-x", status: 404, code: "MANIFEST_UNKNOWN" },
    { path: "/v2/library/Demo/manifests/latest", status: 400, code: "NAME_INVALID" },
    { path: "/v2/unknown.example.net/demo/manifests/latest", status: 404, code: "NAME_UNKNOWN" },
    { path: "/v2/library/demo/tags/list?n=x", status: 400, code: "UNSUPPORTED" },
    { path: "/v2/library/demo/anything", status: 404, code: "UNSUPPORTED" },
  ])("$path: $status $code", async ({ path, status, code }) => {
    const response = await mirror.request(path);
    expect(response.status).toBe(status);
    expect(response.headers.get("Content-Type")).toBe("application/json");
    expect(response.headers.get("Cache-Control")).toBe("no-store");
    expect(ERROR_CODES).toContain(code);
    expect(response.json()).toEqual({
      errors: [{ code, message: expect.stringMatching(/./), detail: null }],
    });
  });

  test.each([
    { sent: "17", relayed: "17" },
    { sent: undefined, relayed: "60" },
  ])("a limit upstream is 429 with Retry-After: $sent becomes $relayed", async ({ sent, relayed }) => {
    mirror.docker.fail({ kind: "manifest" }, behaviours.tooManyRequests(sent));
    const { status, headers, json } = await mirror.request("/v2/library/demo/manifests/latest");
    expect(status).toBe(429);
    expect(headers.get("Retry-After")).toBe(relayed);
    expect(codesOf({ json })).toEqual(["TOOMANYREQUESTS"]);
  });

  test("what is served in spite of a failure carries a Warning in the form of the specification", async () => {
    const config = `/v2/library/demo/blobs/${image.configs[0]?.digest}`;
    for (const path of ["/v2/library/demo/manifests/latest", config, blob]) await mirror.request(path);
    mirror.clock.ahead += 301_000;
    mirror.newIsolate();
    mirror.docker.fail({ kind: "manifest" }, { status: 500 });
    const { status, headers } = await mirror.request("/v2/library/demo/manifests/latest");
    expect(status).toBe(200);
    expect(headers.get("Warning")).toMatch(/^299 - "[^"\\]+"$/);
  });
});
