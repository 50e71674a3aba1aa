/** Stale content while upstream fails: a tag's last known digest if all its content is stored, and what is never served stale. */
import { beforeEach, describe, expect, test } from "vitest";
import { behaviours, type Image, patternBytes } from "../support/fake-registry.ts";
import { type MirrorResponse, useMirror } from "../support/mirror.ts";

const OCI_INDEX = "application/vnd.oci.image.index.v1+json";
const OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

const mirror = useMirror();
const tag = "/v2/library/demo/manifests/latest";
let image: Image;

beforeEach(async () => {
  image = await mirror.docker.addImage("library/demo", "latest");
});

async function pullAll(...paths: string[]): Promise<void> {
  for (const path of paths) expect((await mirror.request(`/v2/library/demo/${path}`)).status).toBe(200);
}

async function pullImage({ manifests, configs, layers }: Image, platform = 0): Promise<void> {
  await pullAll(`manifests/${manifests[platform]?.digest}`, `blobs/${configs[platform]?.digest}`);
  for (const layer of layers) await pullAll(`blobs/${layer.digest}`);
}

/** Lets the tag expire, in a new isolate. */
function later(milliseconds = HOUR): void {
  mirror.clock.ahead += milliseconds;
  mirror.newIsolate();
  mirror.docker.reset();
}

/** Clients that can go on to the registry itself, as containerd's can. */
const DOCKER = { headers: { "User-Agent": "docker/28.5.2 go/go1.24" } };
const PODMAN = { headers: { "User-Agent": "containers/5.36.2 (github.com/containers/image)" } };
/** A client that was given the mirror's own name. */
const TRIVY = { headers: { "User-Agent": "trivy/0.74.0" } };

function digestOf({ status, headers }: MirrorResponse): [number, string | null] {
  return [status, headers.get("Docker-Content-Digest")];
}

describe.each([
  { name: "429", behaviour: behaviours.tooManyRequests(60), forwarded: "; fwd-status=429" },
  { name: "500", behaviour: { status: 500 }, forwarded: "; fwd-status=500" },
  { name: "503", behaviour: { status: 503 }, forwarded: "; fwd-status=503" },
  { name: "a broken connection", behaviour: { network: true } as const, forwarded: "" },
])("upstream failing with $name", ({ behaviour, forwarded }) => {
  test.each(["GET", "HEAD"])("has the tag's last digest served by %s, marked as stale", async (method) => {
    await pullAll("manifests/latest");
    await pullImage(image);
    later();
    mirror.docker.fail({ kind: "manifest", authorized: true }, behaviour);
    mirror.docker.fail({ kind: "token" }, behaviour);
    const response = await mirror.request(tag, { method });
    expect(digestOf(response)).toEqual([200, image.target.digest]);
    expect(response.bytes.byteLength).toBe(method === "GET" ? image.target.size : 0);
    expect(response.headers.get("Content-Length")).toBe(String(image.target.size));
    expect(response.headers.get("Cache-Status")).toBe(`Portolan; fwd=stale${forwarded}; detail=stale`);
    expect(response.headers.get("Warning")).toMatch(/^299 - ".*1\.0 hours ago"$/);
  });

  test("is reported where a layer isn't stored", async () => {
    await pullAll("manifests/latest");
    await pullImage({ ...image, layers: image.layers.slice(1) });
    later();
    mirror.docker.fail({ kind: "manifest" }, behaviour);
    const { status, headers } = await mirror.request(tag, DOCKER);
    expect(status).toBe(503);
    expect(headers.get("Warning")).toBe(null);
  });
});

test.each([401, 403])("%i is a denial: nothing is served stale, however much is stored", async (status) => {
  await pullAll("manifests/latest");
  await pullImage(image);
  later();
  mirror.docker.fail({ kind: "manifest" }, { status });
  const response = await mirror.request(tag);
  expect(response.status).toBe(403);
  expect(response.json().errors).toEqual([expect.objectContaining({ code: "DENIED" })]);
});

