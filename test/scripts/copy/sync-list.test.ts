import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { type Defaults, parseList } from "../../../scripts/copy/sync-list.ts";

const DEFAULTS: Defaults = { platform: null, referrers: false };

function yaml(text: string, defaults = DEFAULTS) {
  return parseList(text, "images.yaml", defaults);
}

test("a text has a source and a target on each line, and remarks", () => {
  const text = `
# our mirror
alpine:3.20 registry.example.com/alpine:3.20

ghcr.io/owner/image:1.*\t127.0.0.1:5000/mirror/   # all of them
quay.io/owner/image@sha256:abc 127.0.0.1:5000/x
`;
  expect(parseList(text, "images.txt", DEFAULTS)).toMatchObject([
    {
      where: "line 3",
      registry: "docker.io",
      repository: "library/alpine",
      tags: ["3.20"],
      to: "registry.example.com/alpine:3.20",
    },
    {
      where: "line 5",
      registry: "ghcr.io",
      repository: "owner/image",
      tags: ["1.*"],
      to: "127.0.0.1:5000/mirror/",
    },
    { where: "line 6", registry: "quay.io", tags: [], digest: "sha256:abc" },
  ]);
});

test("a YAML list says for all what its images don't say themselves", () => {
  const entries = yaml(`
to: registry.example.com/mirror/
platform: linux/amd64
images:
  - alpine
  - from: ghcr.io/owner/image
    to: registry.example.com/owner/image
    tags: ["1.*", latest]
    exclude: "*-rc*"
    newest: 5
    platform: all
    referrers: true
`);
  expect(entries).toEqual([
    {
      ...{
        where: "images[0]",
        registry: "docker.io",
        repository: "library/alpine",
        tags: ["latest"],
        digest: null,
      },
      ...{
        exclude: [],
        newest: null,
        to: "registry.example.com/mirror/",
        platform: "linux/amd64",
        referrers: false,
      },
    },
    {
      ...{
        where: "images[1]",
        registry: "ghcr.io",
        repository: "owner/image",
        tags: ["1.*", "latest"],
        digest: null,
      },
      ...{
        exclude: ["*-rc*"],
        newest: 5,
        to: "registry.example.com/owner/image",
        platform: null,
        referrers: true,
      },
    },
  ]);
});

test("what neither says comes from the command line", () => {
  const [entry] = yaml("images: [{ from: alpine, to: x/ }]", { platform: "linux/arm64", referrers: true });
  expect(entry).toMatchObject({ platform: "linux/arm64", referrers: true });
});

test("the lists in the documentation can be read", async () => {
  const page = await readFile(new URL("../../../docs/copy.md", import.meta.url), "utf8");
  const [, list = ""] = /```yaml\n(.*?)```/s.exec(page) ?? [];
  expect(yaml(list).map(({ repository, tags, to }) => [repository, tags, to])).toEqual([
    ["library/alpine", ["3.20"], "registry.example.com/mirror/"],
    ["owner/image", ["1.*", "latest"], "registry.example.com/owner/image"],
    ["project/*", ["/^v\\d+$/"], "registry.example.com/mirror/"],
  ]);
  const [, text = ""] = /```text\n(.*?)```/s.exec(page) ?? [];
  expect(parseList(text, "images.txt", DEFAULTS)).toHaveLength(2);
});

describe("what is wrong with a list is reported, and where", () => {
  test.each([
    ["images: [", /it isn't YAML/],
    ["", /it must have images|images is missing/],
    ["to: x/", /images is missing/],
    ["images: []", /it names no images/],
    ["images: [alpine]", /images\[0\]: .*docker|images\[0\]: alpine has no to/],
    ["images: [{ to: x/ }]", /images\[0\]\.from is missing/],
    ["images: [{ from: alpine, to: x/, tag: 1 }]", /images\[0\]\.tag is nothing that is known here/],
    ["images: [{ from: alpine, to: x/, newest: 1.5 }]", /images\[0\]\.newest must be whole/],
    [
      "images: [{ from: alpine, to: x/, platform: amd64 }]",
      /images\[0\]\.platform must be all, or such as linux\/amd64/,
    ],
    ["images: [{ from: 'alpine:1', to: x/, tags: ['2'] }]", /images\[0\]: alpine:1 has a tag/],
    [
      "images: [{ from: alpine, to: x/, tags: 1.10 }]",
      /images\[0\]\.tags must be .*: 1\.1 is a number in YAML, .*quotes/,
    ],
    [
      "images: [{ from: alpine, to: x/, tags: [edge, 3] }]",
      /images\[0\]\.tags.*: 3 is a number in YAML, .*quotes/,
    ],
    [
      "images: [{ from: alpine, to: x/, exclude: [true] }]",
      /images\[0\]\.exclude.*: true is a boolean in YAML/,
    ],
    ["images: [{ from: alpine, to: 5000 }]", /images\[0\]\.to must be text: 5000 is a number in YAML/],
    ["images: [{ from: alpine, to: x/, tags: ['/(/'] }]", /images\[0\]: \/\(\/ is no regular expression/],
    ["images: [{ from: 'ghcr.io/owner/*', to: x/y }]", /images\[0\]: .* end to with \//],
    ["images: [{ from: 'https://ghcr.io/owner/image', to: x/y }]", /images\[0\]: .*no scheme/],
  ])("%s", (text, message) => {
    expect(() => yaml(text)).toThrow(message);
  });

  test("in a text too", () => {
    expect(() => parseList("alpine x/\nbusybox", "list", DEFAULTS)).toThrow(
      /line 2: it must have a source and a target/,
    );
  });
});

test.each([
  ["harbor.example.com//^(?:a|b):?x$/", "/^(?:a|b):?x$/", ["latest"]],
  ["harbor.example.com//^(?:a|b)$/:1.*", "/^(?:a|b)$/", ["1.*"]],
  ["harbor.example.com//^p/(?:a|b)$/:/^v\\d$/", "/^p/(?:a|b)$/", ["/^v\\d$/"]],
])("%s has a regular expression as its repository, colons and all", (from, repository, tags) => {
  expect(parseList(`${from} 127.0.0.1:5000/mirror/`, "images.txt", DEFAULTS)).toMatchObject([
    { registry: "harbor.example.com", repository, tags },
  ]);
});
