// What no registry can have: names, tags and digests that must be refused before anything is looked up or dialled.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readConfig } from "../src/config.ts";
import { parseDigest } from "../src/oci/digest.ts";
import { RegistryError } from "../src/oci/errors.ts";
import { isRepository, isTag } from "../src/oci/names.ts";
import { type Routed, route } from "../src/route.ts";

const HEX = "a1".repeat(32);
const config = readConfig({ DOMAIN: "example.com" });

function ask(pathAndQuery: string): Routed {
  return route(new URL(`https://mirror.example.com${pathAndQuery}`), config);
}

function refusal(pathAndQuery: string): RegistryError {
  try {
    ask(pathAndQuery);
  } catch (error) {
    if (error instanceof RegistryError) return error;
    throw error;
  }
  throw new Error(`${pathAndQuery} was routed`);
}

describe("a name that can't be one is refused", () => {
  test.each([
    ["an escaped slash", "o%2Fi"],
    ["an escaped slash in lower case", "o%2fi"],
    ["an escaped way up with its slashes", "o/x%2F..%2Fi"],
    ["a way up escaped twice", "o/%252e%252e/i"],
    ["a component that only begins like the way up", "o/..%20/i"],
    ["two slashes", "o//i"],
    ["a slash before", "/o/i"],
    ["an escaped backslash", "o%5Ci"],
    ["upper case", "Owner/Image"],
    ["letters from elsewhere", "o/ä"],
    ["look-alikes of ASCII", "o/іmage"],
    ["NUL", "o/i%00"],
    ["a line break", "o/i%0d%0aX:%20y"],
    ["a space", "o/i%20i"],
    ["a separator at the end", "o/i-"],
    ["an underscore before", "_o/i"],
    ["three dots", "o/...i"],
    ["a colon", "o/i:1"],
    ["256 characters", "a".repeat(256)],
    ["a percent sign on its own", "o/%"],
  ])("%s", (_, name) => {
    for (const place of [`/v2/${name}`, `/v2/ghcr.io/${name}`, `/ghcr.io/v2/${name}`]) {
      expect(refusal(`${place}/manifests/1`)).toMatchObject({ status: 400, code: "NAME_INVALID" });
    }
  });

  test("of 255 characters with its upstream's is the longest", () => {
    const longest = "a".repeat(255 - "ghcr.io/".length);
    expect(ask(`/v2/ghcr.io/${longest}/manifests/1`).kind).toBe("target");
    expect(refusal(`/v2/ghcr.io/${longest}a/manifests/1`).code).toBe("NAME_INVALID");
  });

  test("and library/ counts", () => {
    const longest = "a".repeat(255 - "docker.io/library/".length);
    expect(ask(`/v2/${longest}/manifests/1`).kind).toBe("target");
    expect(refusal(`/v2/${longest}a/manifests/1`).code).toBe("NAME_INVALID");
  });

  test("the way up is gone before routing, so it can only lead to what could be requested outright", () => {
    for (const up of ["..", "%2e%2e", ".%2E"]) {
      const routed = ask(`/v2/ghcr.io/${up}/quay.io/o/i/manifests/1`);
      expect(routed).toMatchObject({ target: { upstream: { name: "quay.io" }, repository: "o/i" } });
    }
  });
});

describe("a tag that can't be one is refused", () => {
  test.each([
    ["129 characters", "a".repeat(129)],
    ["a dot before", ".a"],
    ["an escaped slash", "a%2Fb"],
    ["NUL", "a%00"],
    ["Unicode", "ä"],
    ["a plus", "1.0+build"],
  ])("%s", (_, tag) => {
    expect(refusal(`/v2/o/i/manifests/${tag}`)).toMatchObject({ status: 404, code: "MANIFEST_UNKNOWN" });
  });

  test("128 characters are none too many", () => {
    expect(ask(`/v2/o/i/manifests/${"A".repeat(128)}`).kind).toBe("target");
  });
});

describe("a digest that can't be checked is refused", () => {
  test.each([
    ["short", `sha256:${HEX.slice(1)}`],
    ["long", `sha256:${HEX}a`],
    ["sha512 with sha256's length", `sha512:${HEX}`],
    ["unknown", `md5:${"a".repeat(32)}`],
    ["sha384, which isn't registered", `sha384:${"a".repeat(96)}`],
    ["upper case", `sha256:${HEX.toUpperCase()}`],
    ["upper-case algorithm", `SHA256:${HEX}`],
    ["two colons", `sha256::${HEX}`],
    ["an escaped line break", `sha256:${HEX}%0a`],
    ["empty", "sha256:"],
  ])("%s", (_, digest) => {
    for (const kind of ["manifests", "blobs", "referrers"]) {
      expect(refusal(`/v2/o/i/${kind}/${digest}`)).toMatchObject({ status: 400, code: "DIGEST_INVALID" });
    }
  });

  test("a blob or what refers to it can't be requested by tag", () => {
    for (const kind of ["blobs", "referrers"]) {
      expect(refusal(`/v2/o/i/${kind}/latest`)).toMatchObject({ status: 400, code: "DIGEST_INVALID" });
    }
  });
});

