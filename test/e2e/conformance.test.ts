// The OCI conformance suite of the distribution specification: everything against hosted repositories, and its pull workflow
// against a mirror of them. CONFORMANCE names its program; .ci/run builds it.
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RunningMirror } from "../../scripts/local/mirror.ts";
import { type HostedPlace, hostedPlace } from "./support/hosted.ts";
import { run } from "./support/process.ts";

const { CONFORMANCE = "" } = process.env;
const SUITE_DEADLINE = 170_000;
/** What the specification leaves to a registry, and the suite leaves off by default. */
const OPTIONAL = {
  OCI_API_BLOBS_UPLOAD_CANCEL: "true",
  OCI_API_BLOBS_DIGEST_HEADER: "true",
  OCI_API_MANIFESTS_DIGEST_HEADER: "true",
  OCI_API_MANIFESTS_TAG_PARAM: "true",
  OCI_DATA_SPARSE: "true",
};

/** A mirror takes neither pushes nor deletions. */
const READ_ONLY = Object.fromEntries(
  [
    "PUSH",
    "BLOBS_DELETE",
    "BLOBS_ATOMIC",
    "MANIFESTS_DELETE",
    "MANIFESTS_ATOMIC",
    "TAGS_DELETE",
    "TAGS_ATOMIC",
  ].map((name) => [`OCI_API_${name}`, "false"]),
);

describe.skipIf(CONFORMANCE === "")("the conformance suite", () => {
  let place: HostedPlace;
  let hosted: RunningMirror;
  let mirror: RunningMirror;

  beforeAll(async () => {
    place = await hostedPlace("conformance");
    hosted = await place.start("hosted", {}, { HOSTED_SPARSE: "true" });
    mirror = await place.start(
      "mirror",
      { "local.test": [`${hosted.url}/hosted`] },
      { HOSTED_SPARSE: "true" },
    );
  });
  afterAll(() => place?.stop());

  /** @returns the summary's figures by their names. */
  async function suite({ url }: RunningMirror, repositories: string, more: Record<string, string>) {
    // Its exit code says less than its figures: without pushes it fails while it writes its report, after it has printed them.
    const output = await run(["sh", "-c", '"$1"; true', "sh", CONFORMANCE], {
      deadline: SUITE_DEADLINE,
      environment: {
        OCI_REGISTRY: new URL(url).host,
        OCI_TLS: "disabled",
        OCI_VERSION: "1.1",
        OCI_RESULTS_DIR: join(place.folder, "results"),
        OCI_REPO1: `${repositories}/one`,
        OCI_REPO2: `${repositories}/two`,
        ...more,
      },
    });
    return Object.fromEntries(
      [...output.matchAll(/^ {2}(\w+)\.*: +(\d+)$/gm)].map(([, name, count]) => [name, Number(count)]),
    );
  }

  test("passes completely on hosted repositories, with all its optional switches", async () => {
    const figures = await suite(hosted, "hosted/conformance", OPTIONAL);
    expect(figures).toMatchObject({ FAIL: 0, Error: 0, Skip: 0, Disabled: 0 });
    expect(figures.Pass).toBeGreaterThan(1000);
  });

  test("passes its pull workflow on a mirror of a registry", async () => {
    const repository = `${hosted.url}/v2/hosted/pulled/one`;
    const push = async (bytes: Uint8Array<ArrayBuffer>) => {
      const digest = await digestOf(bytes);
      await fetch(`${repository}/blobs/uploads/?digest=${digest}`, { method: "POST", body: bytes });
      return { digest, size: bytes.byteLength };
    };
    const encode = (value: object) => new TextEncoder().encode(JSON.stringify(value));
    const type = "application/vnd.oci.image.manifest.v1+json";
    const config = await push(encode({ os: "linux", architecture: "amd64" }));
    const layer = await push(crypto.getRandomValues(new Uint8Array(20_000)));
    const put = async (reference: string, manifest: object) => {
      const body = encode(manifest);
      const headers = { "Content-Type": type };
      const { status } = await fetch(`${repository}/manifests/${reference}`, {
        method: "PUT",
        body,
        headers,
      });
      expect(status).toBe(201);
      return { mediaType: type, digest: await digestOf(body), size: body.byteLength };
    };
    const image = {
      schemaVersion: 2,
      mediaType: type,
      config: { mediaType: "application/vnd.oci.image.config.v1+json", ...config },
      layers: [{ mediaType: "application/vnd.oci.image.layer.v1.tar", ...layer }],
    };
    const subject = await put("1.0", image);
    await put("signature", { ...image, subject, artifactType: "application/vnd.test" });

    const figures = await suite(mirror, "local.test/pulled", {
      ...READ_ONLY,
      OCI_RO_DATA_TAGS: "1.0 signature",
      OCI_RO_DATA_MANIFESTS: subject.digest,
      OCI_RO_DATA_BLOBS: `${config.digest} ${layer.digest}`,
      OCI_RO_DATA_REFERRERS: subject.digest,
    });
    expect(figures).toMatchObject({ FAIL: 0, Error: 0 });
    expect(figures.Pass).toBeGreaterThan(10);
  });
});

async function digestOf(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const hash = Buffer.from(await crypto.subtle.digest("SHA-256", bytes)).toString("hex");
  return `sha256:${hash}`;
}
