/** The distribution specification on requests, where mirrors usually fail: names, the ping, what a mirror doesn't do. */
import { beforeEach, describe, expect, test } from "vitest";
import { type Image, patternBytes } from "./support/fake-registry.ts";
import { codesOf, useMirror } from "./support/mirror.ts";

const mirror = useMirror({ DOMAIN: "example.com" });
/** The ping in every shape. */
const PINGS = [
  { path: "/v2/", host: "mirror.test" },
  { path: "/v2", host: "mirror.test" },
  { path: "/v2/?ns=ghcr.io", host: "mirror.test" },
  { path: "/v2/", host: "ghcr.example.com" },
  { path: "/ghcr.io/v2/", host: "mirror.test" },
  { path: "/ghcr.io/v2", host: "mirror.test" },
];
const layer = patternBytes(1000, 1);
let image: Image;
let digest: string;
let blob: string;

beforeEach(async () => {
  image = await mirror.docker.addImage("library/demo", "latest", { layers: [layer] });
  digest = image.target.digest;
  blob = `/v2/library/demo/blobs/${image.layers[0]?.digest}`;
});

describe("names", () => {
  test("are 255 characters with the registry's host, and no more", async () => {
    const longest = `library/${"a".repeat(255 - "docker.io/library/".length)}`;
    await mirror.docker.addImage(longest, "latest");
    expect((await mirror.request(`/v2/${longest}/manifests/latest`)).status).toBe(200);
    const { status, json } = await mirror.request(`/v2/${longest}a/manifests/latest`);
    expect([status, codesOf({ json })]).toEqual([400, ["NAME_INVALID"]]);
  });

  test("tags are 128 characters, and no more", async () => {
    const tag = `v${"1".repeat(127)}`;
    mirror.docker.moveTag("library/demo", tag, digest);
    expect((await mirror.request(`/v2/library/demo/manifests/${tag}`)).status).toBe(200);
    const { status, json } = await mirror.request(`/v2/library/demo/manifests/${tag}1`);
    expect([status, codesOf({ json })]).toEqual([404, ["MANIFEST_UNKNOWN"]]);
  });

  test.each([
    "a/manifests",
    "a/blobs",
    "a/tags",
    "manifests/blobs/tags",
    "a/tags/list",
    "a/manifests/b",
    "v2/a",
  ])("of repositories may contain the words of paths: %s", async (repository) => {
    const { target, layers } = await mirror.docker.addImage(repository, "latest", { layers: [layer] });
    const paths = [
      "manifests/latest",
      `manifests/${target.digest}`,
      `blobs/${layers[0]?.digest}`,
      "tags/list",
      `referrers/${target.digest}`,
    ];
    for (const path of paths) {
      const { status } = await mirror.request(`/v2/${repository}/${path}`);
      expect([path, status]).toEqual([path, 200]);
    }
  });
});

describe("the ping", () => {
  test.each(PINGS)("is 200 and never a challenge: $path on $host", async ({ path, host }) => {
    for (const Authorization of ["", "Basic Og==", "Basic dXNlcjpwYXNz", "Bearer x", "nonsense"]) {
      for (const method of ["GET", "HEAD"]) {
        const headers: Record<string, string> = Authorization === "" ? {} : { Authorization };
        const response = await mirror.request(path, { host, method, headers });
        expect(response.status).toBe(200);
        expect(response.headers.get("WWW-Authenticate")).toBe(null);
      }
    }
    expect(mirror.docker.requests).toEqual([]);
    expect(mirror.ghcr.requests).toEqual([]);
  });
});

describe("a mirror", () => {
  test.each(["POST", "PUT", "PATCH", "DELETE"])(
    "can't be pushed to: %s is 405 and says what is allowed",
    async (method) => {
      const paths = [
        "manifests/latest",
        `manifests/${digest}`,
        `blobs/${digest}`,
        "blobs/uploads/",
        "blobs/uploads/?mount=x",
        "blobs/uploads/6b3e0f5c-7d5c-4d0a-8f0e-1a2b3c4d5e6f",
      ];
      for (const path of paths) {
        const { status, headers, json } = await mirror.request(`/v2/library/demo/${path}`, { method });
        expect([path, status, headers.get("Allow")]).toEqual([path, 405, "GET, HEAD"]);
        expect(codesOf({ json })).toEqual(["UNSUPPORTED"]);
      }
      expect(mirror.docker.requests).toEqual([]);
    },
  );

  test("never sends a client's Authorization upstream, nor its cookies", async () => {
    const headers = {
      Authorization: "Bearer of-the-client",
      Cookie: "a=of-the-client",
      "X-Of": "of-the-client",
    };
    for (const path of ["manifests/latest", `manifests/${digest}`, "tags/list", `referrers/${digest}`]) {
      expect((await mirror.request(`/v2/library/demo/${path}`, { headers })).status).toBe(200);
    }
    expect((await mirror.request(blob, { headers })).status).toBe(200);
    expect(mirror.docker.requests.length).toBeGreaterThan(5);
    expect(JSON.stringify(mirror.docker.requests)).not.toContain("of-the-client");
  });

  test("says which registry `ns` chose, and only then", async () => {
    const { target } = await mirror.ghcr.addImage("owner/image", "latest");
    for (const path of ["manifests/latest", `manifests/${target.digest}`, "tags/list"]) {
      const { status, headers } = await mirror.request(`/v2/owner/image/${path}?ns=ghcr.io`);
      expect([path, status, headers.get("OCI-Namespace")]).toEqual([path, 200, "ghcr.io"]);
    }
    const { status, headers } = await mirror.request("/v2/ghcr.io/owner/image/manifests/latest?ns=docker.io");
    expect([status, headers.get("OCI-Namespace")]).toEqual([200, null]);
    expect((await mirror.request("/v2/library/demo/manifests/latest")).headers.get("OCI-Namespace")).toBe(
      null,
    );
  });
});
