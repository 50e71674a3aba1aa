/** Which entries of an index are an image's platforms, and how they are called. */
import { expect, test } from "vitest";
import { blobsOf, entriesOf, isPlatform } from "../../../scripts/image/image.ts";
import { readConfig } from "../../../scripts/image/read-image.ts";
import { type Descriptor, readManifest } from "../../../src/oci/manifest.ts";
import { descriptor, digest, image } from "../support/images.ts";

const TYPE = "application/vnd.oci.image.manifest.v1+json";

function indexOf(...manifests: Descriptor[]) {
  const index = readManifest(new TextEncoder().encode(JSON.stringify({ schemaVersion: 2, manifests })));
  if (index === null) throw new Error("no index");
  return index;
}

const entry = (seed: string, more: Partial<Descriptor> = {}) => ({ ...descriptor(seed, TYPE), ...more });
const amd64 = entry("amd64", { platform: { os: "linux", architecture: "amd64" } });
const armV7 = entry("arm", { platform: { os: "linux", architecture: "arm", variant: "v7" } });
const attestation = entry("attestation", {
  platform: { os: "unknown", architecture: "unknown" },
  annotations: {
    "vnd.docker.reference.type": "attestation-manifest",
    "vnd.docker.reference.digest": digest("amd64"),
  },
});
const windows = (build: string) => entry(build, { platform: { os: "windows", architecture: "amd64" } });

const names = (wanted: string[], ...entries: Descriptor[]) =>
  entriesOf(indexOf(...entries), wanted).map(({ name }) => name);

test("platforms are named as users write them, attestations after the one that they attest", () => {
  expect(names([], amd64, armV7, attestation)).toEqual([
    ...["linux/amd64", "linux/arm/v7", "linux/amd64, attestation"],
  ]);
});

test("those of one name, as of Windows' builds, are distinguished by a number", () => {
  expect(names([], windows("ltsc2022"), windows("ltsc2025"))).toEqual(["windows/amd64", "windows/amd64 (2)"]);
  expect(names(["windows/amd64"], windows("ltsc2022"), windows("ltsc2025"))).toHaveLength(2);
});

test("a platform that is wanted brings its attestation, and no other variant", () => {
  expect(names(["linux/amd64"], amd64, armV7, attestation)).toEqual([
    ...["linux/amd64", "linux/amd64, attestation"],
  ]);
  const armV6 = entry("armv6", { platform: { os: "linux", architecture: "arm", variant: "v6" } });
  expect(names(["linux/arm"], amd64, armV6, armV7)).toEqual(["linux/arm/v7"]);
  const newer = entry("newer", { platform: { os: "linux", architecture: "amd64", variant: "v3" } });
  expect(names(["linux/amd64"], newer, amd64)).toEqual(["linux/amd64"]);
  expect(names(["linux/amd64/v3"], newer, amd64)).toEqual(["linux/amd64/v3"]);
  expect(isPlatform("linux/arm64", ["linux/arm"])).toBe(false);
});

test("a blob that platforms share is there once", () => {
  expect(blobsOf(image("new")).filter((blob) => blob.digest === digest("common"))).toHaveLength(1);
});

test.each([
  [
    '{"os":"linux","architecture":"arm","variant":"v7","created":"2026-03-01T00:00:00Z"}',
    "linux/arm/v7",
    true,
  ],
  [
    '{"os":"linux","architecture":"amd64","variant":"","created":"1970-01-01T00:00:00Z"}',
    "linux/amd64",
    false,
  ],
  ['{"os":"linux","architecture":"amd64","created":"0001-01-01T00:00:00Z"}', "linux/amd64", false],
  ["{}", null, false],
  ["no JSON", null, false],
])(
  "a config %s says its platform, and when it was made unless its builder meant to say nothing",
  (text, platform, isDated) => {
    const facts = readConfig(new TextEncoder().encode(text));
    expect(facts.platform).toBe(platform);
    expect(facts.made !== null).toBe(isDated);
  },
);
