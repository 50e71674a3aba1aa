/** Manifests of hosted repositories: what is accepted, what is served, and what deleting takes away. */
import { beforeEach, describe, expect, test } from "vitest";
import { digestOf } from "../../src/oci/digest.ts";
import { OCI_INDEX, OCI_MANIFEST } from "../../src/oci/mediatypes.ts";
import { patternBytes } from "../support/fake-registry.ts";
import { codesOf, useMirror } from "../support/mirror.ts";
import { descriptor, encode, imageManifest, localPusher, type Pushed } from "./support.ts";

const mirror = useMirror({ LOOPBACK: true, HOSTED_IMMUTABLE: ["hosted/release/*"] });
const TEAM = "hosted/team/app";
const client = localPusher(mirror);

describe("a manifest", () => {
  test("is served as it was pushed, by tag and by digest", async () => {
    const image = await client.pushImage(TEAM, "1.0");
    for (const reference of ["1.0", image.digest]) {
      for (const method of ["GET", "HEAD"]) {
        const response = await client.send(method, `/v2/${TEAM}/manifests/${reference}`);
        expect([response.status, response.headers.get("Content-Type")]).toEqual([200, OCI_MANIFEST]);
        expect(response.headers.get("Docker-Content-Digest")).toBe(image.digest);
        expect(response.headers.get("Content-Length")).toBe(String(image.bytes.byteLength));
        expect(response.bytes.byteLength).toBe(method === "GET" ? image.bytes.byteLength : 0);
      }
    }
    const known = await client.send("GET", `/v2/${TEAM}/manifests/1.0`, {
      headers: { "If-None-Match": `"${image.digest}"` },
    });
    expect(known.status).toBe(304);
  });

  test("moves a tag, and the one before stays by its digest", async () => {
    const [before, after] = [
      await client.pushImage(TEAM, "1.0", "a"),
      await client.pushImage(TEAM, "1.0", "b"),
    ];
    expect((await client.send("GET", `/v2/${TEAM}/manifests/1.0`)).headers.get("Docker-Content-Digest")).toBe(
      after.digest,
    );
    expect((await client.send("GET", `/v2/${TEAM}/manifests/${before.digest}`)).status).toBe(200);
  });

  test("is refused while a blob or a child is missing, and names them", async () => {
    const config = await client.pushBlob(TEAM, encode({}));
    const missing: Pushed = { digest: await digestOf(patternBytes(9)), bytes: patternBytes(9) };
    const image = await client.putManifest(TEAM, "x", imageManifest(config, [missing]));
    expect([image.status, codesOf(image)]).toEqual([404, ["MANIFEST_BLOB_UNKNOWN"]]);
    expect(JSON.stringify(image.json())).toContain(missing.digest);
    const index = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [descriptor(missing, OCI_MANIFEST)] };
    expect((await client.putManifest(TEAM, "x", index, OCI_INDEX)).status).toBe(404);
    expect((await client.send("GET", `/v2/${TEAM}/manifests/x`)).status).toBe(404);
  });

  test("needs no layer that must not be distributed", async () => {
    const config = await client.pushBlob(TEAM, encode({}));
    const foreign = {
      mediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
      digest: await digestOf(patternBytes(9)),
      size: 9,
    };
    const manifest = { ...imageManifest(config, []), layers: [foreign] };
    expect((await client.putManifest(TEAM, "x", manifest)).status).toBe(201);
  });

  test.each<[string, Uint8Array | object, string]>([
    ["that isn't JSON", new Uint8Array([1, 2]), OCI_MANIFEST],
    ["that is no manifest", { a: 1 }, OCI_MANIFEST],
    [
      "whose Content-Type contradicts it",
      { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [] },
      OCI_MANIFEST,
    ],
  ])("%s is refused", async (_, manifest, type) => {
    const response = await client.putManifest(TEAM, "x", manifest, type);
    expect([response.status, codesOf(response)]).toEqual([400, ["MANIFEST_INVALID"]]);
  });

  test("under another digest, or above 4 MiB, is refused", async () => {
    const config = await client.pushBlob(TEAM, encode({}));
    const wrong = await client.putManifest(TEAM, await digestOf(patternBytes(3)), imageManifest(config, []));
    expect([wrong.status, codesOf(wrong)]).toEqual([400, ["DIGEST_INVALID"]]);
    const large = { ...imageManifest(config, []), filler: "x".repeat(4 * 1024 * 1024) };
    expect((await client.putManifest(TEAM, "x", large)).status).toBe(413);
  });

  test("pushed by digest is tagged by its query, also under sha512", async () => {
    const config = await client.pushBlob(TEAM, encode({}));
    const bytes = encode(imageManifest(config, []));
    const digest = await digestOf(bytes, "sha512");
    const response = await client.putManifest(TEAM, `${digest}?tag=a&tag=b`, bytes);
    expect([response.status, response.headers.get("OCI-Tag")]).toEqual([201, "a, b"]);
    expect((await client.send("HEAD", `/v2/${TEAM}/manifests/b`)).headers.get("Docker-Content-Digest")).toBe(
      digest,
    );
    expect((await client.putManifest(TEAM, `${digest}?tag=a%20b`, bytes)).status).toBe(400);
  });
});

