/** Which names are of one platform, as containerd has it. */
import { expect, test } from "vitest";
import { isSameEntry } from "../../scripts/image/image.ts";
import { isSamePlatform, normalPlatform } from "../../src/oci/platform.ts";

test.each([
  ["linux/arm64/v8", "linux/arm64"],
  ["linux/arm64/8", "linux/arm64"],
  ["linux/aarch64", "linux/arm64"],
  ["linux/arm64/v8.0", "linux/arm64"],
  ["linux/arm64/v9", "linux/arm64/v9"],
  ["linux/arm", "linux/arm/v7"],
  ["linux/armhf", "linux/arm/v7"],
  ["linux/armel", "linux/arm/v6"],
  ["linux/arm/6", "linux/arm/v6"],
  ["linux/amd64/v1", "linux/amd64"],
  ["linux/x86_64", "linux/amd64"],
  ["linux/x86-64", "linux/amd64"],
  ["linux/amd64/v3", "linux/amd64/v3"],
  ["linux/i386", "linux/386"],
  ["Linux/AMD64", "linux/amd64"],
  ["macos/arm64", "darwin/arm64"],
  ["linux/ppc64le", "linux/ppc64le"],
  ["image", "image/"],
])("%s is %s", (name, normal) => {
  expect(normalPlatform(name)).toBe(normal);
});

test.each([
  ["linux/amd64", "linux/amd64/v2"],
  ["linux/arm", "linux/arm/v6"],
  ["linux/arm", "linux/arm64"],
])("%s isn't %s", (one, other) => {
  expect(isSamePlatform(one, other)).toBe(false);
});

test("an entry's platform is compared without what tells it from others, which is compared too", () => {
  expect(isSameEntry("linux/arm64/v8, attestation", "linux/arm64, attestation")).toBe(true);
  expect(isSameEntry("linux/arm64, attestation", "linux/arm64")).toBe(false);
  expect(isSameEntry("windows/amd64 (2)", "windows/amd64")).toBe(false);
});
