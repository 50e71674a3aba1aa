import { describe, expect, test } from "vitest";
import {
  DOCKER_MANIFEST,
  DOCKER_MANIFEST_LIST,
  essence,
  isIndexType,
  isManifestType,
  isSchema1Type,
  MANIFEST_ACCEPT,
  OCI_ARTIFACT_MANIFEST,
  OCI_INDEX,
  OCI_MANIFEST,
} from "../../src/oci/mediatypes.ts";

const schema1 = "application/vnd.docker.distribution.manifest.v1+json";
const signedSchema1 = "application/vnd.docker.distribution.manifest.v1+prettyjws";

describe("media types", () => {
  test("requested are all manifest types there are, and never schema 1", () => {
    const requested = MANIFEST_ACCEPT.split(", ");
    expect(requested).toEqual([
      OCI_INDEX,
      DOCKER_MANIFEST_LIST,
      OCI_MANIFEST,
      DOCKER_MANIFEST,
      OCI_ARTIFACT_MANIFEST,
    ]);
    expect(requested.every(isManifestType)).toBe(true);
    expect(requested.some(isSchema1Type)).toBe(false);
  });

  test("of indexes are distinguished from those of images", () => {
    expect([OCI_INDEX, DOCKER_MANIFEST_LIST].every(isIndexType)).toBe(true);
    expect([OCI_MANIFEST, DOCKER_MANIFEST, OCI_ARTIFACT_MANIFEST].some(isIndexType)).toBe(false);
  });

  test("of schema 1 are recognised, but aren't manifests to serve", () => {
    expect([schema1, signedSchema1].every(isSchema1Type)).toBe(true);
    expect([schema1, signedSchema1].some(isManifestType)).toBe(false);
  });

  test("of anything else are no manifest's", () => {
    expect(["", "application/json", "text/html", `${OCI_INDEX}x`].some(isManifestType)).toBe(false);
  });

  test("are compared without parameters, case and space", () => {
    expect(essence(null)).toBe("");
    expect(essence("")).toBe("");
    expect(essence(` ${OCI_INDEX.toUpperCase()} ; charset=utf-8; q="a;b"`)).toBe(OCI_INDEX);
  });
});
