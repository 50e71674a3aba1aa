/** Lists of public mirrors: what they may contain, and how a mistake in one is reported. */
import { describe, expect, test } from "vitest";
import {
  once,
  ownListPath,
  parseMirrorList,
  readPublicMirrors,
} from "../../../scripts/mirrors/mirror-list.ts";
import { REGISTRIES } from "../../../src/upstream/registries.ts";
import { page } from "../support/documentation.ts";

test("a list has registries, each with its mirrors, whose final slash doesn't count", () => {
  const text = `# mine
docker.io:
  - https://one.example.com/
  - http://192.168.1.10:5000   # at home
ghcr.io: [https://two.example.com/v2/ghcr.io]
127.0.0.1:5000: [https://three.example.com]
`;
  expect(parseMirrorList(text, "mine.yaml")).toEqual([
    { registry: "docker.io", url: "https://one.example.com" },
    { registry: "docker.io", url: "http://192.168.1.10:5000" },
    { registry: "ghcr.io", url: "https://two.example.com/v2/ghcr.io" },
    { registry: "127.0.0.1:5000", url: "https://three.example.com" },
  ]);
});

test.each(["", "# nothing yet\n", "{}"])("a list may be empty: %j", (text) => {
  expect(parseMirrorList(text, "mine.yaml")).toEqual([]);
});

describe("what is wrong with a list is reported with its line", () => {
  test.each([
    ["docker.io: [", /^mine\.yaml, line 1: it isn't YAML: [^\n]+[^:\n]$/],
    [
      "docker.io:\n  - https://a.test\n\ndocker.io:\n  - https://b.test",
      /^mine\.yaml, line \d: it isn't YAML: .*unique/,
    ],
    ["- https://a.test", /^mine\.yaml, line 1: it must have registries, each with a list of mirrors$/],
    ["docker.io:", /^mine\.yaml, line 1: a registry must have a list of mirrors/],
    ["\ndocker.io: https://a.test", /^mine\.yaml, line 2: a registry must have a list of mirrors/],
    ["docker.io:\n  - https://a.test\n  - 5", /^mine\.yaml, line 3: a mirror must be a URL such/],
    ["docker.io:\n  - a.test", /^mine\.yaml, line 2: a mirror must be a URL such as https:/],
    ["docker.io:\n  - https://u:p@a.test", /^mine\.yaml, line 2: [^@]* without a login in it$/],
    ["docker.io:\n  - https://:p@a.test", /^mine\.yaml, line 2: [^@]* without a login in it$/],
    ["docker.io:\n  - https://a.test?x=1", /^mine\.yaml, line 2: /],
    [
      "docker.io: []\nhttps://ghcr.io: []",
      /^mine\.yaml, line 2: https:\/\/ghcr\.io must be a registry's host name/,
    ],
    ["docker.io: *missing", /^mine\.yaml: it isn't YAML: .*alias/],
    ["docker.io: [x]\nghcr.io: [y]", /^mine\.yaml, line 1: a mirror .*; mine\.yaml, line 2: a mirror /],
  ])("%j", (text, message) => {
    expect(() => parseMirrorList(text, "mine.yaml")).toThrow(message);
  });
});

test("a mirror that several lists name counts once, where it stands first", () => {
  const [one, two] = [
    { url: "https://one.test", registry: "docker.io" },
    { url: "https://two.test", registry: "docker.io" },
  ];
  expect(once([two, one, two])).toEqual([two, one]);
  expect(once([one, { ...one, registry: "ghcr.io" }])).toHaveLength(2);
});

test("a user's own list is in the configuration folder", () => {
  expect(ownListPath({ XDG_CONFIG_HOME: "/x", HOME: "/home/user" })).toBe("/x/portolan/mirrors.yaml");
  expect(ownListPath({ XDG_CONFIG_HOME: "", HOME: "/home/user" })).toBe(
    "/home/user/.config/portolan/mirrors.yaml",
  );
});

test("Portolan's list has mirrors of known registries, over https, each once", async () => {
  const mirrors = await readPublicMirrors();
  expect(mirrors.length).toBeGreaterThan(5);
  for (const { url, registry } of mirrors) {
    expect(new URL(url).protocol).toBe("https:");
    expect(Object.keys(REGISTRIES)).toContain(registry);
  }
  expect(new Set(mirrors.map(({ url }) => url)).size).toBe(mirrors.length);
});

test("the list in the documentation can be read", () => {
  const { blocks } = page("docs/command-line.md");
  const lists = blocks.filter(({ language, text }) => language === "yaml" && text.includes("docker.io:"));
  expect(lists).toHaveLength(1);
  expect(parseMirrorList(lists[0]?.text ?? "", "mirrors.yaml").length).toBeGreaterThan(1);
});
