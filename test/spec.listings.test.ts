/** The distribution specification on listings, where mirrors usually fail: tags and referrers, in every request shape. */
import { beforeEach, describe, expect, test } from "vitest";
import type { Image } from "./support/fake-registry.ts";
import { useMirror } from "./support/mirror.ts";

const OCI_INDEX = "application/vnd.oci.image.index.v1+json";
const OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json";

const mirror = useMirror({ DOMAIN: "example.com" });
/** The four shapes of the same repository: its prefix, host and query. */
const SHAPES = [
  { shape: "H", host: "ghcr.example.com", prefix: "/v2/owner/image", query: "" },
  { shape: "A", host: "mirror.test", prefix: "/v2/ghcr.io/owner/image", query: "" },
  { shape: "A with hyphens", host: "mirror.test", prefix: "/v2/ghcr-io/owner/image", query: "" },
  { shape: "B", host: "mirror.test", prefix: "/ghcr.io/v2/owner/image", query: "" },
  { shape: "N", host: "mirror.test", prefix: "/v2/owner/image", query: "ns=ghcr.io" },
];
let image: Image;
let digest: string;

beforeEach(async () => {
  image = await mirror.docker.addImage("library/demo", "latest");
  digest = image.target.digest;
});

/** Follows `Link: rel=next` from a path until there is none, as a client would. */
async function pagesFrom(path: string, host: string): Promise<Record<string, unknown>[]> {
  const pages: Record<string, unknown>[] = [];
  for (let next: string | null = path; next !== null && pages.length < 20; ) {
    const response = await mirror.request(next, { host });
    expect(response.status).toBe(200);
    pages.push(response.json());
    const link: string | undefined = /^<([^>]+)>; rel="next"$/.exec(response.headers.get("Link") ?? "")?.[1];
    const url: URL | null = link === undefined ? null : new URL(link, `https://${host}${next}`);
    if (url) expect(url.host).toBe(host);
    next = url && url.pathname + url.search;
  }
  return pages;
}

describe("tags/list", () => {
  beforeEach(async () => {
    for (const registry of [mirror.docker, mirror.ghcr]) {
      const repository = registry === mirror.docker ? "library/demo" : "owner/image";
      await registry.addImage(repository, "latest");
      for (const tag of ["b", "a", "10", "9", "B"]) {
        registry.moveTag(repository, tag, digest);
      }
    }
  });

  test("is in lexical order, also where upstream's isn't", async () => {
    const tags = JSON.stringify({ name: "library/demo", tags: ["b", "a", "latest", "10", "B", "9"] });
    const headers = { "content-type": "application/json" };
    mirror.docker.fail({ kind: "tags", authorized: true }, { status: 200, headers, body: tags });
    const { headers: own, ...response } = await mirror.request("/v2/library/demo/tags/list");
    expect(own.get("Content-Type")).toBe("application/json");
    expect(response.json()).toEqual({ name: "library/demo", tags: ["10", "9", "B", "a", "b", "latest"] });
  });

  test("n=0 is an empty list without a Link", async () => {
    const { status, headers, json } = await mirror.request("/v2/library/demo/tags/list?n=0");
    expect(status).toBe(200);
    expect(json()).toEqual({ name: "library/demo", tags: [] });
    expect(headers.get("Link")).toBe(null);
  });

  test("last is exclusive, and need not be a tag that exists", async () => {
    const after = async (last: string) =>
      (await mirror.request(`/v2/library/demo/tags/list?n=2&last=${last}`)).json().tags;
    expect(await after("9")).toEqual(["B", "a"]);
    expect(await after("aa")).toEqual(["b", "latest"]);
    expect(await after("latest")).toEqual([]);
  });

  test.each(SHAPES)("Link leads to the next page on this host in shape $shape", async (shape) => {
    const query = ["n=2", shape.query].filter(Boolean).join("&");
    const pages = await pagesFrom(`${shape.prefix}/tags/list?${query}`, shape.host);
    expect(pages.map(({ tags }) => tags)).toEqual([
      ["10", "9"],
      ["B", "a"],
      ["b", "latest"],
    ]);
    expect(mirror.network.strays).toEqual([]);
  });

  test.each(SHAPES)("a Link of upstream's own is led over this host in shape $shape", async (shape) => {
    Object.assign(mirror.ghcr.settings, { tagsPageSize: 4, absoluteLinks: true });
    const path = `${shape.prefix}/tags/list${shape.query && `?${shape.query}`}`;
    const pages = await pagesFrom(path, shape.host);
    expect(pages.flatMap(({ tags }) => tags)).toEqual(["10", "9", "B", "a", "b", "latest"]);
  });
});

