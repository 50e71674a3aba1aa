/** What is chosen, put into the wrangler.toml of this project and into others. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "smol-toml";
import { describe, expect, test } from "vitest";
import { addressOf, type Choices, settingsOf } from "../../../scripts/deploy/choices.ts";
import { withSettings } from "../../../scripts/deploy/wrangler-file.ts";
import { PROJECT } from "../support/portolan.ts";

const OWN = await readFile(join(PROJECT, "wrangler.toml"), "utf8");

const CHOICES: [string, Choices][] = [
  ["one host", { host: "mirror.example.com" }],
  ["a host for each registry", { domain: "example.com" }],
  ["all hosts of a domain", { domain: "example.com", routing: "wildcard" }],
  [
    "everything",
    {
      ...{ host: "mirror.example.com", domain: "example.com", upstreams: ["docker.io", "public.ecr.aws"] },
      ...{ limit: "50 GB", relays: ["https://home.example.com"] },
    },
  ],
];

describe("the project's own file", () => {
  test.each(CHOICES)("keeps every line, and gets what was chosen once: %s", (_, choices) => {
    const settings = settingsOf(choices);
    const after = withSettings(OWN, settings);
    const lines = after.split("\n");
    for (const line of OWN.split("\n")) expect(lines).toContain(line);
    const file: Record<string, unknown> = parse(after);
    for (const { path, value } of settings) {
      const [table = "", key] = path;
      const found = key === undefined ? file[table] : (file[table] as Record<string, unknown>)[key];
      expect(found, path.join(".")).toEqual(value);
    }
    expect(withSettings(after, settings)).toBe(after);
  });

  test("a later choice replaces an earlier one, and leaves what isn't chosen again", () => {
    const first = withSettings(OWN, settingsOf({ domain: "example.com", limit: "50 GB" }));
    const second = withSettings(first, settingsOf({ domain: "example.org", upstreams: ["ghcr.io"] }));
    expect(parse(second)).toMatchObject({
      routes: [{ pattern: "ghcr.example.org", custom_domain: true }],
      vars: { DOMAIN: "example.org", CACHE_LIMIT: "50 GB" },
    });
  });
});

test("a file that can't be changed so is left, and the message says what to set", () => {
  expect(() => withSettings("vars = { TAG_TTL = 60 }\n", settingsOf({ limit: "50 GB" }))).toThrow(
    'vars.CACHE_LIMIT = "50 GB"',
  );
});

test.each<[unknown, string | null]>([
  [[{ pattern: "mirror.example.com", custom_domain: true }], "https://mirror.example.com"],
  [["mirror.example.com/*"], "https://mirror.example.com"],
  [[{ pattern: "*.example.com/*", zone_name: "example.com" }], "https://docker.example.com"],
  [[], null],
  [undefined, null],
])("a mirror with the routes %j is reached at %s", (routes, address) => {
  expect(addressOf(routes)).toBe(address);
});

test.each([
  "localhost",
  "example",
  "a..example.com",
  "https://example.com",
  "example.com/x",
  "-a.example.com",
  "",
])("%j isn't taken for a host name", (host) => {
  expect(() => settingsOf({ host })).toThrow("isn't a host name");
});
