/** What becomes of a config.toml that is there: its version counts, and what containerd wouldn't start with is refused. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "smol-toml";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { plannedChanges } from "../../../scripts/config/changes.ts";
import { UnsafeChange } from "../../../scripts/config/merge/unsafe.ts";
import { CLIENTS } from "../../../src/guides/clients.ts";

let root = "";
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "portolan-containerd-"));
  await mkdir(join(root, "etc/containerd"), { recursive: true });
});
afterEach(() => rm(root, { recursive: true }));

async function changed(
  client: "containerd-1" | "containerd-2",
  before: string,
): Promise<Record<string, string>> {
  await writeFile(join(root, "etc/containerd/config.toml"), before);
  const guide = CLIENTS[client]({
    mirror: new URL("https://mirror.example.com"),
    domain: null,
    upstreams: null,
    key: null,
    shape: null,
  });
  const changes = await plannedChanges(client, guide, { root, key: null });
  return Object.fromEntries(changes.map(({ path, after }) => [path.slice(root.length), after]));
}

const CONFIG = "/etc/containerd/config.toml";
const registry = { registry: { config_path: "/etc/containerd/certs.d" } };

test.each([
  ["containerd-1", "[grpc]\n", { grpc: {}, plugins: { cri: registry } }],
  ["containerd-2", "version = 2\n", { version: 2, plugins: { "io.containerd.grpc.v1.cri": registry } }],
  ["containerd-1", "version = 3\n", { version: 3, plugins: { "io.containerd.cri.v1.images": registry } }],
  ["containerd-2", "version = 4\n", { version: 4, plugins: { "io.containerd.cri.v1.images": registry } }],
  ["containerd-2", "# nothing yet\n", { version: 3, plugins: { "io.containerd.cri.v1.images": registry } }],
] as const)("%s keeps the version of %j and uses its table", async (client, before, after) => {
  const { [CONFIG]: text = "" } = await changed(client, before);
  expect(parse(text)).toEqual(after);
  expect(text).toContain(before.trim());
});

describe("refused, with the way out", () => {
  const TABLE = 'version = 2\n[plugins."io.containerd.grpc.v1.cri".registry';
  test.each([
    ["Docker's own file", 'disabled_plugins = ["cri"]\n', /disabled_plugins has "cri".*configure `docker`/],
    [
      "a disabled plugin by its long name",
      'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n',
      /remove "io\.containerd\.grpc\.v1\.cri" from disabled_plugins/,
    ],
    [
      "mirrors",
      `${TABLE}.mirrors."quay.io"]\nendpoint = ["https://q"]\n`,
      /registry\.mirrors for quay\.io.*hosts\.toml/,
    ],
    [
      "TLS of a registry",
      `${TABLE}.configs."q".tls]\ninsecure_skip_verify = true\n`,
      /TLS settings in registry\.configs for q/,
    ],
    ["a version that isn't known", "version = 9\n", /its version is 9/],
  ])("%s", async (_, before, message) => {
    const change = changed("containerd-1", before);
    await expect(change).rejects.toThrow(UnsafeChange);
    await expect(change).rejects.toThrow(message);
  });

  test("several folders, of which another has something in it", async () => {
    await mkdir(join(root, "etc/docker/certs.d/quay.io"), { recursive: true });
    const before = `${TABLE}]\nconfig_path = "/etc/containerd/certs.d:/etc/docker/certs.d"\n`;
    await expect(changed("containerd-1", before)).rejects.toThrow("Move what is in /etc/docker/certs.d to");
  });
});

test("logins beside config_path, and empty tables for mirrors, are left as they are", async () => {
  const before = `version = 2
[plugins."io.containerd.grpc.v1.cri".registry.mirrors]
[plugins."io.containerd.grpc.v1.cri".registry.configs."quay.io".auth]
username = "u"
`;
  const { [CONFIG]: text } = await changed("containerd-1", before);
  expect(text).toContain(before.trim());
  expect(text).toContain('config_path = "/etc/containerd/certs.d"');
});

test("of several folders one is left, if the others are empty", async () => {
  const { [CONFIG]: text } = await changed(
    "containerd-2",
    `version = 3\n[plugins."io.containerd.cri.v1.images".registry]\nconfig_path = '/etc/containerd/certs.d:/etc/docker/certs.d'\n`,
  );
  expect(text).toContain('config_path = "/etc/containerd/certs.d"\n');
});

test("a folder that is named already is where hosts.toml goes", async () => {
  const before =
    'version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "/etc/registries"\n';
  expect(Object.keys(await changed("containerd-1", before))).toEqual(["/etc/registries/_default/hosts.toml"]);
});

describe("with files that config.toml imports", () => {
  const MAIN = 'version = 2\nimports = ["/etc/containerd/conf.d/*.toml"]\n';
  const imported = async (text: string): Promise<void> => {
    await mkdir(join(root, "etc/containerd/conf.d"));
    await writeFile(join(root, "etc/containerd/conf.d/99-gpu.toml"), text);
  };

  test("the one that has the plugin's settings gets the line, because containerd 1 reads those of no other", async () => {
    await imported('version = 2\n[plugins."io.containerd.grpc.v1.cri"]\nenable_cdi = true\n');
    const changes = await changed("containerd-1", MAIN);
    expect(changes[CONFIG]).toBeUndefined();
    expect(parse(changes["/etc/containerd/conf.d/99-gpu.toml"] ?? "")).toEqual({
      version: 2,
      plugins: { "io.containerd.grpc.v1.cri": { enable_cdi: true, ...registry } },
    });
  });

  test("mirrors in one of them are refused, and others don't matter", async () => {
    await imported('version = 2\n[metrics]\naddress = ":1338"\n');
    expect(Object.keys(await changed("containerd-1", MAIN))).toContain(CONFIG);
    await writeFile(
      join(root, "etc/containerd/conf.d/10.toml"),
      'version = 2\n[plugins."io.containerd.grpc.v1.cri".registry.mirrors.q]\n',
    );
    await expect(changed("containerd-1", MAIN)).rejects.toThrow(
      "/etc/containerd/conf.d/10.toml: it has registry.mirrors",
    );
  });
});