describe("tags as registries list them", () => {
  const byAge = ["v0.9", "v0.10", "v1.0", "latest", "v1.1", "edge", "2", "4"];
  const sorted = [...byAge].sort();

  beforeEach(async () => {
    await mirror.docker.addImage("library/aged", byAge[0] ?? "");
    for (const tag of byAge) mirror.docker.moveTag("library/aged", tag, digest);
  });

  const walk = async (path: string) =>
    (await pagesFrom(`/v2/library/aged/tags/list${path}`, "mirror.test")).map(({ tags }) => tags as string[]);

  for (const tagsOrder of ["lexical", "pushed"] as const) {
    for (const tagsCursor of ["tag", "token", "number"] as const) {
      test.each(["", "?n=2", "?n=3", "?n=100"])(
        `${tagsOrder}, by ${tagsCursor}: all of them, once: %s`,
        async (query) => {
          Object.assign(mirror.docker.settings, { tagsOrder, tagsCursor, tagsPageSize: 3 });
          const pages = await walk(query);
          expect(pages.flat().sort()).toEqual(sorted);
          const largest = Number(/\d+/.exec(query)?.[0] ?? 3);
          for (const page of pages) expect(page.length).toBeLessThanOrEqual(largest);
        },
      );
    }
  }

  test("where upstream ignores n and last: page by page, in order, from the place that is requested", async () => {
    Object.assign(mirror.docker.settings, { tagsOrder: "pushed", ignoresPaging: true });
    const pages = await walk("?n=3");
    expect(pages).toEqual([sorted.slice(0, 3), sorted.slice(3, 6), sorted.slice(6)]);
    expect(await walk("?last=edge")).toEqual([sorted.slice(sorted.indexOf("edge") + 1)]);
  });

  test("where upstream sends more than n: none is lost between its pages", async () => {
    const respond = (tags: string[], link?: string) => ({
      status: 200,
      headers: { "content-type": "application/json", ...(link ? { link } : {}) },
      body: JSON.stringify({ tags }),
    });
    const next = '</v2/library/aged/tags/list?next_page=x%3D>; rel="next"';
    for (let round = 0; round < 2; round++) {
      mirror.docker.fail({ kind: "tags", authorized: true }, respond(["c", "a", "b"], next), 1);
    }
    mirror.docker.fail({ kind: "tags", authorized: true }, respond(["d"]), 1);
    expect(await walk("?n=2")).toEqual([["a", "b"], ["c"], ["d"]]);
    expect(mirror.docker.requests.filter(({ kind }) => kind === "tags").at(-1)?.query).toBe("next_page=x%3D");
  });

  test("a list of 10 MB is served, and n=10 of it", async () => {
    const many = Array.from({ length: 90_000 }, (_, at) => `${at}`.padStart(110, "0"));
    const body = JSON.stringify({
      child: [],
      manifest: { a: { tag: ["x"], tags: ["y"] } },
      tags: many.toReversed(),
    });
    expect(body.length).toBeGreaterThan(9_000_000);
    mirror.docker.fail({ kind: "tags", authorized: true }, { status: 200, body });
    expect((await mirror.request("/v2/library/aged/tags/list")).json().tags).toEqual(many);
    const { headers, json } = await mirror.request("/v2/library/aged/tags/list?n=10");
    expect(json().tags).toEqual(many.slice(0, 10));
    const link = /^<(.+)>/.exec(headers.get("Link") ?? "")?.[1] ?? "";
    expect((await mirror.request(link)).json().tags).toEqual(many.slice(10, 20));
  });
});

describe("while upstream fails", () => {
  const paths = () => ["/v2/library/demo/tags/list?n=5", `/v2/library/demo/referrers/${digest}`];

  test("the last known tags and referrers are served, marked as stale", async () => {
    for (const path of paths()) {
      const known = await mirror.request(path);
      mirror.newIsolate();
      mirror.clock.ahead += 3_600_000;
      const fault = mirror.docker.fail({}, { status: 503 });
      const stale = await mirror.request(path);
      expect([stale.status, stale.json()]).toEqual([200, known.json()]);
      expect(stale.headers.get("Content-Type")).toBe(known.headers.get("Content-Type"));
      expect(stale.headers.get("Warning")).toMatch(/^299 - ".*1\.0 hours ago"$/);
      expect(stale.headers.get("Cache-Status")).toContain("detail=stale");
      expect((await mirror.request(path.replace("demo", "other"))).status).toBe(503);
      fault.remove();
      mirror.recover();
    }
  });

  test.each(["manifests/1.0", "manifests/none", `blobs/sha256:${"a".repeat(64)}`])(
    "no listing of a repository is served once an anonymous request was denied its %s",
    async (denied) => {
      const listings = async () => (await mirror.stored()).filter((key) => key.startsWith("listings/"));
      for (const path of paths()) await mirror.request(path);
      expect(await listings()).toHaveLength(2);
      mirror.docker.setVisibility("library/demo", "private");
      mirror.newIsolate();
      mirror.clock.ahead += 3_600_000;
      expect((await mirror.request(`/v2/library/demo/${denied}`)).status).toBe(403);
      expect(await listings()).toEqual([]);
      mirror.docker.fail({}, { status: 503 });
      for (const path of paths()) expect((await mirror.request(path)).status).toBe(503);
    },
  );

  test("a listing that upstream has denied since isn't served", async () => {
    const [path = ""] = paths();
    await mirror.request(path);
    mirror.docker.fail({ kind: "tags" }, { status: 403 }, 1);
    expect((await mirror.request(path)).status).toBe(403);
    mirror.docker.fail({ kind: "tags" }, { status: 503 });
    expect((await mirror.request(path)).status).toBe(503);
  });

  test("an unchanged listing is written once", async () => {
    const [path = ""] = paths();
    await mirror.request(path);
    mirror.operations();
    await mirror.request(path);
    expect(mirror.operations().storePuts).toBe(0);
  });
});