test("a repository that has become private is never served stale", async () => {
  await pullAll("manifests/latest");
  await pullImage(image);
  later();
  mirror.docker.setVisibility("library/demo", "private");
  expect((await mirror.request(tag)).status).toBe(403);
});

test("a tag that has moved is served stale if its new manifest can't be fetched", async () => {
  await pullAll("manifests/latest");
  await pullImage(image);
  later();
  await mirror.docker.addImage("library/demo", "latest", { platforms: ["linux/arm64"] });
  mirror.docker.fail({ kind: "manifest", method: "GET" }, behaviours.tooManyRequests());
  expect(digestOf(await mirror.request(tag))).toEqual([200, image.target.digest]);
});

test("stale content is revalidated at the next request", async () => {
  await pullAll("manifests/latest");
  await pullImage(image);
  later();
  const fault = mirror.docker.fail({ kind: "manifest" }, { status: 500 });
  await mirror.request(tag);
  fault.remove();
  const response = await mirror.request(tag);
  expect(response.headers.get("Warning")).toBe(null);
  expect(response.headers.get("Cache-Status")).not.toContain("detail=stale");
});

describe("a record's age", () => {
  const STALE_MAX = 30 * DAY;

  test.each([
    { age: STALE_MAX - HOUR, status: 200 },
    { age: STALE_MAX + HOUR, status: 503 },
  ])("bounds for how long it is served: after $age ms $status", async ({ age, status }) => {
    await pullAll("manifests/latest");
    await pullImage(image);
    later(age);
    mirror.docker.fail({ kind: "manifest" }, { status: 500 });
    expect((await mirror.request(tag)).status).toBe(status);
  });

  test("counts from the last confirmation, not from the last change", async () => {
    await pullAll("manifests/latest");
    await pullImage(image);
    later(STALE_MAX - DAY);
    await mirror.request(tag);
    later(2 * DAY);
    mirror.docker.fail({ kind: "manifest" }, { status: 500 });
    expect((await mirror.request(tag)).status).toBe(200);
  });
});

