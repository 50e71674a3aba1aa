import { describe, expect, test } from "vitest";
import { readConfig } from "../../src/config.ts";
import { isInternal } from "../../src/registry/addresses.ts";
import { REGISTRIES } from "../../src/upstream/registries.ts";

const entries = Object.entries(REGISTRIES);
const config = readConfig({});

describe("the built-in table", () => {
  test.each([
    "docker.io",
    "ghcr.io",
    "quay.io",
    "gcr.io",
    "us.gcr.io",
    "us-docker.pkg.dev",
    "registry.k8s.io",
    "mcr.microsoft.com",
    "nvcr.io",
    "public.ecr.aws",
    "registry.gitlab.com",
    "lscr.io",
    "docker.elastic.co",
    "docker.cloudsmith.io",
    "registry.opensuse.org",
    "codeberg.org",
    "registry.ollama.ai",
  ])("knows %s", (name) => expect(config.upstream(name)?.name).toBe(name));

  test("is a valid configuration, with nothing that UPSTREAMS doesn't permit", () => {
    const settings = entries.map(([name, { aliases, endpoints, realms }]) => [
      name,
      { aliases, endpoints, realms },
    ]);
    expect(() => readConfig({ UPSTREAMS: JSON.stringify(Object.fromEntries(settings)) })).not.toThrow();
  });

  test("contains only https URLs on the public Internet", () => {
    for (const [name, { endpoints = [], realms = [] }] of entries) {
      const hosts = realms.map((host) => `https://${host}`);
      for (const text of [...endpoints, ...hosts, `https://${name.replace("*", "x")}`]) {
        const url = new URL(text);
        expect(url.protocol).toBe("https:");
        expect(isInternal(url)).toBe(false);
      }
    }
  });

  test("gives no alias to two upstreams, and none that is another one's name or its name with hyphens", () => {
    const names = entries.flatMap(([name]) => [name, name.replaceAll(".", "-")]);
    const aliases = entries.flatMap(([, { aliases = [] }]) => aliases);
    expect(new Set([...names, ...aliases]).size).toBe(names.length + aliases.length);
  });

  test.each([
    ["docker.io", ["auth.docker.io"]],
    ["lscr.io", ["ghcr.io"]],
    ["registry.gitlab.com", ["gitlab.com"]],
    ["docker.elastic.co", ["docker-auth.elastic.co"]],
  ])("lists %s's token host, which isn't its own", (name, realms) => {
    expect(config.upstream(name)?.realms).toEqual(realms);
  });

  test("leaves out the realm that nvcr.io names once a token has expired: it issues no anonymous tokens", () => {
    expect(config.upstream("nvcr.io")?.realms).toEqual([]);
  });

  test.each(["docker", "ghcr", "quay", "gcr", "k8s", "mcr", "nvcr", "ecr", "gitlab", "lscr"])(
    "has the host label %s",
    (label) => expect(config.upstreamByLabel(label)).not.toBeNull(),
  );
});
