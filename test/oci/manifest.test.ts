import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isForeign, manifestType, readManifest } from "../../src/oci/manifest.ts";
import {
  DOCKER_MANIFEST,
  DOCKER_MANIFEST_LIST,
  OCI_ARTIFACT_MANIFEST,
  OCI_INDEX,
  OCI_MANIFEST,
} from "../../src/oci/mediatypes.ts";

const digestOfLetter = (letter: string) => `sha256:${letter.repeat(64)}` as const;
const layerType = "application/vnd.oci.image.layer.v1.tar+gzip";
const config = {
  mediaType: "application/vnd.oci.image.config.v1+json",
  digest: digestOfLetter("c"),
  size: 10,
};
const layer = { mediaType: layerType, digest: digestOfLetter("a"), size: 20 };
const child = { mediaType: OCI_MANIFEST, digest: digestOfLetter("b"), size: 30 };

const encode = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
const read = (value: unknown) => readManifest(encode(value));
function mustRead(value: unknown) {
  const manifest = read(value);
  if (manifest === null) throw new Error(`not read: ${JSON.stringify(value)}`);
  return manifest;
}

describe("reading a manifest", () => {
  test("finds an image's config, layers, subject and artifact type", () => {
    const artifactType = "application/vnd.example.sbom";
    expect(
      read({
        schemaVersion: 2,
        mediaType: OCI_MANIFEST,
        config,
        layers: [layer],
        subject: child,
        artifactType,
        "x-unknown": 1,
      }),
    ).toEqual({
      mediaType: OCI_MANIFEST,
      kind: "image",
      manifests: [],
      config,
      layers: [layer],
      subject: child,
      artifactType,
    });
  });

  test("finds an index's manifests, with platforms, annotations and artifact types", () => {
    const listed = {
      ...child,
      platform: { os: "linux", architecture: "arm64", variant: "v8" },
      artifactType: "application/vnd.example",
      annotations: { "org.example": "1" },
      urls: ["https://example.com/x"],
    };
    const manifest = mustRead({ schemaVersion: 2, mediaType: DOCKER_MANIFEST_LIST, manifests: [listed] });
    expect(manifest.kind).toBe("index");
    expect(manifest.manifests).toEqual([listed]);
    expect(manifest.config).toBeNull();
  });

  test("finds an artifact manifest's blobs, though it has no schemaVersion", () => {
    const manifest = mustRead({ mediaType: OCI_ARTIFACT_MANIFEST, blobs: [layer], subject: child });
    expect(manifest).toMatchObject({ kind: "image", layers: [layer], config: null, subject: child });
  });

  test("tells an index from an image by shape where the body names no type", () => {
    expect(mustRead({ schemaVersion: 2, manifests: [] }).kind).toBe("index");
    expect(mustRead({ schemaVersion: 2, config, layers: [layer] }).kind).toBe("image");
  });

  test("reads a document with the fields of both kinds as one of them only", () => {
    const both = { schemaVersion: 2, config, layers: [layer], manifests: [child] };
    expect(mustRead({ ...both, mediaType: OCI_INDEX })).toMatchObject({
      kind: "index",
      manifests: [child],
      config: null,
      layers: [],
    });
    const image = { kind: "image", manifests: [], config, layers: [layer] };
    expect(mustRead({ ...both, mediaType: OCI_MANIFEST })).toMatchObject(image);
    expect(mustRead(both)).toMatchObject(image);
  });

  test.each([
    ["nothing", ""],
    ["no JSON", "{"],
    ["an array", "[]"],
    ["a string", '"x"'],
    ["null", "null"],
    ["an error page", "<html></html>"],
    ["an error body", '{"errors":[]}'],
    ["schema 1", '{"schemaVersion":1,"name":"a","fsLayers":[]}'],
    ["a version that is no number", '{"schemaVersion":"2"}'],
  ])("gives null for %s", (_, text) => expect(readManifest(new TextEncoder().encode(text))).toBeNull());

  test("leaves out descriptors that can't be used, and keeps the others", () => {
    const layers = [
      null,
      "x",
      [],
      {},
      { ...layer, digest: "sha256:short" },
      { ...layer, digest: 1 },
      { ...layer, size: -1 },
      { ...layer, size: 1.5 },
      { ...layer, size: "20" },
      { ...layer, size: 2 ** 53 },
      { ...layer, mediaType: undefined },
      layer,
    ];
    expect(mustRead({ schemaVersion: 2, config: { digest: "?" }, layers })).toMatchObject({
      config: null,
      layers: [layer],
    });
  });

  test("leaves out the parts of a descriptor that have the wrong form", () => {
    const odd = {
      ...layer,
      platform: { os: "linux" },
      artifactType: 1,
      annotations: { a: "b", c: 1 },
      urls: [1, "u"],
    };
    expect(mustRead({ schemaVersion: 2, config, layers: [odd] }).layers).toEqual([
      { ...layer, annotations: { a: "b" }, urls: ["u"] },
    ]);
  });

  test("never throws, whatever the body", () => {
    const keys = fc.constantFrom(
      "schemaVersion",
      "mediaType",
      "manifests",
      "config",
      "layers",
      "subject",
      "digest",
    );
    const body = fc.dictionary(keys, fc.oneof(fc.jsonValue(), fc.constant(2), fc.constant(OCI_INDEX)));
    fc.assert(
      fc.property(fc.oneof(body.map(encode), fc.uint8Array()), (bytes) => {
        readManifest(bytes);
      }),
    );
  });
});

describe("the type a manifest is served with", () => {
  const typeOf = (value: unknown) => manifestType(encode(value));

  test("is the body's own", () => {
    expect(typeOf({ schemaVersion: 2, mediaType: DOCKER_MANIFEST, manifests: [] })).toBe(DOCKER_MANIFEST);
  });

  test("is derived from the form where the body names none", () => {
    expect(typeOf({ schemaVersion: 2, manifests: [] })).toBe(OCI_INDEX);
    expect(typeOf({ schemaVersion: 2, config, layers: [] })).toBe(OCI_MANIFEST);
    const docker = { ...config, mediaType: "application/vnd.docker.container.image.v1+json" };
    expect(typeOf({ schemaVersion: 2, config: docker, layers: [] })).toBe(DOCKER_MANIFEST);
  });

  test.each(["text/html", "application/x\r\nSet-Cookie: a=b", "application/", "APPLICATION", 7])(
    "is never %j, which would turn a manifest into a page or break the header",
    (mediaType) => {
      expect(mustRead({ schemaVersion: 2, mediaType, config }).mediaType).toBeNull();
      expect(typeOf({ schemaVersion: 2, mediaType, config })).toBe(OCI_MANIFEST);
    },
  );

  test("is nothing for what is no manifest", () => {
    expect(typeOf({ errors: [] })).toBeNull();
  });
});

describe("foreign layers", () => {
  test.each([
    ["application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", true],
    ["application/vnd.oci.image.layer.nondistributable.v1.tar", true],
    ["application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", true],
    ["application/vnd.docker.image.rootfs.diff.tar.gzip", false],
    [layerType, false],
  ])("are recognized by their type: %s", (mediaType, foreign) => {
    expect(isForeign({ ...layer, mediaType })).toBe(foreign);
  });
});
