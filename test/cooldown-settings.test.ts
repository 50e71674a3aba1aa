/** COOLDOWN: which pattern counts for a repository. */
import { expect, test } from "vitest";
import { ConfigError, readConfig } from "../src/config.ts";
import { cooldownFor } from "../src/cooldown-settings.ts";

const HOUR = 3_600_000;

test("the most specific pattern counts, wherever it stands, and none exempts", () => {
  const { cooldown } = readConfig({
    COOLDOWN:
      '{"*":"1w","docker.io/library/*":"2d","docker.io/*":"3d","docker.io/library/nginx":"none","ghcr.io/a*":"12h"}',
  });
  const hours = (name: string) => cooldownFor(cooldown, name) / HOUR;
  expect(hours("docker.io/library/alpine")).toBe(48);
  expect(hours("docker.io/library/nginx")).toBe(0);
  expect(hours("docker.io/owner/image")).toBe(72);
  expect(hours("ghcr.io/acme/image")).toBe(12);
  expect(hours("quay.io/owner/image")).toBe(168);
});

test("without a pattern that matches there is none", () => {
  expect(cooldownFor(readConfig({}).cooldown, "docker.io/library/alpine")).toBe(0);
  expect(
    cooldownFor(readConfig({ COOLDOWN: { "ghcr.io/*": "7d" } }).cooldown, "docker.io/library/alpine"),
  ).toBe(0);
});

test.each([{ "*": "7" }, { "*": 7 }, { "*": "0d" }, { "*": "" }, { "/": "7d" }, "7d", ["7d"]])(
  "%o is refused",
  (COOLDOWN) => {
    expect(() => readConfig({ COOLDOWN })).toThrow(ConfigError);
  },
);
