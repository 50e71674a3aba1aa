/** Manifests by tag and by digest: how many upstream requests each costs, and the headers of every response. */
import { beforeEach, describe, expect, test } from "vitest";
import { type Image, utf8 } from "../support/fake-registry.ts";
import { type MirrorResponse, useMirror } from "../support/mirror.ts";

const OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const TTL = 300_000;

const mirror = useMirror();
const tag = "/v2/library/demo/manifests/latest";
let image: Image;
let byDigest: string;

beforeEach(async () => {
  image = await mirror.docker.addImage("library/demo", "latest");
  byDigest = `/v2/library/demo/manifests/${image.target.digest}`;
});

function servedBy({ headers }: MirrorResponse): string {
  return headers.get("Cache-Status") ?? "";
}

/** Methods and references of the successful manifest requests to upstream. */
function requested(): string[] {
  return mirror.docker.requests
    .filter(({ kind, status }) => kind === "manifest" && status === 200)
    .map(({ method, path }) => `${method} ${path.slice(path.lastIndexOf("/") + 1)}`);
}

function text({ bytes }: MirrorResponse): string {
  return new TextDecoder().decode(bytes);
}

describe("a cold manifest", () => {
  test("by tag costs one GET", async () => {
    const response = await mirror.request(tag);
    expect(response.status).toBe(200);
    expect(text(response)).toBe(new TextDecoder().decode(image.target.bytes));
    expect(servedBy(response)).toBe("Portolan; fwd=uri-miss; fwd-status=200; stored; detail=upstream");
    expect(requested()).toEqual(["GET latest"]);
  });

  test("by HEAD costs a HEAD, and the GET after it one GET", async () => {
    const head = await mirror.request(tag, { method: "HEAD" });
    expect(requested()).toEqual(["HEAD latest"]);
    expect(servedBy(head)).toContain("detail=upstream");
    const response = await mirror.request(tag);
    expect(response.headers.get("Docker-Content-Digest")).toBe(head.headers.get("Docker-Content-Digest"));
    expect(requested()).toEqual(["HEAD latest", `GET ${image.target.digest}`]);
  });

  test("by digest costs one GET and is stored from then on", async () => {
    expect((await mirror.request(byDigest)).status).toBe(200);
    mirror.newIsolate();
    const response = await mirror.request(byDigest);
    expect(servedBy(response)).toBe("Portolan; hit; detail=store");
    expect(requested()).toEqual([`GET ${image.target.digest}`]);
  });

  test("is stored under its digest, byte for byte and with its media type", async () => {
    const manifest = `{ "layers":[],\n\t"mediaType" : "${OCI_MANIFEST}",  "schemaVersion": 2, "a": "\\u00e4ä" }\n\n`;
    const { digest } = await mirror.docker.addManifest("library/demo", utf8(manifest), { tag: "odd" });
    expect(text(await mirror.request("/v2/library/demo/manifests/odd"))).toBe(manifest);
    const hex = digest.slice("sha256:".length);
    const stored = await mirror.bindings.STORE.get(`manifests/sha256/${hex.slice(0, 2)}/${hex}`);
    expect(await stored?.text()).toBe(manifest);
    expect(stored?.httpMetadata?.contentType).toBe(OCI_MANIFEST);
    mirror.newIsolate();
    expect(text(await mirror.request(`/v2/library/demo/manifests/${digest}`))).toBe(manifest);
  });

  test("missing upstream is 404 and requested again the next time", async () => {
    expect((await mirror.request("/v2/library/demo/manifests/later")).status).toBe(404);
    mirror.docker.moveTag("library/demo", "later", image.target.digest);
    expect((await mirror.request("/v2/library/demo/manifests/later")).status).toBe(200);
  });
});

