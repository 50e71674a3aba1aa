/** What upstream sends as a manifest: accepted only once verified, and nothing else is stored. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Behaviour, behaviours, type Image, utf8 } from "../support/fake-registry.ts";
import { useMirror } from "../support/mirror.ts";

const OCI_INDEX = "application/vnd.oci.image.index.v1+json";
const OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json";
const SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+prettyjws";
const WRONG = `sha256:${"0".repeat(64)}`;

const mirror = useMirror();
const tag = "/v2/library/demo/manifests/latest";
let image: Image;
let byDigest: string;

beforeEach(async () => {
  image = await mirror.docker.addImage("library/demo", "latest");
  byDigest = `/v2/library/demo/manifests/${image.target.digest}`;
});

interface Fault {
  name: string;
  behaviour: Behaviour;
}

/** Responses that are no manifest, by tag or by digest. */
const FAULTS: Fault[] = [
  { name: "an HTML page with 200", behaviour: behaviours.htmlPage() },
  { name: "no bytes with 200", behaviour: behaviours.emptyBody() },
  { name: "other bytes of the right length", behaviour: behaviours.corrupted() },
  { name: "a body that breaks off", behaviour: behaviours.cutAfter(100) },
  { name: "a body that ends early", behaviour: behaviours.endsAfter(100) },
];

describe.each(FAULTS)("$name", ({ behaviour }) => {
  beforeEach(() => {
    mirror.docker.fail({ kind: "manifest", method: "GET" }, behaviour);
  });

  afterEach(async () => {
    expect(await mirror.stored()).toEqual([]);
    expect((await mirror.bindings.TAGS.list()).keys).toEqual([]);
    // It wasn't remembered either.
    mirror.recover();
    for (const path of [tag, byDigest]) {
      const { status, headers } = await mirror.request(path);
      expect([status, headers.get("Docker-Content-Digest")]).toEqual([200, image.target.digest]);
    }
  });

  test.each(["tag", "digest"])("is rejected, by %s, and nothing is stored", async (how) => {
    const { status, headers, json } = await mirror.request(how === "tag" ? tag : byDigest);
    expect(status).toBe(503);
    expect(headers.get("Content-Type")).toBe("application/json");
    expect(json().errors).toEqual([expect.objectContaining({ code: "UNAVAILABLE" })]);
  });
});