describe("referrers", () => {
  test("are listed by subject, filtered by type, with their annotations", async () => {
    const image = await client.pushImage(TEAM, "1.0");
    const config = await client.pushBlob(TEAM, encode({}));
    for (const type of ["application/vnd.a", "application/vnd.b"]) {
      const subject = descriptor(image, OCI_MANIFEST);
      const manifest = imageManifest(config, [], { subject, artifactType: type, annotations: { of: type } });
      const response = await client.putManifest(TEAM, await digestOf(encode(manifest)), manifest);
      expect(response.headers.get("OCI-Subject")).toBe(image.digest);
    }
    const path = `/v2/${TEAM}/referrers/${image.digest}`;
    const all = (await client.send("GET", path)).json().manifests as { artifactType: string }[];
    expect(all.map(({ artifactType }) => artifactType).sort()).toEqual([
      "application/vnd.a",
      "application/vnd.b",
    ]);
    const filtered = await client.send("GET", `${path}?artifactType=application/vnd.b`);
    expect(filtered.headers.get("OCI-Filters-Applied")).toBe("artifactType");
    expect(filtered.json().manifests).toEqual([
      expect.objectContaining({ annotations: { of: "application/vnd.b" } }),
    ]);
    const none = await client.send("GET", `/v2/hosted/nowhere/referrers/${image.digest}`);
    expect([none.status, none.json().manifests]).toEqual([200, []]);
  });
});

describe("many referrers", () => {
  test("come in pages, in the order in which they were pushed, so that one repository's fill no memory that all share", async () => {
    const image = await client.pushImage(TEAM, "1.0");
    const config = await client.pushBlob(TEAM, encode({}));
    const subject = descriptor(image, OCI_MANIFEST);
    const pushed: string[] = [];
    for (let count = 0; count < 10; count++) {
      const annotations = { of: `${count} ${"x".repeat(1_000_000)}` };
      const artifactType = count % 2 === 0 ? "application/vnd.a" : "application/vnd.b";
      const manifest = imageManifest(config, [], { subject, artifactType, annotations });
      pushed.push(await digestOf(encode(manifest)));
      expect((await client.putManifest(TEAM, pushed[count] ?? "", manifest)).status).toBe(201);
      mirror.clock.ahead += 1000;
    }
    const listed = async (query: string) => {
      const found: string[] = [];
      let next: string | undefined = `/v2/${TEAM}/referrers/${image.digest}${query}`;
      while (next !== undefined) {
        const response = await client.send("GET", next);
        expect(response.bytes.byteLength).toBeLessThan(4 * 1024 * 1024);
        const manifests = response.json().manifests as { digest: string }[];
        expect(manifests.length).toBeGreaterThan(0);
        found.push(...manifests.map(({ digest }) => digest));
        next = /<([^>]*)>/.exec(response.headers.get("Link") ?? "")?.[1];
      }
      return found;
    };
    expect(await listed("")).toEqual(pushed);
    expect(await listed("?artifactType=application/vnd.b")).toEqual(
      pushed.filter((_, count) => count % 2 === 1),
    );
  });

  test("have no page after what isn't one's last", async () => {
    const { digest } = await client.pushImage(TEAM, "1.0");
    const response = await client.send("GET", `/v2/${TEAM}/referrers/${digest}?last=x`);
    expect(response.status).toBe(400);
  });
});