describe("a warm manifest", () => {
  test("by tag comes from memory, or in a new isolate from the edge cache, while the tag is fresh", async () => {
    await mirror.request(tag);
    mirror.docker.reset();
    mirror.clock.ahead += TTL - 1000;
    expect(servedBy(await mirror.request(tag))).toBe("Portolan; hit; detail=memory");
    expect(servedBy(await mirror.request(tag, { method: "HEAD" }))).toBe("Portolan; hit; detail=memory");
    mirror.newIsolate();
    expect(servedBy(await mirror.request(tag, { method: "HEAD" }))).toBe("Portolan; hit; detail=edge");
    expect(mirror.docker.requests).toEqual([]);
  });

  test("by a tag just confirmed in another isolate is a hit, without an upstream request", async () => {
    await mirror.request(tag);
    await (await caches.open("portolan")).delete(
      "https://tags.portolan.invalid/tags/docker.io/library/demo/latest",
    );
    mirror.newIsolate();
    mirror.docker.reset();
    const response = await mirror.request(tag);
    expect(mirror.docker.requests).toEqual([]);
    expect(servedBy(response)).toMatch(/^Portolan; hit; detail=(memory|store)$/);
  });

  test("by an expired tag costs one HEAD, and then none until it expires again", async () => {
    await mirror.request(tag);
    mirror.docker.reset();
    mirror.clock.ahead += TTL + 1000;
    const response = await mirror.request(tag);
    expect(servedBy(response)).toContain("fwd=stale; fwd-status=200");
    await mirror.request(tag);
    mirror.newIsolate();
    await mirror.request(tag);
    expect(requested()).toEqual(["HEAD latest"]);
  });

  test("is never taken for another tag's or another repository's", async () => {
    await mirror.docker.addImage("library/demo", "other");
    await mirror.docker.addImage("library/second", "latest");
    const digests = new Set<string | null>();
    for (const path of ["demo/manifests/latest", "demo/manifests/other", "second/manifests/latest"]) {
      const { headers } = await mirror.request(`/v2/library/${path}`);
      digests.add(headers.get("Docker-Content-Digest"));
    }
    expect(digests.size).toBe(3);
  });

  test("by digest is stored once for all upstreams that have it", async () => {
    await mirror.ghcr.addManifest("owner/demo", new Uint8Array(image.target.bytes), { tag: "latest" });
    expect((await mirror.request(tag)).status).toBe(200);
    const response = await mirror.request(`/v2/ghcr.io/owner/demo/manifests/${image.target.digest}`);
    expect(text(response)).toBe(new TextDecoder().decode(image.target.bytes));
    expect(mirror.ghcr.requests).toEqual([]);
    expect(await mirror.stored()).toHaveLength(1);
  });

  test("by the same tag name is distinct for each upstream", async () => {
    const other = await mirror.ghcr.addImage("library/demo", "latest", { platforms: ["linux/arm64"] });
    await mirror.request(tag);
    const response = await mirror.request("/v2/ghcr.io/library/demo/manifests/latest");
    expect(response.headers.get("Docker-Content-Digest")).toBe(other.target.digest);
  });
});

describe("a response", () => {
  test.each(["*", '"DIGEST"', 'W/"DIGEST"', '"sha256:0", "DIGEST"'])(
    "to If-None-Match: %s is 304 without a body",
    async (condition) => {
      const IfNoneMatch = condition.replace("DIGEST", image.target.digest);
      for (const path of [tag, tag, byDigest]) {
        const { status, headers, bytes } = await mirror.request(path, {
          headers: { "If-None-Match": IfNoneMatch },
        });
        expect([path, status, bytes.byteLength]).toEqual([path, 304, 0]);
        expect(headers.get("ETag")).toBe(`"${image.target.digest}"`);
      }
    },
  );

  test("to If-None-Match with another ETag has the whole body", async () => {
    const { status, bytes } = await mirror.request(tag, { headers: { "If-None-Match": '"sha256:0"' } });
    expect([status, bytes.byteLength]).toEqual([200, image.target.size]);
  });

  test("by tag must be revalidated, by digest may be cached for ever; neither may be transformed", async () => {
    const caching = async (path: string) => (await mirror.request(path)).headers.get("Cache-Control");
    expect(await caching(tag)).toMatch(/max-age=0, must-revalidate, no-transform$/);
    expect(await caching(byDigest)).toMatch(/immutable, no-transform$/);
  });
});
