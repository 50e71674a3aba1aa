/** Putting settings into a file that someone else has written too: nothing of theirs may go. */
import { parse as parseToml } from "smol-toml";
import { describe, expect, test } from "vitest";
import { parse as parseYaml } from "yaml";
import { mergedInto, UnreadableFile } from "../../../scripts/config/merge/merge.ts";
import { UnsafeChange } from "../../../scripts/config/merge/unsafe.ts";
import { json, toml, yaml } from "../../../src/guides/guide.ts";

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

  test("doesn't add a mirror that is there with a slash at its end", () => {
    const theirs = `{"registry-mirrors":["${MIRROR}/", "https://old.example.com"]}`;
    expect(mergedInto(theirs, ours)).toBe(theirs);
  });

  test("keeps a byte order mark, line ends, numbers that JavaScript can't hold, and lists on one line", () => {
    const theirs = '\uFEFF{\r\n  "dns": ["1.1.1.1", "8.8.8.8"],\r\n  "max": 9007199254740993\r\n}\r\n';
    expect(mergedInto(theirs, ours)).toBe(
      `\uFEFF{\r\n  "dns": ["1.1.1.1", "8.8.8.8"],\r\n  "max": 9007199254740993,\r\n  "registry-mirrors": [\r\n    "${MIRROR}"\r\n  ]\r\n}\r\n`,
    );
  });

  test("with a key that stands there twice is refused, with what to add", () => {
    const theirs = '{"registry-mirrors": ["https://a"], "registry-mirrors": ["https://b"]}';
    expect(() => mergedInto(theirs, ours)).toThrow(UnsafeChange);
    expect(() => mergedInto(theirs, ours)).toThrow(ours.content.trim());
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

  const REGISTRY = { registry: { config_path: "/etc/containerd/certs.d" } };
  const config = toml("config.toml", { plugins: { "io.containerd.grpc.v1.cri": REGISTRY } });
  const LINE = 'config_path = "/etc/containerd/certs.d"';

  test.each([
    [
      "into its table, at its indentation",
      '[plugins]\n  [plugins."io.containerd.grpc.v1.cri"]\n    [plugins."io.containerd.grpc.v1.cri".registry] # r\n      # none yet\n    [plugins."io.containerd.grpc.v1.cri".containerd]\n      x = 1 # one\n',
      (text: string) => text.replace("# r\n", `# r\n      ${LINE}\n`),
    ],
    [
      "over what it was, and a comment behind it stays",
      '[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "" # none\n',
      (text: string) => text.replace('config_path = ""', LINE),
    ],
    [
      "behind the plugin's other tables",
      'version = 2\n\n[plugins."io.containerd.grpc.v1.cri"]\n  sandbox_image = "p"\n\n# debugging\n[debug]\n  level = "info"\n',
      (text: string) =>
        text.replace(
          "\n\n# debugging",
          `\n\n[plugins."io.containerd.grpc.v1.cri".registry]\n  ${LINE}\n\n# debugging`,
        ),
    ],
    [
      "at the end, with the file's line ends",
      "version = 2\r\n# last\r\n",
      (text: string) => `${text}\r\n[plugins."io.containerd.grpc.v1.cri".registry]\r\n${LINE}\r\n`,
    ],
  ])("has a line inserted %s", (_, theirs, expected) => {
    expect(mergedInto(theirs, config)).toBe(expected(theirs));
  });

  test("with the table written inline is refused, with what to add", () => {
    const theirs = 'plugins = { "io.containerd.grpc.v1.cri" = { sandbox_image = "p" } }\n';
    expect(() => mergedInto(theirs, config)).toThrow(UnsafeChange);
    expect(() => mergedInto(theirs, config)).toThrow(LINE);
  });

  test("has a list's layout and comments kept when it grows", () => {
    const buildkit = toml("buildkitd.toml", { registry: { "docker.io": { mirrors: [MIRROR] } } });
    const theirs = '[registry."docker.io"]\n  mirrors = [\n    "old.example.com", # slow\n  ]\n';
    expect(mergedInto(theirs, buildkit)).toBe(theirs.replace('    "old', `    "${MIRROR}",\n    "old`));
  });

  test("keeps comments with the hosts that they are about", () => {
    const theirs = '# mine\n\n# slow\n[host."https://old.example.com"]\n';
    const merged = mergedInto(theirs, hosts);
    expect(merged).toMatch(/^# mine\n\n\[host\."https:\/\/mirror[^#]*# slow\n\[host\."https:\/\/old/);
  });

  test("takes a host with a slash at its end for the same", () => {
    const theirs = `[host."${MIRROR}/"]\ncapabilities = ["pull", "resolve"]\n`;
    expect(mergedInto(theirs, hosts)).toBe(theirs);
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

  const both = yaml("registries.yaml", {
    mirrors: {
      "docker.io": { endpoint: [`${MIRROR}/v2/docker.io`] },
      "quay.io": { endpoint: [`${MIRROR}/v2/quay.io`] },
    },
  });
  const endpoints = (text: string): Record<string, string[]> => {
    const { mirrors } = parseYaml(text, { merge: true }) as {
      mirrors: Record<string, { endpoint: string[] }>;
    };
    return Object.fromEntries(Object.entries(mirrors).map(([name, { endpoint }]) => [name, endpoint]));
  };

  test.each([
    [
      "an entry",
      "mirrors:\n  docker.io: &old\n    endpoint: [https://old]\n  quay.io: *old\n  gcr.io: *old\n",
    ],
    [
      "a list",
      "mirrors:\n  docker.io:\n    endpoint: &old [https://old]\n  quay.io: { endpoint: *old }\n  gcr.io: { endpoint: *old }\n",
    ],
    [
      "an entry elsewhere",
      "x: &old { endpoint: [https://old] }\nmirrors:\n  docker.io: *old\n  quay.io: *old\n  gcr.io: *old\n",
    ],
  ])("gives no registry another's endpoint where they share %s by an alias", (_, theirs) => {
    expect(endpoints(mergedInto(theirs, both))).toEqual({
      "docker.io": [`${MIRROR}/v2/docker.io`, "https://old"],
      "quay.io": [`${MIRROR}/v2/quay.io`, "https://old"],
      "gcr.io": ["https://old"],
    });
  });

  test("is refused where a merge key would hide what is there", () => {
    const theirs = "x: &old { endpoint: [https://old] }\nmirrors:\n  docker.io: { <<: *old }\n";
    expect(() => mergedInto(theirs, both)).toThrow(UnsafeChange);
  });

  test("is refused where a rewrite would change what the mirror is requested", () => {
    const rewrite = 'rewrite: { "^(.*)$": "hub/$1" }';
    const theirs = (name: string): string => `mirrors:\n  ${name}: { endpoint: [https://old], ${rewrite} }\n`;
    expect(() => mergedInto(theirs("docker.io"), both)).toThrow(/mirrors\."docker\.io" has a rewrite/);
    expect(mergedInto(theirs("gcr.io"), both)).toContain("hub/$1");
  });

  test("keeps a list's comments, and the file's indentation", () => {
    const theirs = "mirrors:\n    ghcr.io:\n        endpoint:\n            - https://old # slow\n";
    expect(mergedInto(theirs, registries)).toBe(
      theirs.replace("            - ", `            - ${MIRROR}/v2/ghcr.io\n            - `),
    );
  });

  test("keeps the file's line ends", () => {
    const theirs = "# mine\r\nmirrors:\r\n  quay.io: {}\r\n";
    expect(mergedInto(theirs, registries).replaceAll("\r\n", "")).not.toContain("\n");
  });

  test("is refused where it isn't a table at all, with what to add", () => {
    expect(() => mergedInto("- a\n", registries)).toThrow(UnsafeChange);
  });

  test("with nothing but a comment gets our settings", () => {
    const merged = mergedInto("# nothing yet\n", registries);
    expect(parseYaml(merged)).toEqual(parseYaml(registries.content));
  });

  test("that can't be read is refused, by name", () => {
    expect(() => mergedInto("a: [", registries)).toThrow(/registries\.yaml can't be read as YAML/);
  });
});
