import { describe, expect, test } from "vitest";
import { formatReference, parseReference } from "../../../scripts/registry/reference.ts";

const HEX = "a".repeat(64);

describe("a reference is made whole as docker does", () => {
  test.each([
    ["alpine", "docker.io/library/alpine:latest"],
    ["alpine:3.20", "docker.io/library/alpine:3.20"],
    ["owner/image", "docker.io/owner/image:latest"],
    ["index.docker.io/alpine", "docker.io/library/alpine:latest"],
    ["docker.io/owner/image:1", "docker.io/owner/image:1"],
    ["ghcr.io/owner/image", "ghcr.io/owner/image:latest"],
    ["localhost/image", "localhost/image:latest"],
    ["127.0.0.1:5000/image:1", "127.0.0.1:5000/image:1"],
    ["[::1]:5000/image", "[::1]:5000/image:latest"],
    ["Host/image", "Host/image:latest"],
    [`alpine@sha256:${HEX}`, `docker.io/library/alpine@sha256:${HEX}`],
    [`alpine:3.20@sha256:${HEX}`, `docker.io/library/alpine:3.20@sha256:${HEX}`],
    ["127.0.0.1:8787/ghcr.io/owner/image", "127.0.0.1:8787/ghcr.io/owner/image:latest"],
  ])("%s", (text, whole) => {
    expect(formatReference(parseReference(text))).toBe(whole);
    expect(parseReference(whole)).toEqual(parseReference(text));
  });
});

describe("what is wrong with a reference is reported", () => {
  test.each([
    ["docker://alpine", /leave out docker:\/\//],
    ["https://ghcr.io/owner/image", /leave out https:\/\//],
    ["Alpine", /Alpine can't be a repository/],
    ["ghcr.io/", /the repository is missing/],
    ["", /the repository is missing/],
    ["alpine:", /a tag has/],
    ["alpine:a/b", /alpine:a is no host/],
    ["alpine@sha256:12", /after @ comes sha256/],
    ["-.io/image", /is no host/],
  ])("%s", (text, message) => {
    expect(() => parseReference(text)).toThrow(message);
  });
});