describe("a manifest", () => {
  test("by tag has the digest of its bytes, whatever the digest header says", async () => {
    const lie = behaviours.changedHeaders({ "docker-content-digest": WRONG });
    mirror.docker.fail({ kind: "manifest", method: "GET" }, lie);
    const { status, headers } = await mirror.request(tag);
    expect([status, headers.get("Docker-Content-Digest")]).toEqual([200, image.target.digest]);
  });

  test("by digest is verified by its bytes, whatever the digest header says", async () => {
    const lie = behaviours.changedHeaders({ "docker-content-digest": WRONG });
    mirror.docker.fail({ kind: "manifest", method: "GET" }, lie);
    const { status, headers } = await mirror.request(byDigest);
    expect([status, headers.get("Docker-Content-Digest")]).toEqual([200, image.target.digest]);
  });

  test("is never served under the wrong digest that a HEAD named", async () => {
    const lie = behaviours.changedHeaders({ "docker-content-digest": WRONG });
    mirror.docker.fail({ kind: "manifest", method: "HEAD" }, lie);
    await mirror.request(tag, { method: "HEAD" });
    const { status, headers } = await mirror.request(tag);
    if (status === 200) expect(headers.get("Docker-Content-Digest")).toBe(image.target.digest);
    expect((await mirror.request(`/v2/library/demo/manifests/${WRONG}`)).status).toBe(404);
  });

  test.each(["{", "[]", "null", '"text"', '{"errors":[]}', '{"schemaVersion":1}'])(
    "by tag whose body is no manifest is rejected: %s",
    async (text) => {
      await mirror.docker.addManifest("library/demo", utf8(text), { tag: "odd", mediaType: OCI_MANIFEST });
      expect((await mirror.request("/v2/library/demo/manifests/odd")).status).toBe(503);
      expect(await mirror.stored()).toEqual([]);
    },
  );

  test("of schema 1 is 404 by tag: its digest isn't stable", async () => {
    mirror.docker.fail({ kind: "manifest" }, behaviours.changedHeaders({ "content-type": SCHEMA1 }));
    for (const method of ["HEAD", "GET"]) expect((await mirror.request(tag, { method })).status).toBe(404);
    expect(await mirror.stored()).toEqual([]);
  });

  test("has the media type of its body, which the digest covers, rather than the header's", async () => {
    mirror.docker.fail({ kind: "manifest" }, behaviours.changedHeaders({ "content-type": DOCKER_MANIFEST }));
    for (const path of [tag, byDigest]) {
      expect((await mirror.request(path)).headers.get("Content-Type")).toBe(OCI_MANIFEST);
    }
    expect((await mirror.request(tag, { method: "HEAD" })).headers.get("Content-Type")).toBe(OCI_MANIFEST);
  });

  test.each([
    { header: `${DOCKER_MANIFEST}; charset=utf-8`, body: { layers: [] }, type: OCI_MANIFEST },
    { header: "text/plain", body: { layers: [] }, type: OCI_MANIFEST },
    { header: "application/octet-stream", body: { manifests: [] }, type: OCI_INDEX },
  ])(
    "without a media type gets the one its structure implies, whatever the header says: $header",
    async ({ header, body, type }) => {
      await mirror.docker.addManifest(
        "library/demo",
        { schemaVersion: 2, ...body },
        { tag: "bare", mediaType: header },
      );
      for (const method of ["GET", "HEAD"]) {
        expect(
          (await mirror.request("/v2/library/demo/manifests/bare", { method })).headers.get("Content-Type"),
        ).toBe(type);
      }
    },
  );

  test("by digest whose content is HTML is never served as HTML", async () => {
    const page = utf8("<!doctype html><script>alert(1)</script>");
    const { digest } = await mirror.docker.addManifest("library/demo", page, { mediaType: "text/html" });
    const path = `/v2/library/demo/manifests/${digest}`;
    for (const newIsolate of [false, true]) {
      if (newIsolate) mirror.newIsolate();
      const { status, headers } = await mirror.request(path);
      if (status === 200) expect(headers.get("Content-Type")).toMatch(/^application\//);
    }
  });

  test.each([4 * 1024 * 1024, 4 * 1024 * 1024 + 1])("may have at most 4 MiB: %i", async (size) => {
    const start = `{"schemaVersion":2,"mediaType":"${OCI_MANIFEST}","layers":[]`;
    const bytes = utf8(`${start.padEnd(size - 1)}}`);
    const { digest } = await mirror.docker.addManifest("library/demo", bytes, { tag: "big" });
    const expected = size > 4 * 1024 * 1024 ? 503 : 200;
    for (const path of ["big", digest]) {
      expect((await mirror.request(`/v2/library/demo/manifests/${path}`)).status).toBe(expected);
    }
  });

  test("is the same for every Accept header: upstream is always requested all types", async () => {
    const other = await mirror.docker.addManifest("library/demo", {
      schemaVersion: 2,
      mediaType: DOCKER_MANIFEST,
      layers: [],
    });
    mirror.docker.addVariant("library/demo", "latest", other.digest);
    for (const Accept of [DOCKER_MANIFEST, OCI_MANIFEST]) {
      mirror.clock.ahead += 301_000;
      const { headers } = await mirror.request(tag, { headers: { Accept } });
      expect(headers.get("Docker-Content-Digest")).toBe(image.target.digest);
    }
  });

  test("stored by an older version without its media type is still served with one", async () => {
    const hex = image.target.digest.slice("sha256:".length);
    await mirror.bindings.STORE.put(`manifests/sha256/${hex.slice(0, 2)}/${hex}`, image.target.bytes);
    expect((await mirror.request(byDigest)).headers.get("Content-Type")).toBe(OCI_MANIFEST);
  });
});