describe("the content of a tag", () => {
  test("is complete if one platform of its index is stored", async () => {
    const platforms = ["linux/amd64", "linux/arm64"];
    const multi = await mirror.docker.addImage("library/demo", "latest", { platforms });
    await pullAll("manifests/latest");
    later();
    mirror.docker.fail({ kind: "manifest" }, { status: 500 });
    expect((await mirror.request(tag, DOCKER)).status).toBe(503);
    mirror.docker.clearFaults();
    await pullImage(multi, 1);
    mirror.docker.fail({ kind: "manifest" }, { status: 500 });
    expect(digestOf(await mirror.request(tag, DOCKER))).toEqual([200, multi.target.digest]);
  });

  const indexOf = (...children: { digest: string; size: number; mediaType: string }[]) => ({
    schemaVersion: 2,
    mediaType: OCI_INDEX,
    manifests: children.map(({ digest, size, mediaType }) => ({ digest, size, mediaType })),
  });

  test("is complete with a nested index of which some entries are missing", async () => {
    const gone = { digest: `sha256:${"0".repeat(64)}`, size: 1, mediaType: OCI_MANIFEST };
    const inner = await mirror.docker.addManifest("library/demo", indexOf(gone, image.target));
    const outer = await mirror.docker.addManifest("library/demo", indexOf(gone, inner), { tag: "nested" });
    await pullAll("manifests/nested", `manifests/${inner.digest}`);
    await pullImage(image);
    later();
    mirror.docker.fail({ kind: "manifest" }, { status: 500 });
    expect(digestOf(await mirror.request("/v2/library/demo/manifests/nested", DOCKER))).toEqual([
      200,
      outer.digest,
    ]);
  });

  test("is incomplete if only an attestation of its index is stored", async () => {
    const platform = { os: "unknown", architecture: "unknown" };
    const gone = { digest: `sha256:${"0".repeat(64)}`, size: 1, mediaType: OCI_MANIFEST };
    const { digest, size, mediaType } = image.target;
    const index = {
      schemaVersion: 2,
      mediaType: OCI_INDEX,
      manifests: [gone, { digest, size, mediaType, platform }],
    };
    await mirror.docker.addManifest("library/demo", index, { tag: "attested" });
    await pullAll("manifests/attested");
    await pullImage(image);
    later();
    mirror.docker.fail({ kind: "manifest" }, { status: 500 });
    expect((await mirror.request("/v2/library/demo/manifests/attested", DOCKER)).status).toBe(503);
  });

  test("may have data embedded in the manifest, and an empty config", async () => {
    const empty = { mediaType: "application/vnd.oci.empty.v1+json", size: 2 };
    const config = {
      ...empty,
      digest: "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    };
    const layers = [{ ...empty, digest: `sha256:${"2".repeat(64)}`, data: "e30=" }];
    const manifest = { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers };
    await mirror.docker.addManifest("library/demo", manifest, { tag: "inlined" });
    await pullAll("manifests/inlined");
    later();
    mirror.docker.fail({ kind: "manifest" }, { status: 500 });
    expect((await mirror.request("/v2/library/demo/manifests/inlined", DOCKER)).status).toBe(200);
  });

  test("is incomplete if its index is empty", async () => {
    await mirror.docker.addManifest("library/demo", indexOf(), { tag: "empty" });
    await pullAll("manifests/empty");
    later();
    mirror.docker.fail({ kind: "manifest" }, { status: 500 });
    expect((await mirror.request("/v2/library/demo/manifests/empty", DOCKER)).status).toBe(503);
  });

  test("doesn't count foreign layers, and never fetches them", async () => {
    const foreign = {
      mediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
      digest: `sha256:${"1".repeat(64)}`,
      size: 10,
      urls: ["https://elsewhere.test/layer"],
    };
    const [config] = image.configs;
    await mirror.docker.addManifest(
      "library/demo",
      { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers: [foreign] },
      { tag: "windows" },
    );
    await pullAll("manifests/windows", `blobs/${config?.digest}`);
    later();
    mirror.docker.fail({ kind: "manifest" }, { status: 500 });
    expect((await mirror.request("/v2/library/demo/manifests/windows", DOCKER)).status).toBe(200);
    expect(mirror.network.strays).toEqual([]);
  });

  test("may be an artifact without config or layers", async () => {
    const mediaType = "application/vnd.oci.artifact.manifest.v1+json";
    await mirror.docker.addManifest("library/demo", { mediaType, blobs: [] }, { tag: "artifact" });
    await pullAll("manifests/artifact");
    later();
    mirror.docker.fail({ kind: "manifest" }, { status: 500 });
    expect((await mirror.request("/v2/library/demo/manifests/artifact")).status).toBe(200);
  });

  test("is unknown if the store can't be read: upstream's failure is reported", async () => {
    await pullAll("manifests/latest");
    await pullImage(image);
    later();
    mirror.outage("STORE", "head");
    mirror.docker.fail({ kind: "manifest" }, { status: 500 });
    expect((await mirror.request(tag, DOCKER)).status).toBe(503);
  });
});

describe("a client that may have another source", () => {
  test.each([40, 85])("gets an image of %i layers only if all of them are stored", async (count) => {
    const layers = Array.from({ length: count }, (_, index) => patternBytes(100, index));
    const large = await mirror.docker.addImage("library/demo", "large", { layers });
    await pullAll("manifests/large");
    await pullImage({ ...large, layers: large.layers.slice(1) });
    later();
    mirror.docker.fail({ kind: "manifest" }, { status: 500 });
    expect((await mirror.request("/v2/library/demo/manifests/large", DOCKER)).status).toBe(503);
    await pullAll(`blobs/${large.layers[0]?.digest}`);
    mirror.operations();
    const response = await mirror.request("/v2/library/demo/manifests/large", DOCKER);
    expect(digestOf(response)).toEqual([200, large.target.digest]);
    // What exceeds one request's subrequests is looked up by a Durable Object.
    expect(mirror.operations().resolutions).toBe(1);
  });

  test.each([
    { name: "dockerd", requested: DOCKER, path: tag },
    { name: "podman", requested: PODMAN, path: tag },
    { name: "containerd", requested: {}, path: `${tag}?ns=docker.io` },
  ])("gets an error where a part is missing: $name", async ({ requested, path }) => {
    await pullAll("manifests/latest");
    later();
    mirror.docker.fail({ kind: "manifest" }, { status: 500 });
    expect((await mirror.request(path, requested)).status).toBe(503);
  });
});

describe("an artifact", () => {
  const layer = "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip";

  /** Like Trivy's database, or a cosign signature, whose config has an image's media type. */
  async function addArtifact(configType: string, bytes = patternBytes(500, 7)) {
    const config = await mirror.docker.addBlob(bytes);
    const blob = await mirror.docker.addBlob(patternBytes(1000, 8));
    const manifest = {
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      config: { mediaType: configType, digest: config.digest, size: bytes.byteLength },
      layers: [{ mediaType: layer, digest: blob.digest, size: 1000 }],
    };
    const { digest } = await mirror.docker.addManifest("library/demo", manifest, { tag: "artifact" });
    await pullAll("manifests/artifact", `blobs/${blob.digest}`);
    return { digest, config: config.digest };
  }

  test.each(["application/vnd.aquasec.trivy.config.v1+json", "application/vnd.oci.image.config.v1+json"])(
    "is served stale to every client though its config was never requested (%s)",
    async (configType) => {
      const { digest, config } = await addArtifact(configType);
      await mirror.runAlarm(config);
      later();
      mirror.docker.fail({}, { status: 500 });
      for (const requested of [TRIVY, DOCKER, PODMAN, {}]) {
        const response = await mirror.request("/v2/library/demo/manifests/artifact", requested);
        expect(digestOf(response)).toEqual([200, digest]);
        expect(response.headers.get("Warning")).toContain("ago");
      }
      expect((await mirror.request(`/v2/library/demo/blobs/${config}`)).status).toBe(200);
    },
  );

  test("with a large config that isn't stored is served stale only to clients that name the mirror", async () => {
    const { digest, config } = await addArtifact("application/vnd.test.large", patternBytes(300_000, 9));
    await mirror.runAlarm(config);
    expect((await mirror.stored()).filter((key) => key.endsWith(config.replace("sha256:", "")))).toEqual([]);
    later();
    mirror.docker.fail({}, { status: 500 });
    const path = "/v2/library/demo/manifests/artifact";
    expect(digestOf(await mirror.request(path, TRIVY))).toEqual([200, digest]);
    expect((await mirror.request(path, PODMAN)).status).toBe(503);
  });
});

test("an image's config is fetched when a client requests it", async () => {
  await pullAll("manifests/latest");
  expect(await mirror.runAlarm(image.configs[0]?.digest ?? "")).toBe(false);
  expect(mirror.docker.count({ kind: "blob" })).toBe(0);
});

test("an index without stored entries is served to clients that name the mirror, as Homebrew does", async () => {
  const multi = await mirror.docker.addImage("library/demo", "bottle", {
    platforms: ["linux/amd64", "linux/arm64"],
  });
  await pullAll("manifests/bottle", `blobs/${multi.layers[0]?.digest}`);
  later();
  mirror.docker.fail({}, { status: 500 });
  const path = "/v2/library/demo/manifests/bottle";
  const brew = { headers: { "User-Agent": "Homebrew/4.6", Authorization: "Bearer QQ==" } };
  expect(digestOf(await mirror.request(path, brew))).toEqual([200, multi.target.digest]);
  expect((await mirror.request(path, DOCKER)).status).toBe(503);
});
