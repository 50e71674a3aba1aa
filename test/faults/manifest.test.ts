/** Unusual manifests: served byte for byte, or rejected. */
import { beforeEach, expect } from "vitest";
import { MAXIMUM_MANIFEST } from "../../src/oci/manifest.ts";
import { behaviours, patternBytes, utf8 } from "../support/fake-registry.ts";
import {
  cacheStatus,
  calls,
  expectRefused,
  expectStale,
  expectWhole,
  later,
  manifestKey,
  pullAll,
  TAG,
  useFaults,
} from "./support.ts";

const OCI_INDEX = "application/vnd.oci.image.index.v1+json";
const OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+prettyjws";
const GONE = { mediaType: OCI_MANIFEST, digest: `sha256:${"0".repeat(64)}`, size: 10 };
const MIB = 1024 * 1024;

const scene = useFaults("manifest");
const { mirror, demo, fault } = scene;
const pathOf = (reference: string) => `/v2/library/demo/manifests/${reference}`;

beforeEach(() => {
  mirror.docker.settings.auth = "none";
});

/** A manifest of exactly this many bytes. */
function sized(bytes: number): Uint8Array {
  const [start, end] = [`{"schemaVersion":2,"mediaType":"${OCI_MANIFEST}","pad":"`, '"}'];
  return utf8(start + "x".repeat(bytes - start.length - end.length) + end);
}

for (const size of [4 * MIB - 1, MAXIMUM_MANIFEST]) {
  fault("exactly 4 MiB and above", `${size} bytes are served and stored`, async () => {
    const { digest, bytes } = await mirror.docker.addManifest("library/demo", sized(size), { tag: "large" });
    await expectWhole(await mirror.request(pathOf("large")), bytes);
    mirror.newIsolate();
    await expectWhole(await mirror.request(pathOf(digest)), bytes);
    expect(await mirror.stored()).toEqual([manifestKey(digest)]);
    expect(calls(mirror.docker)).toEqual(["GET manifest 200"]);
  });
}

fault(
  "exactly 4 MiB and above",
  "above the limit: rejected, and neither read to its end nor stored",
  async () => {
    const manifest = await mirror.docker.addManifest("library/demo", sized(3 * MAXIMUM_MANIFEST), {
      tag: "huge",
    });
    for (const reference of ["huge", manifest.digest])
      expectRefused(await mirror.request(pathOf(reference)), 503, "UNAVAILABLE");
    expect(mirror.docker.bytesSent).toBeLessThan(4 * MAXIMUM_MANIFEST);
    expect(await mirror.stored()).toEqual([]);
  },
);

for (const [what, text] of [
  [
    "trailing spaces and line feeds",
    `{ "schemaVersion" :2,\r\n\t"mediaType":"${OCI_MANIFEST}" , "layers":[ ] }\n\n`,
  ],
  ["duplicate keys", `{"schemaVersion":2,"mediaType":"${OCI_MANIFEST}","layers":[],"a":1,"a":2,"layers":[]}`],
  [
    "all kinds of escapes, numbers and letters",
    `{"schemaVersion":2.0,"mediaType":"${OCI_MANIFEST}","x":"\\u00e4ä\\/ 1e400 \u{1f40b}","n":1.0e+3}`,
  ],
  ["a byte order mark", `\ufeff{"schemaVersion":2,"mediaType":"${OCI_MANIFEST}","layers":[]}`],
] as const) {
  fault("bytes preserved exactly", what, async () => {
    const bytes = utf8(text);
    const { digest } = await mirror.docker.addManifest("library/demo", bytes, {
      tag: "odd",
      mediaType: OCI_MANIFEST,
    });
    for (const reference of ["odd", digest]) {
      await expectWhole(await mirror.request(pathOf(reference)), bytes);
      mirror.newIsolate();
      const warm = await mirror.request(pathOf(reference));
      await expectWhole(warm, bytes);
      expect(warm.headers.get("Docker-Content-Digest")).toBe(digest);
    }
    expect(await mirror.stored()).toEqual([manifestKey(digest)]);
  });
}

fault(
  "digest header against body",
  "by tag: the digest is computed from the body, since many registries send a wrong one",
  async () => {
    mirror.docker.fail(
      { kind: "manifest" },
      behaviours.changedHeaders({ "docker-content-digest": GONE.digest }),
    );
    for (let round = 0; round < 2; round++) {
      const response = await mirror.request(TAG);
      await expectWhole(response, demo.image.target.bytes);
      expect(response.headers.get("Docker-Content-Digest")).toBe(demo.image.target.digest);
      mirror.clock.ahead += 301_000;
    }
    expect(await mirror.stored()).toEqual([manifestKey(demo.image.target.digest)]);
  },
);

