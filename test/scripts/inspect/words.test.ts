/** What inspect says of artifacts, of layers' commands, of sizes, and of what a mirror holds. */
import { expect, test } from "vitest";
import { isStored } from "../../../scripts/image/cache-status.ts";
import { kindOf, madeBy, predicates } from "../../../scripts/inspect/kinds.ts";
import { sizesOf } from "../../../scripts/inspect/sizes.ts";
import { descriptor, platform } from "../support/images.ts";

test.each([
  ["Portolan; hit; detail=store", true],
  ["Portolan; fwd=uri-miss; fwd-status=200; stored; detail=upstream", false],
  ["Portolan; hit; detail=store, edge; fwd=miss", true],
  ["Portolan; fwd=stale; detail=hit", false],
  [null, null],
])("Cache-Status %s means stored: %s", (value, stored) => {
  expect(isStored(new Headers(value === null ? {} : { "cache-status": value }))).toBe(stored);
});

test.each([
  ["application/vnd.dev.cosign.artifact.sig.v1+json", "signature (cosign)"],
  ["application/vnd.cncf.notary.signature", "signature (notation)"],
  ["application/spdx+json", "SBOM (SPDX)"],
  ["application/vnd.cyclonedx+json", "SBOM (CycloneDX)"],
  ["application/vnd.example.thing", "application/vnd.example.thing"],
])("%s is: %s", (artifactType, kind) => {
  expect(kindOf({ ...descriptor("artifact"), artifactType })).toBe(kind);
});

test("BuildKit's attestation says what it attests", () => {
  const part = (type: string) => ({
    ...descriptor(type),
    annotations: { "in-toto.io/predicate-type": type },
  });
  const parts = [part("https://spdx.dev/Document"), part("https://slsa.dev/provenance/v0.2")];
  expect(predicates(parts)).toBe("SBOM (SPDX), provenance (SLSA)");
});

test("commands stand for the layers that they made, without what builders write around them", () => {
  const history = [
    { created_by: "/bin/sh -c #(nop) ADD file:abc in / " },
    { created_by: "ENV A=b", empty_layer: true },
    { created_by: "RUN /bin/sh -c apk add curl # buildkit" },
    {},
  ];
  const config = new TextEncoder().encode(JSON.stringify({ history }));
  expect(madeBy(config)).toEqual(["ADD file:abc in /", "RUN /bin/sh -c apk add curl", null]);
  expect(madeBy(null)).toEqual([]);
});

test("what platforms share is in the size of each, and once in that of all", () => {
  const sizes = sizesOf([platform("linux/amd64", "new"), platform("linux/arm64", "new")]);
  // Each has a manifest, a config and two layers of 1000 bytes, of which one is common.
  expect(sizes).toEqual({
    platforms: [
      { name: "linux/amd64", total: 4000, shared: 1000 },
      { name: "linux/arm64", total: 4000, shared: 1000 },
    ],
    total: 7000,
  });
});