describe("referrers", () => {
  const subject = () => ({ mediaType: OCI_MANIFEST, digest, size: image.target.size });
  const artifact = (artifactType: string) => ({
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    artifactType,
    layers: [],
    subject: subject(),
  });

  test("of a manifest without any are an empty index", async () => {
    const { status, headers, json } = await mirror.request(`/v2/library/demo/referrers/${digest}`);
    expect(status).toBe(200);
    expect(headers.get("Content-Type")).toBe(OCI_INDEX);
    expect(json()).toEqual({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [] });
  });

  test("of what is no digest are 400", async () => {
    const { status, json } = await mirror.request("/v2/library/demo/referrers/sha256:abc");
    expect(status).toBe(400);
    expect(json().errors).toEqual([expect.objectContaining({ code: "DIGEST_INVALID" })]);
  });

  test.each(["filter", "no-filter"] as const)(
    "are filtered and marked as filtered where upstream does so: %s",
    async (referrers) => {
      mirror.docker.settings.referrers = referrers;
      await mirror.docker.addManifest("library/demo", artifact("application/sbom"));
      await mirror.docker.addManifest("library/demo", artifact("application/signature"));
      const { headers, json } = await mirror.request(
        `/v2/library/demo/referrers/${digest}?artifactType=application/sbom`,
      );
      expect(headers.get("OCI-Filters-Applied")).toBe("artifactType");
      expect(json().manifests).toEqual([expect.objectContaining({ artifactType: "application/sbom" })]);
      const all = await mirror.request(`/v2/library/demo/referrers/${digest}`);
      expect(all.headers.get("OCI-Filters-Applied")).toBe(null);
      expect(all.json().manifests).toHaveLength(2);
    },
  );

  test.each(SHAPES)("stay filtered on the next page, in shape $shape", async (shape) => {
    mirror.ghcr.settings.referrersPageSize = 1;
    mirror.ghcr.settings.referrers = "no-filter";
    for (const type of ["application/sbom", "application/signature", "application/sbom"]) {
      const annotations = { nr: String(mirror.ghcr.count()) + Math.random() };
      await mirror.ghcr.addManifest("owner/image", { ...artifact(type), annotations });
    }
    const query = ["artifactType=application/sbom", shape.query].filter(Boolean).join("&");
    const pages = await pagesFrom(`${shape.prefix}/referrers/${digest}?${query}`, shape.host);
    const found = pages.flatMap(({ manifests }) => manifests as { artifactType: string }[]);
    expect(found.map(({ artifactType }) => artifactType)).toEqual(["application/sbom", "application/sbom"]);
  });

  test.each([
    { what: "400", response: { status: 400 } },
    { what: "403", response: { status: 403 } },
    { what: "404", response: { status: 404 } },
    { what: "405", response: { status: 405 } },
    { what: "406", response: { status: 406 } },
    { what: "501", response: { status: 501 } },
    {
      what: "a login page",
      response: { status: 200, headers: { "content-type": "text/html" }, body: "<html>" },
    },
    { what: "other JSON", response: { status: 200, body: '{"referrers":[]}' } },
  ])("come from the tag schema where upstream has no such API, but answers $what", async ({ response }) => {
    mirror.docker.fail({ kind: "referrers", authorized: true }, response);
    const entry = { mediaType: OCI_MANIFEST, digest, size: 1, artifactType: "application/sbom" };
    await mirror.docker.addManifest(
      "library/demo",
      { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [entry] },
      { tag: digest.replace(":", "-") },
    );
    const { status, headers, json } = await mirror.request(`/v2/library/demo/referrers/${digest}`);
    expect(status).toBe(200);
    expect(headers.get("Content-Type")).toBe(OCI_INDEX);
    expect(json().manifests).toEqual([entry]);
  });

  test("are none where the tag names the subject itself, or no index", async () => {
    mirror.docker.settings.referrers = "off";
    const tag = digest.replace(":", "-");
    for (const target of [digest, (await mirror.docker.addImage("library/demo", "other")).target.digest]) {
      mirror.docker.moveTag("library/demo", tag, target);
      const { status, json } = await mirror.request(`/v2/library/demo/referrers/${digest}`);
      expect([status, json().manifests]).toEqual([200, []]);
    }
    const child = { mediaType: OCI_MANIFEST, digest, size: 1 };
    const index = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [child] };
    const subject = await mirror.docker.addManifest("library/demo", index);
    mirror.docker.moveTag("library/demo", subject.digest.replace(":", "-"), subject.digest);
    expect((await mirror.request(`/v2/library/demo/referrers/${subject.digest}`)).json().manifests).toEqual(
      [],
    );
  });
});