fault(
  "Content-Type against mediaType",
  "wrong for a body without mediaType: the type is the one the body's structure implies, for every client",
  async () => {
    const { bytes, digest } = await mirror.docker.addManifest(
      "library/demo",
      { schemaVersion: 2, config: demo.image.configs[0], layers: [] },
      { tag: "untyped", mediaType: OCI_INDEX },
    );
    for (const reference of ["untyped", digest]) {
      const response = await mirror.request(pathOf(reference));
      await expectWhole(response, bytes);
      expect(response.headers.get("Content-Type")).toBe(OCI_MANIFEST);
      mirror.newIsolate();
    }
  },
);

fault(
  "digest header against body",
  "by digest: the body is verified, and the header is the mirror's",
  async () => {
    mirror.docker.fail(
      { kind: "manifest" },
      behaviours.changedHeaders({ "docker-content-digest": GONE.digest }),
    );
    const response = await mirror.request(demo.manifest);
    await expectWhole(response, demo.image.target.bytes);
    expect(response.headers.get("Docker-Content-Digest")).toBe(demo.image.target.digest);
    expect(await mirror.stored()).toEqual([manifestKey(demo.image.target.digest)]);
  },
);

fault("digest header against body", "absent: the digest is computed from the body", async () => {
  mirror.docker.settings.digestHeader = false;
  for (const method of ["HEAD", "GET"]) {
    const { status, headers } = await mirror.request(TAG, { method });
    expect([status, headers.get("Docker-Content-Digest")]).toEqual([200, demo.image.target.digest]);
  }
});

for (const type of [
  "text/html",
  "application/json",
  OCI_INDEX,
  "application/vnd.oci.image.manifest.v1+json; charset=utf-8",
]) {
  fault(
    "Content-Type against mediaType",
    `${type}: the body's mediaType counts, since the digest covers it`,
    async () => {
      mirror.docker.fail({ kind: "manifest" }, behaviours.changedHeaders({ "content-type": type }));
      for (const path of [TAG, demo.manifest]) {
        const response = await mirror.request(path);
        await expectWhole(response, demo.image.target.bytes);
        expect(response.headers.get("Content-Type")).toBe(demo.image.target.mediaType);
      }
    },
  );
}

fault("Content-Type against mediaType", "a body whose mediaType is HTML isn't served as HTML", async () => {
  const { digest } = await mirror.docker.addManifest(
    "library/demo",
    { schemaVersion: 2, mediaType: "text/html", layers: [], "<script>": "alert(1)" },
    { tag: "page", mediaType: "text/html" },
  );
  for (const reference of ["page", digest]) {
    const response = await mirror.request(pathOf(reference));
    expect(response.headers.get("Content-Type")).not.toContain("html");
  }
});

fault("variants by Accept under one tag", async () => {
  const docker = await mirror.docker.addImage("library/demo", "docker", { format: "docker" });
  mirror.docker.addVariant("library/demo", "latest", docker.target.digest);
  for (const Accept of [OCI_MANIFEST, docker.target.mediaType, SCHEMA1, "*/*", "application/json"]) {
    const response = await mirror.request(TAG, { headers: { Accept } });
    await expectWhole(response, demo.image.target.bytes);
    expect(response.headers.get("Content-Type")).toBe(demo.image.target.mediaType);
  }
  expect(calls(mirror.docker)).toEqual(["GET manifest 200"]);
  expect(await mirror.stored()).toEqual([manifestKey(demo.image.target.digest)]);
});

fault("schema1", "offered by upstream: never requested", async () => {
  mirror.docker.settings.schema1WithoutAccept = true;
  await expectWhole(await mirror.request(TAG, { headers: { Accept: SCHEMA1 } }), demo.image.target.bytes);
  expect((await mirror.request(TAG, { method: "HEAD", headers: { Accept: "*/*" } })).status).toBe(200);
});

fault("schema1", "the only form: 404, since its digest changes with each response", async () => {
  const old = {
    schemaVersion: 1,
    name: "library/demo",
    tag: "old",
    fsLayers: [],
    history: [],
    signatures: [],
  };
  await mirror.docker.addManifest("library/demo", old, { tag: "old", mediaType: SCHEMA1 });
  expectRefused(await mirror.request(pathOf("old")), 404, "MANIFEST_UNKNOWN");
  expect((await mirror.request(pathOf("old"), { method: "HEAD" })).status).toBe(404);
  expect(await mirror.stored()).toEqual([]);
  expect((await mirror.bindings.TAGS.list()).keys).toEqual([]);
});