describe("what a client sent comes back fit to be printed", () => {
  // Longer than any message with all the upstreams' names and 80 characters of the client's own.
  const bound = 200 + config.upstreamNames.join(", ").length;

  test.each([
    ["a name", (text: string) => `/v2/o/${text}/manifests/1`],
    ["an unknown upstream", (text: string) => `/v2/a.b${text}/o/manifests/1`],
    ["an unknown ns", (text: string) => `/v2/o/i/manifests/1?ns=${text}`],
    ["a B prefix", (text: string) => `/${text}/v2/o/i/manifests/1`],
    ["a tag", (text: string) => `/v2/o/i/manifests/!${text}`],
    ["a digest", (text: string) => `/v2/o/i/blobs/${text}`],
  ])("%s", (_, place) => {
    for (const text of ["%1b[31m%0d%0a%00%e2%80%ae", "\u202eä\u0007", "x".repeat(5000)]) {
      const { message } = refusal(place(text));
      expect(message).toMatch(/^[\x20-\x7e…]+$/);
      expect(message.length).toBeLessThan(bound);
    }
  });
});

describe("whatever is requested", () => {
  const pieces = fc.oneof(
    fc.constantFrom(
      ...["/", "//", "v2", "/v2/", "manifests", "blobs", "tags/list", "referrers", "latest", `sha256:${HEX}`],
      ...["ghcr.io", "ghcr-io", "us-docker.pkg.dev", ".pkg.dev", "xn--a", "*.gcr.io", "docker.io", "library"],
      ...["..", "%2e%2e", "%2F", "%3A", "%00", "%", ":", "@", "\\", "?ns=", "?", "#", "&ns=quay.io", "_"],
      ...["__proto__", "constructor", "ä", "\u0000", "a".repeat(300), "A", ".", "-", "localhost:5000"],
    ),
    fc.string({ unit: "binary", maxLength: 8 }),
  );
  const place = fc.array(pieces, { maxLength: 12 }).map((parts) => `/${parts.join("")}`);
  const request = fc.oneof(
    place,
    place.map((rest) => `/v2${rest}/manifests/latest`),
    fc.array(pieces, { maxLength: 4 }).map((parts) => `/v2/${parts.join("/")}/blobs/sha256:${HEX}`),
    fc.array(pieces, { maxLength: 4 }).map((parts) => `/v2/o/i/manifests/1?ns=${parts.join("")}`),
  );
  const host = fc.constantFrom("mirror.example.com", "ghcr.example.com", "a.b.example.com", "127.0.0.1:8787");

  test("nothing but a RegistryError is thrown, and what is routed is valid and goes to a mirrored upstream", () => {
    fc.assert(
      fc.property(host, request, (name, text) => {
        const url = URL.parse(`https://${name}${text}`);
        if (url === null) return;
        let routed: Routed;
        try {
          routed = route(url, config);
        } catch (error) {
          expect(error).toBeInstanceOf(RegistryError);
          expect((error as RegistryError).message).toMatch(/^[\x20-\x7e…]+$/);
          return;
        }
        if (routed.kind !== "target") return;
        const { upstream, repository, path, resource } = routed.target;
        expect(isRepository(repository)).toBe(true);
        const family = upstream.name.replace(/^[a-z0-9][a-z0-9-]*/, "*");
        expect(
          config.upstreamNames.filter((known) => known === upstream.name || known === family),
        ).toHaveLength(1);
        if (config.upstreamNames.includes(family) && !config.upstreamNames.includes(upstream.name)) {
          expect(upstream.endpoints.map(({ host }) => host)).toEqual([upstream.name]);
        }
        expect(path).toMatch(/^\/[\x21-\x7e]+$/);
        if ("digest" in resource) expect(parseDigest(resource.digest)).toBe(resource.digest);
        if (resource.kind === "manifest" && "tag" in resource.reference) {
          expect(isTag(resource.reference.tag)).toBe(true);
        }
      }),
      { numRuns: 3000 },
    );
  });

  test("it is decided in linear time, however long", () => {
    for (const part of ["manifests/", "/manifests/", "tags/list/", "a/", "-", "%3A", "ghcr.io/"]) {
      const url = new URL(`https://mirror.example.com/v2/${part.repeat(20_000)}`);
      expect(() => route(url, config)).toThrow(RegistryError);
    }
  });
});
