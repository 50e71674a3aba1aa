/** Putting settings into a file that someone else has written too: nothing of theirs may go. */
import { parse as parseToml } from "smol-toml";
import { describe, expect, test } from "vitest";
import { parse as parseYaml } from "yaml";
import { mergedInto, UnreadableFile } from "../../scripts/config/merge.ts";
import { json, toml, yaml } from "../../src/guides/guide.ts";

const MIRROR = "https://mirror.example.com";

describe("JSON", () => {
  const ours = json("daemon.json", { "registry-mirrors": [MIRROR] });

  test("keeps what is there, puts our mirror before others, and keeps the file's indentation", () => {
    const theirs = '{\n\t"log-driver": "journald",\n\t"registry-mirrors": ["https://old.example.com"]\n}\n';
    expect(mergedInto(theirs, ours)).toBe(
      `{\n\t"log-driver": "journald",\n\t"registry-mirrors": [\n\t\t"${MIRROR}",\n\t\t"https://old.example.com"\n\t]\n}\n`,
    );
  });

  test("leaves a file that says so already as it is, to the letter", () => {
    const theirs = `{"registry-mirrors":["${MIRROR}"],   "debug":true}`;
    expect(mergedInto(theirs, ours)).toBe(theirs);
  });

  test("names our mirror once, and moves it before others", () => {
    const theirs = JSON.stringify({ "registry-mirrors": ["https://old.example.com", MIRROR] });
    expect(JSON.parse(mergedInto(theirs, ours))).toEqual({
      "registry-mirrors": [MIRROR, "https://old.example.com"],
    });
  });

  test("is the guide's own where there is no file, or an empty one", () => {
    expect(mergedInto(null, ours)).toBe(ours.content);
    expect(mergedInto("\n", ours)).toBe(ours.content);
  });

  test("that can't be read is refused, by name", () => {
    expect(() => mergedInto("{", ours)).toThrow(UnreadableFile);
    expect(() => mergedInto("{", ours)).toThrow(/daemon\.json can't be read as JSON/);
  });
});

describe("TOML", () => {
  const hosts = toml("hosts.toml", { host: { [MIRROR]: { capabilities: ["pull", "resolve"] } } });

  test("has our host before theirs, because containerd asks them in order", () => {
    const merged = mergedInto(
      'server = "https://ghcr.io"\n[host."https://old.example.com"]\ncapabilities = ["pull"]\n',
      hosts,
    );
    const { server, host } = parseToml(merged) as { server: string; host: object };
    expect(server).toBe("https://ghcr.io");
    expect(Object.keys(host)).toEqual([MIRROR, "https://old.example.com"]);
    expect(merged.indexOf(MIRROR)).toBeLessThan(merged.indexOf("https://old.example.com"));
  });

  test("keeps whole numbers whole and others not, and numbers that JavaScript can't hold", () => {
    const merged = mergedInto("rate = 1.0\ncount = 1\nlarge = 9007199254740993\n[grpc]\nuid = 0\n", hosts);
    expect(merged).toContain("rate = 1.0\n");
    expect(merged).toContain("count = 1\n");
    expect(merged).toContain("large = 9007199254740993\n");
    expect(merged).toContain("uid = 0\n");
  });

  test("leaves a file that says so already as it is, comments and all", () => {
    const theirs = `# mine\n[host."${MIRROR}"] # ours\ncapabilities = ["pull","resolve"]\n`;
    expect(mergedInto(theirs, hosts)).toBe(theirs);
  });

  test("with our host behind theirs has it moved before", () => {
    const merged = mergedInto(
      `[host."https://old.example.com"]\n[host."${MIRROR}"]\ncapabilities = ["pull", "resolve"]\n`,
      hosts,
    );
    expect(merged.indexOf(MIRROR)).toBeLessThan(merged.indexOf("https://old.example.com"));
  });

  test("that can't be read is refused, by name", () => {
    expect(() => mergedInto("a = ", hosts)).toThrow(/hosts\.toml can't be read as TOML/);
  });
});

describe("YAML", () => {
  const registries = yaml("registries.yaml", {
    mirrors: { "ghcr.io": { endpoint: [`${MIRROR}/v2/ghcr.io`] } },
  });

  test("keeps comments and order, and adds what is missing", () => {
    const theirs = `# the cluster's registries
mirrors:
  # our own
  registry.corp.example:
    endpoint:
      - https://registry.corp.example
configs:
  registry.corp.example: { auth: { username: u } } # a login
`;
    const merged = mergedInto(theirs, registries);
    expect(parseYaml(merged)).toEqual({
      mirrors: {
        "registry.corp.example": { endpoint: ["https://registry.corp.example"] },
        "ghcr.io": { endpoint: [`${MIRROR}/v2/ghcr.io`] },
      },
      configs: { "registry.corp.example": { auth: { username: "u" } } },
    });
    for (const comment of ["# the cluster's registries", "# our own", "# a login"]) {
      expect(merged).toContain(comment);
    }
  });

  test("puts our endpoint before theirs", () => {
    const merged = mergedInto("mirrors:\n  ghcr.io:\n    endpoint: [https://old.example.com]\n", registries);
    expect(parseYaml(merged)).toEqual({
      mirrors: { "ghcr.io": { endpoint: [`${MIRROR}/v2/ghcr.io`, "https://old.example.com"] } },
    });
  });

  test("leaves a file that says so already as it is, to the letter", () => {
    const theirs = `mirrors: {"ghcr.io":   {endpoint: ["${MIRROR}/v2/ghcr.io"]}}`;
    expect(mergedInto(theirs, registries)).toBe(theirs);
  });

  test("with nothing but a comment gets our settings", () => {
    const merged = mergedInto("# nothing yet\n", registries);
    expect(parseYaml(merged)).toEqual(parseYaml(registries.content));
  });

  test("that can't be read is refused, by name", () => {
    expect(() => mergedInto("a: [", registries)).toThrow(/registries\.yaml can't be read as YAML/);
  });
});
