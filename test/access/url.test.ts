import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { keysIn, takeKey, withoutKey } from "../../src/access/url.ts";

const KEY = "abcdefghijklmnopqrstuvwxyz234567";

function taken(url: string, domain: string | null = "example.com") {
  const { url: rest, key, prefix } = takeKey(new URL(url), domain);
  return { url: rest.href, key, prefix };
}

describe("a key in the URL", () => {
  test.each([
    [`https://docker-${KEY}.example.com/v2/`, "https://docker.example.com/v2/", ""],
    [
      `https://registry-k8s-io-${KEY}.example.com/v2/a/tags/list?n=1`,
      "https://registry-k8s-io.example.com/v2/a/tags/list?n=1",
      "",
    ],
    [
      `https://mirror.example.com/${KEY}/docker.io/v2/a/tags/list`,
      "https://mirror.example.com/docker.io/v2/a/tags/list",
      `/${KEY}`,
    ],
    [`https://mirror.example.com/${KEY}/v2/`, "https://mirror.example.com/v2/", `/${KEY}`],
  ])("is taken out of %s", (sent, url, prefix) => {
    expect(taken(sent)).toEqual({ url, key: KEY, prefix });
  });

  test.each([
    `https://docker-${KEY.slice(1)}.example.com/v2/`,
    `https://${KEY}.example.com/v2/`,
    `https://docker-${KEY}.a.example.org/v2/`,
    `https://mirror.example.com/v2/${KEY}/tags/list`,
    `https://mirror.example.com/${KEY}`,
    `https://mirror.example.com/${KEY}a/v2/`,
    `https://mirror.example.com/%61${KEY.slice(1)}/v2/`,
  ])("isn't seen where there is none: %s", (sent) => {
    expect(taken(sent)).toEqual({ url: sent, key: null, prefix: "" });
  });

  test("in the host is ignored without a DOMAIN", () => {
    expect(taken(`https://docker-${KEY}.example.com/v2/`, null).key).toBeNull();
  });

  test("in the host takes precedence over the path, and both are removed", () => {
    const other = "z".repeat(32);
    expect(taken(`https://docker-${KEY}.example.com/${other}/v2/`)).toEqual({
      url: "https://docker.example.com/v2/",
      key: KEY,
      prefix: `/${other}`,
    });
  });
});

describe("a path for the log", () => {
  test("contains no key, whatever follows it", () => {
    fc.assert(
      fc.property(fc.webPath(), fc.webQueryParameters(), (path, query) => {
        expect(withoutKey(`/${KEY}${path}?${query}`)).not.toContain(KEY);
        expect(withoutKey(`/${KEY}?${query}`)).toBe(`/<key>?${query}`);
      }),
    );
  });

  test.each([
    [`service=docker-${KEY}.example.com`, "service=docker-<key>.example.com"],
    [`scope=x&service=docker-${KEY}.example.com%3A8787`, "scope=x&service=docker-<key>.example.com%3A8787"],
    [`next=https%3A%2f%2f${KEY}%20`, "next=https%3A%2f%2f<key>%20"],
    [`password=${KEY}`, "password=<key>"],
  ])("has none in its query either: %s", (query, shown) => {
    expect(withoutKey(`/_/token?${query}`)).toBe(`/_/token?${shown}`);
  });

  test("is otherwise unchanged", () => {
    for (const path of [
      "/",
      "/v2/",
      "/v2/library/alpine/manifests/latest?ns=docker.io",
      `/v2/library/alpine/blobs/sha256:${"ab".repeat(32)}`,
      `/v2/library/alpine/blobs/sha256%3A${"ab".repeat(32)}`,
      `/v2/library/alpine/blobs/sha512:${"c2".repeat(64)}?n=1`,
      `/v2/library/alpine/blobs/sha512%3A${"c2".repeat(64)}`,
      "/v2/%0a%22/manifests/x?a=%0d%0a%2f%25",
    ]) {
      expect(withoutKey(path)).toBe(path);
    }
  });

  test.each([
    `/v2/${KEY}/tags/list`,
    `/docker.io/${KEY}/v2/a/tags/list`,
    `//${KEY}/v2/`,
    `/${KEY}/${KEY}/v2/`,
    `/${KEY.toUpperCase()}/v2/`,
    `/_/token?service=docker-${KEY}.example.com&scope=repository:a:pull`,
    `/_/token?service=docker.example.com&account=x%2F${KEY}%2F`,
    `/v2/a/tags/list?ns=${KEY}`,
    `/${KEY}docker.io/v2/a/manifests/latest`,
    `/docker.io${KEY}/v2/a/manifests/latest`,
    `/v2/${KEY}a/tags/list`,
    `/v2/a/tags/list?n=1&last=x${KEY}`,
    `/v2/a/blobs/${KEY}sha256:${"ab".repeat(32)}`,
    `/v2/a/blobs/sha256:${"ab".repeat(32)}${KEY}`,
    `/${[...KEY].map((letter) => `%${letter.charCodeAt(0).toString(16)}`).join("")}/v2/`,
    `/${[...KEY].map((letter) => `%2525${letter.charCodeAt(0).toString(16).toUpperCase()}`).join("")}/v2/`,
    `/x%61${KEY.slice(1)}`,
    `/x%${KEY}`,
  ])("has none either where none belongs: %s", (path) => {
    const shown = withoutKey(path);
    expect(shown).toContain("<key>");
    expect(shown.toLowerCase()).not.toContain(KEY);
    expect(decodeURIComponent(shown.replaceAll("%<", "<")).toLowerCase()).not.toContain(KEY);
  });
});

describe("a possible key", () => {
  test("is found joined to anything, escaped, or in upper case", () => {
    fc.assert(
      fc.property(
        fc.webSegment(),
        fc.webSegment(),
        fc.boolean(),
        fc.boolean(),
        (before, after, upper, escaped) => {
          const shown = upper ? KEY.toUpperCase() : KEY;
          const written = escaped ? shown.replace(/./g, (c) => `%${c.charCodeAt(0).toString(16)}`) : shown;
          expect(keysIn(`/v2/${before}${written}${after}/tags/list`)).toContain(KEY);
        },
      ),
    );
  });

  test("makes a URL of nothing else too long to examine", () => {
    expect(keysIn("a".repeat(32 + 511))).toHaveLength(512);
    expect(keysIn("a".repeat(32 + 512))).toBeNull();
    expect(keysIn(`/v2/library/alpine/blobs/sha512:${"c2".repeat(64)}`)).not.toBeNull();
  });
});
