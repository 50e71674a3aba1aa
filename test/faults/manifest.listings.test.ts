/** Listings that upstream lacks, doesn't filter, or pages in its own way. */
import { beforeEach, expect } from "vitest";
import { calls, expectRefused, useFaults } from "./support.ts";

const OCI_INDEX = "application/vnd.oci.image.index.v1+json";
const OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json";

const { mirror, demo, fault } = useFaults("listings");

beforeEach(() => {
  mirror.docker.settings.auth = "none";
});

const referrers = () => `/v2/library/demo/referrers/${demo.image.target.digest}`;

fault("referrers 404 fallback", "the fallback tag is read", async () => {
  mirror.docker.settings.referrers = "off";
  expect((await mirror.request(referrers())).json().manifests).toEqual([]);
  const signature = {
    mediaType: OCI_MANIFEST,
    digest: `sha256:${"0".repeat(64)}`,
    size: 10,
    artifactType: "a/signature",
  };
  const sbom = { ...signature, artifactType: "a/sbom" };
  const tag = demo.image.target.digest.replace(":", "-");
  const index = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [signature, sbom] };
  await mirror.docker.addManifest("library/demo", index, { tag });
  calls(mirror.docker);
  const all = await mirror.request(referrers());
  expect([all.status, all.headers.get("Content-Type")]).toEqual([200, OCI_INDEX]);
  expect(all.json().manifests).toEqual([signature, sbom]);
  expect(calls(mirror.docker)).toEqual(["GET referrers 404", "GET manifest 200"]);
  const filtered = await mirror.request(`${referrers()}?artifactType=a/sbom`);
  expect(filtered.json().manifests).toEqual([sbom]);
  expect(filtered.headers.get("OCI-Filters-Applied")).toBe("artifactType");
});

fault("referrers 404 fallback", "a failure isn't a 404: it is reported", async () => {
  for (const status of [500, 429]) {
    mirror.docker.fail({ kind: "referrers" }, { status }, 1);
    expectRefused(
      await mirror.request(referrers()),
      status === 429 ? 429 : 503,
      status === 429 ? "TOOMANYREQUESTS" : "UNAVAILABLE",
    );
  }
});

fault("filter not applied upstream", async () => {
  mirror.docker.settings.referrers = "no-filter";
  const subject = { digest: demo.image.target.digest, size: demo.image.target.size, mediaType: OCI_MANIFEST };
  for (const artifactType of ["a/signature", "a/sbom"]) {
    const manifest = { schemaVersion: 2, mediaType: OCI_MANIFEST, artifactType, subject, layers: [] };
    await mirror.docker.addManifest("library/demo", manifest);
  }
  const response = await mirror.request(`${referrers()}?artifactType=a/sbom`);
  expect(response.json().manifests).toEqual([expect.objectContaining({ artifactType: "a/sbom" })]);
  expect(response.headers.get("OCI-Filters-Applied")).toBe("artifactType");
  expect((await mirror.request(referrers())).json().manifests).toHaveLength(2);
});

for (const absoluteLinks of [false, true]) {
  fault(
    "Link to this mirror",
    absoluteLinks ? "where upstream's names its host" : "where upstream's is relative",
    async () => {
      Object.assign(mirror.docker.settings, { absoluteLinks, tagsPageSize: 1 });
      for (const tag of ["a", "b"]) mirror.docker.moveTag("library/demo", tag, demo.image.target.digest);
      for (const [path, next] of [
        ["/v2/library/demo/tags/list?n=1", "</v2/library/demo/tags/list?n=1&last=a>"],
        ["/v2/demo/tags/list?n=1", "</v2/demo/tags/list?n=1&last=a>"],
        ["/v2/docker.io/demo/tags/list?n=1", "</v2/docker.io/demo/tags/list?n=1&last=a>"],
        ["/docker.io/v2/demo/tags/list?n=1", "</docker.io/v2/demo/tags/list?n=1&last=a>"],
        [
          "/v2/library/demo/tags/list?n=1&ns=docker.io",
          "</v2/library/demo/tags/list?n=1&last=a&ns=docker.io>",
        ],
      ] as const) {
        const response = await mirror.request(path);
        expect(response.json().tags).toEqual(["a"]);
        expect(response.headers.get("Link")).toBe(`${next}; rel="next"`);
        // The link points to this mirror.
        const followed = await mirror.request(next.slice(1, -1));
        expect(followed.json().tags).toEqual(["b"]);
      }
    },
  );
}