fault("foreign-layer URLs never fetched", async () => {
  const foreign = {
    mediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    digest: `sha256:${"1".repeat(64)}`,
    size: 10,
    urls: ["https://evil.test/layer", "http://169.254.169.254/latest"],
  };
  const [config] = demo.image.configs;
  const manifest = { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers: [foreign] };
  const { bytes } = await mirror.docker.addManifest("library/demo", manifest, { tag: "windows" });
  await expectWhole(await mirror.request(pathOf("windows")), bytes);
  expect((await mirror.request(`/v2/library/demo/blobs/${config?.digest}`)).status).toBe(200);
  expectRefused(await mirror.request(`/v2/library/demo/blobs/${foreign.digest}`), 404, "BLOB_UNKNOWN");
  expect(mirror.network.strays).toEqual([]);
  // Nor does it make the image incomplete: clients get that layer elsewhere anyway.
  later(scene);
  mirror.docker.fail({ kind: "manifest" }, { status: 500 });
  await expectWhole(await mirror.request(pathOf("windows")), bytes);
});

fault("nested, sparse index", async () => {
  const { digest, size, mediaType } = demo.image.target;
  const inner = await mirror.docker.addManifest("library/demo", {
    schemaVersion: 2,
    mediaType: OCI_INDEX,
    manifests: [GONE, { digest, size, mediaType }],
  });
  const outer = await mirror.docker.addManifest(
    "library/demo",
    {
      schemaVersion: 2,
      mediaType: OCI_INDEX,
      manifests: [GONE, { digest: inner.digest, size: inner.size, mediaType: OCI_INDEX }],
    },
    { tag: "nested" },
  );
  await expectWhole(await mirror.request(pathOf("nested")), outer.bytes);
  await expectWhole(await mirror.request(pathOf(inner.digest)), inner.bytes);
  expectRefused(await mirror.request(pathOf(GONE.digest)), 404, "MANIFEST_UNKNOWN");
  await pullAll(scene);
  later(scene);
  mirror.docker.fail({ kind: "manifest" }, { status: 500 });
  const stale = await mirror.request(pathOf("nested"));
  await expectWhole(stale, outer.bytes);
  expect(cacheStatus(stale)).toContain("detail=stale");
});

fault("artifact without layers", async () => {
  for (const [tag, manifest] of Object.entries({
    artifact: { mediaType: "application/vnd.oci.artifact.manifest.v1+json", artifactType: "a/b" },
    bare: { schemaVersion: 2, mediaType: OCI_MANIFEST, artifactType: "a/b" },
    empty: { schemaVersion: 2, mediaType: OCI_MANIFEST, layers: [] },
  })) {
    const { bytes } = await mirror.docker.addManifest("library/demo", manifest, { tag });
    await expectWhole(await mirror.request(pathOf(tag)), bytes);
    later(scene);
    const handle = mirror.docker.fail({ kind: "manifest" }, { status: 500 });
    await expectWhole(await mirror.request(pathOf(tag)), bytes);
    handle.remove();
  }
});

for (const text of [
  "",
  "{",
  '{"schemaVersion":2',
  "null",
  "[]",
  '"text"',
  "<html></html>",
  "{}",
  '{"schemaVersion":3}',
]) {
  fault("malformed JSON", `${text === "" ? "empty" : text}: rejected by tag, served by digest`, async () => {
    const bytes = utf8(text);
    const { digest } = await mirror.docker.addManifest("library/demo", bytes, {
      tag: "odd",
      mediaType: OCI_MANIFEST,
    });
    expectRefused(await mirror.request(pathOf("odd")), 503, "UNAVAILABLE");
    expect(await mirror.stored()).toEqual([]);
    expect((await mirror.bindings.TAGS.list()).keys).toEqual([]);
    const response = await mirror.request(pathOf(digest));
    await expectWhole(response, bytes);
    expect(response.headers.get("Content-Type")).toBe("application/octet-stream");
  });
}

fault("tag moves mid-pull", async () => {
  await expectWhole(await mirror.request(TAG), demo.image.target.bytes);
  const next = await mirror.docker.addImage("library/demo", "latest", { layers: [patternBytes(1000, 7)] });
  // A client that began with the old image gets the rest of it.
  await pullAll({ mirror, demo });
  mirror.clock.ahead += 301_000;
  const response = await mirror.request(TAG);
  await expectWhole(response, next.target.bytes);
  expect(response.headers.get("Docker-Content-Digest")).toBe(next.target.digest);
  // If the new image's layer is unavailable, the old image is still served by its digest.
  mirror.docker.fail({}, { status: 500 });
  await expectWhole(await mirror.request(demo.manifest), demo.image.target.bytes);
});

fault("tag moves mid-pull", "the new manifest can't be fetched: the old one is served stale", async () => {
  await pullAll(scene);
  later(scene);
  await mirror.docker.addImage("library/demo", "latest", { layers: [patternBytes(1000, 7)] });
  mirror.docker.fail({ kind: "manifest", method: "GET" }, { status: 500 });
  expectStale(await mirror.request(TAG), demo.image, 500);
});
