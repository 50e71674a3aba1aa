import { expect, test } from "vitest";
import { formatLocation, parseLocation } from "../../../scripts/archive/location.ts";
import { completeSource, nameTarget } from "../../../scripts/archive/names.ts";

const ID = `sha256:${"0123456789abcdef".repeat(4)}`;

test.each([
  ["oci:images", "oci:images"],
  ["oci:/var/images:1.0", "oci:/var/images:1.0"],
  ["oci-archive:a.tar:docker.io/library/alpine:3.20", "oci-archive:a.tar:docker.io/library/alpine:3.20"],
  ["oci-archive:a.tar:", "oci-archive:a.tar"],
  ["docker-archive:a.tar", "docker-archive:a.tar"],
  ["docker-archive:a.tar:alpine:3.20", "docker-archive:a.tar:docker.io/library/alpine:3.20"],
  ["docker-daemon:alpine", "docker-daemon:docker.io/library/alpine"],
  [`docker-daemon:${ID}`, `docker-daemon:${ID}`],
  // An image of this name on a registry.
  ["docker.io/library/oci:1.0", "docker.io/library/oci:1.0"],
  ["ocicl:1.0", "docker.io/library/ocicl:1.0"],
])("%s is %s", (text, expected) => {
  expect(formatLocation(parseLocation(text))).toBe(expected);
});

test.each([
  ["oci:", /names no file/],
  ["oci-archive::1.0", /names no file/],
  ["oci:images:a b", /can't be an image's name/],
  ["oci:images:../x", /can't be an image's name/],
  ["docker-archive:a.tar:Alpine", /is no image reference/],
  [`docker-archive:a.tar:alpine@${ID}`, /by tags, not by digests/],
  ["docker-daemon:", /is no image reference/],
])("%s is refused", (text, why) => {
  expect(() => parseLocation(text)).toThrow(why);
});

test.each([
  ["alpine", "example.com/alpine", "example.com/alpine:latest", "latest"],
  ["alpine:3.20", "example.com/alpine", "example.com/alpine:3.20", "3.20"],
  [`alpine@${ID}`, "example.com/alpine", "example.com/alpine", null],
  ["alpine:3.20", "oci:images", "oci:images:3.20", "3.20"],
  ["alpine:3.20", "oci:images:other", "oci:images:other", "other"],
  ["oci:images:3.20", "example.com/alpine", "example.com/alpine:3.20", "3.20"],
  ["oci:images:example.org/alpine:3.20", "example.com/alpine", "example.com/alpine:3.20", "3.20"],
  ["oci:images", "example.com/alpine", "example.com/alpine:latest", "latest"],
  ["oci:images", "oci:others", "oci:others", null],
  ["alpine:3.20", "docker-archive:a.tar", "docker-archive:a.tar:docker.io/library/alpine:3.20", "3.20"],
  [`alpine:3.20@${ID}`, "docker-archive:a.tar", "docker-archive:a.tar:docker.io/library/alpine:3.20", "3.20"],
  ["oci:images", "docker-archive:a.tar", "docker-archive:a.tar", null],
  ["oci:images:3.20", "docker-daemon:own", "docker-daemon:docker.io/library/own:3.20", "3.20"],
  ["docker-daemon:alpine", "example.com/alpine", "example.com/alpine:latest", "latest"],
])("%s to %s is %s", (from, to, expected, tag) => {
  const named = nameTarget(completeSource(parseLocation(from)), parseLocation(to));
  expect(formatLocation(named.location)).toBe(expected);
  expect(named.tag).toBe(tag);
});

test.each([`example.com/alpine@${ID}`, `docker-daemon:${ID}`])("%s is no target", (to) => {
  expect(() => nameTarget(parseLocation("alpine:3.20"), parseLocation(to))).toThrow(/takes/);
});