describe("referrers with long annotations", () => {
  let subject: Pushed;
  let config: Pushed;
  beforeEach(async () => {
    subject = await client.pushImage(TEAM, "1.0");
    config = await client.pushBlob(TEAM, encode({}));
  });

  async function refer(annotation: string): Promise<string> {
    const more = { subject: descriptor(subject, OCI_MANIFEST), annotations: { annotation } };
    const manifest = imageManifest(config, [], more);
    const digest = await digestOf(encode(manifest));
    expect((await client.putManifest(TEAM, digest, manifest)).status).toBe(201);
    return digest;
  }
  const list = () => client.send("GET", `/v2/${TEAM}/referrers/${subject.digest}`);

  test("of characters that take several bytes come in pages below 4 MiB", async () => {
    for (const each of ["一", "二", "三", "四", "五"]) await refer(each.repeat(349_000));
    const { bytes, headers } = await list();
    expect(bytes.byteLength).toBeLessThan(4 * 1024 * 1024);
    expect(headers.get("Link")).toContain("last=");
  });

  test("that would fill a page are listed without them", async () => {
    const digest = await refer("x".repeat(4_000_000));
    expect((await list()).json().manifests).toEqual([
      {
        mediaType: OCI_MANIFEST,
        digest,
        size: expect.any(Number),
        artifactType: "application/vnd.oci.image.config.v1+json",
      },
    ]);
  });
});

test("an artifact type that is longer than a media type can be is refused", async () => {
  const config = await client.pushBlob(TEAM, encode({}));
  const manifest = imageManifest(config, [], { artifactType: `application/${"x".repeat(244)}` });
  expect(codesOf(await client.putManifest(TEAM, "1.0", manifest))).toEqual(["MANIFEST_INVALID"]);
});

describe("lists", () => {
  test("tags and repositories come in pages, in lexical order", async () => {
    for (const tag of ["b", "a", "c"]) await client.pushImage(TEAM, tag);
    await client.pushImage("hosted/another", "x");
    const first = await client.send("GET", `/v2/${TEAM}/tags/list?n=2`);
    expect(first.json()).toEqual({ name: TEAM, tags: ["a", "b"] });
    expect(first.headers.get("Link")).toBe(`</v2/${TEAM}/tags/list?n=2&last=b>; rel="next"`);
    const second = await client.send("GET", `/v2/${TEAM}/tags/list?n=2&last=b`);
    expect([second.json().tags, second.headers.get("Link")]).toEqual([["c"], null]);
    expect((await client.send("GET", `/v2/${TEAM}/tags/list?n=0`)).json().tags).toEqual([]);
    expect((await client.send("GET", "/v2/hosted/nowhere/tags/list")).status).toBe(404);
    expect((await client.send("GET", "/v2/_catalog?n=1")).json().repositories).toEqual(["hosted/another"]);
    expect((await client.send("GET", "/v2/hosted/_catalog")).json().repositories).toEqual([
      "another",
      "team/app",
    ]);
  });
});

describe("deleting", () => {
  test("a tag leaves the manifest, a manifest takes its tags along", async () => {
    const image = await client.pushImage(TEAM, "1.0");
    await client.putManifest(TEAM, "latest", image.bytes);
    expect((await client.send("DELETE", `/v2/${TEAM}/manifests/1.0`)).status).toBe(202);
    expect((await client.send("GET", `/v2/${TEAM}/manifests/latest`)).status).toBe(200);
    expect((await client.send("DELETE", `/v2/${TEAM}/manifests/${image.digest}`)).status).toBe(202);
    for (const reference of ["latest", image.digest]) {
      expect((await client.send("GET", `/v2/${TEAM}/manifests/${reference}`)).status).toBe(404);
      expect((await client.send("DELETE", `/v2/${TEAM}/manifests/${reference}`)).status).toBe(404);
    }
  });

  test("a blob takes it from its repository alone", async () => {
    const { layer } = await client.pushImage(TEAM, "1.0");
    await client.send("POST", `/v2/hosted/other/blobs/uploads/?mount=${layer.digest}`);
    expect((await client.send("DELETE", `/v2/${TEAM}/blobs/${layer.digest}`)).status).toBe(202);
    expect((await client.send("GET", `/v2/${TEAM}/blobs/${layer.digest}`)).status).toBe(404);
    expect((await client.send("GET", `/v2/hosted/other/blobs/${layer.digest}`)).status).toBe(200);
  });

  test("and moving a tag are refused where HOSTED_IMMUTABLE matches; a new tag isn't", async () => {
    const repository = "hosted/release/app";
    const image = await client.pushImage(repository, "1.0");
    const other = await client.pushImage(repository, "2.0");
    expect((await client.putManifest(repository, "1.0", image.bytes)).status).toBe(201);
    const moved = await client.putManifest(repository, "1.0", other.bytes);
    expect([moved.status, codesOf(moved)]).toEqual([403, ["DENIED"]]);
    for (const path of ["manifests/1.0", `manifests/${image.digest}`, `blobs/${image.layer.digest}`]) {
      expect((await client.send("DELETE", `/v2/${repository}/${path}`)).status).toBe(403);
    }
    expect(
      (await client.send("GET", `/v2/${repository}/manifests/1.0`)).headers.get("Docker-Content-Digest"),
    ).toBe(image.digest);
  });
});
