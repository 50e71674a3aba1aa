/** `npm run portolan -- config` as a person or a script runs it: what it prints, what it writes, how it ends. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { CLIENTS } from "../../../src/guides/clients.ts";
import { type Finished, PROJECT, portolan } from "../support/portolan.ts";

const KEY = "abcdefghijklmnopqrstuvwxyz234567";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "portolan-config-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const config = (...options: string[]): Promise<Finished> =>
  portolan(["config", ...options], { cwd: folder, environment: { HOME: join(folder, "home") } });

function put(path: string, content: string, mode = 0o644): string {
  const file = join(folder, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content, { mode });
  return file;
}

const DAEMON = "etc/docker/daemon.json";
const THEIRS = '{\n  "log-driver": "journald"\n}\n';
const OURS = '{\n  "log-driver": "journald",\n  "registry-mirrors": [\n    "http://127.0.0.1:8787"\n  ]\n}\n';

describe("shown", () => {
  test("is the guide, for the mirror that npm start makes unless another is named", async () => {
    const { code, output } = await config("docker");
    expect(code).toBe(0);
    expect(output).toContain("/etc/docker/daemon.json");
    expect(output).toContain('"http://127.0.0.1:8787"');
    expect((await config("docker", "--mirror", "https://mirror.example.com")).output).toContain(
      '"https://mirror.example.com"',
    );
  });

  test("is every client without a name, and as JSON", async () => {
    const { clients } = JSON.parse((await config("--json")).output) as { clients: { client: string }[] };
    expect(clients.map(({ client }) => client)).toEqual(Object.keys(CLIENTS));
    const { output } = await config();
    for (const name of Object.keys(CLIENTS)) expect(output).toContain(name);
  });

  test("is the guide itself as JSON", async () => {
    const { client, steps } = JSON.parse((await config("podman", "--json", "--upstream", "ghcr")).output) as {
      client: string;
      steps: { file?: { content: string } }[];
    };
    expect(client).toBe("podman");
    expect(steps[0]?.file?.content).toContain('prefix = "ghcr.io"');
    expect(steps[0]?.file?.content).not.toContain("docker.io");
  });

  test("takes registries by other names of theirs, several at once, and one that isn't built in", async () => {
    const { output } = await config(
      "podman",
      "--upstream",
      "hub,registry-k8s-io",
      "--upstream",
      "registry.corp.example",
    );
    const prefixes = [...output.matchAll(/prefix = "(.*)"/g)].map(([, prefix]) => prefix);
    expect(prefixes).toEqual(["docker.io", "registry.k8s.io", "registry.corp.example"]);
  });

  test("has the key from its file", async () => {
    const file = put("portolan.key", `${KEY}\n`);
    const { output } = await config(
      "docker",
      "--domain",
      "example.com",
      "--mirror",
      "https://mirror.example.com",
      "--key-file",
      file,
    );
    expect(output).toContain(`https://docker-${KEY}.example.com`);
  });
});

describe("refused with 2, in words", () => {
  test.each([
    [
      "a client that there is none of",
      ["dockre"],
      "There is no guide for dockre; did you mean docker? Clients: docker,",
    ],
    [
      "a mirror that is no URL",
      ["docker", "--mirror", "mirror.example.com"],
      "--mirror must be a URL such as",
    ],
    [
      "a mirror with a path",
      ["docker", "--mirror", "https://mirror.example.com/v2/"],
      "name the mirror itself: https://mirror.example.com",
    ],
    [
      "a mirror with a password",
      ["docker", "--mirror", "https://a:b@mirror.example.com"],
      "give the key by --key-file",
    ],
    [
      "a domain that is none",
      ["docker", "--domain", "https://example.com"],
      "--domain must be a lower-case host name",
    ],
    [
      "a registry that is none",
      ["docker", "--upstream", "nowhere"],
      "there is no upstream nowhere. Built in are",
    ],
    ["the host form without a domain", ["k3s", "--shape", "host"], "--shape host needs --domain"],
    ["a form that is none", ["k3s", "--shape", "round"], "host, path, prefix, ns"],
    ["a key's file that isn't there", ["docker", "--key-file", "nowhere"], "/nowhere'"],
    ["writing what is in no file here", ["talos", "--write"], "leave out --write and follow the steps"],
  ])("%s", async (_, options, message) => {
    const { code, output, errors } = await config(...options);
    expect(errors).toContain(message);
    expect(output).toBe("");
    expect(code).toBe(2);
  });

  test("a file that holds no key, without showing what it holds", async () => {
    const file = put("portolan.key", "not-a-key-but-perhaps-a-secret");
    const { code, errors } = await config("docker", "--key-file", file);
    expect(errors).toContain("holds no access key");
    expect(errors).not.toContain("perhaps-a-secret");
    expect(code).toBe(2);
  });

  test("a file that can't be read as what it should be, which stays as it is", async () => {
    const file = put(DAEMON, "{ not json");
    const { code, errors } = await config("docker", "--write", "--yes", "--root", folder);
    expect(errors).toContain(`daemon.json can't be read as JSON`);
    expect(code).toBe(2);
    expect(readFileSync(file, "utf8")).toBe("{ not json");
    expect(readdirSync(dirname(file))).toEqual(["daemon.json"]);
  });
});

describe("written", () => {
  test("is merged into what is there, after the difference, and what was there is kept", async () => {
    const file = put(DAEMON, THEIRS, 0o640);
    const { code, output } = await config("docker", "--write", "--yes", "--root", folder);
    expect(code).toBe(0);
    expect(output).toContain('+  "registry-mirrors": [');
    expect(output).toContain("systemctl reload docker");
    expect(readFileSync(file, "utf8")).toBe(OURS);
    expect(statSync(file).mode & 0o777).toBe(0o640);
    const [, backup] = readdirSync(dirname(file)).sort();
    expect(backup).toMatch(/^daemon\.json\.\d{8}T\d{6}Z\.bak$/);
    expect(readFileSync(join(dirname(file), backup ?? ""), "utf8")).toBe(THEIRS);
  });

  test("twice is once: the second time nothing is changed or kept", async () => {
    put(DAEMON, THEIRS);
    await config("docker", "--write", "--yes", "--root", folder);
    const { code, output } = await config("docker", "--write", "--yes", "--root", folder);
    expect(output).toContain("Nothing to change");
    expect(code).toBe(0);
    expect(readdirSync(join(folder, "etc/docker")).length).toBe(2);
  });

  test("isn't without a yes where no one can be requested, and exits with 1", async () => {
    const file = put(DAEMON, THEIRS);
    const { code, errors } = await config("docker", "--write", "--root", folder);
    expect(code).toBe(1);
    expect(errors).toContain("--yes writes without asking");
    expect(readFileSync(file, "utf8")).toBe(THEIRS);
  });

  test("is where folders have to be made first, and each file is reported as JSON", async () => {
    const { code, output } = await config("containerd-2", "--write", "--yes", "--json", "--root", folder);
    expect(code).toBe(0);
    expect(JSON.parse(output)).toEqual({
      client: "containerd-2",
      files: ["etc/containerd/config.toml", "etc/containerd/certs.d/_default/hosts.toml"].map((path) => ({
        path: join(folder, path),
        written: true,
        backup: null,
        warning: null,
      })),
    });
    expect(readFileSync(join(folder, "etc/containerd/certs.d/_default/hosts.toml"), "utf8")).toContain(
      "http://127.0.0.1:8787",
    );
  });

  test("can be read by no one else when the key is in it, and by all when it isn't", async () => {
    const key = put("portolan.key", KEY);
    const keyed = ["--write", "--yes", "--root", folder, "--key-file", key];
    await config("containerd-2", ...keyed);
    await config("docker", ...keyed);
    const rights = (path: string): number => statSync(join(folder, path)).mode & 0o777;
    expect(rights("etc/containerd/certs.d/_default/hosts.toml")).toBe(0o600);
    expect(rights(DAEMON)).toBe(0o600);
    expect(rights("etc/containerd/config.toml")).toBe(0o644);
  });

  test("replaces Portolan's own file, so that a registry that is no longer wanted goes", async () => {
    const drop = join(folder, "etc/containers/registries.conf.d/portolan.conf");
    await config("podman", "--write", "--yes", "--root", folder, "--upstream", "docker.io,ghcr.io");
    await config("podman", "--write", "--yes", "--root", folder, "--upstream", "quay.io");
    expect(readFileSync(drop, "utf8").match(/prefix/g)?.length).toBe(1);
  });

  test("keeps comments and order of a TOML file", async () => {
    const file = put("etc/containerd/config.toml", "# mine\nversion = 2 # ours too\n\n# last\n[grpc]\n");
    await config("containerd-1", "--write", "--yes", "--root", folder);
    expect(readFileSync(file, "utf8")).toBe(
      '# mine\nversion = 2 # ours too\n\n# last\n[grpc]\n\n[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "/etc/containerd/certs.d"\n',
    );
  });

  test("warns before the key goes into a file that others can read, and says so as JSON", async () => {
    const key = put("portolan.key", KEY);
    const file = put(DAEMON, THEIRS, 0o644);
    const keyed = ["docker", "--write", "--root", folder, "--key-file", key];
    expect((await config(...keyed)).output).toContain(`others on this machine can read (mode 0644)`);
    expect((await config(...keyed)).output).toContain(`chmod 600 ${file}`);
    const { files } = JSON.parse((await config(...keyed, "--json")).output) as {
      files: { warning: string }[];
    };
    expect(files.map(({ warning }) => warning)).toEqual([expect.stringContaining("mode 0644")]);
    chmodSync(file, 0o600);
    expect((await config(...keyed)).output).not.toContain("Warning");
  });

  test("refuses what containerd wouldn't start with, before anything is written", async () => {
    const before =
      'version = 2\n[plugins."io.containerd.grpc.v1.cri".registry.mirrors."quay.io"]\nendpoint = ["https://q"]\n';
    const file = put("etc/containerd/config.toml", before);
    const { code, errors } = await config("containerd-1", "--write", "--yes", "--root", folder);
    expect(code).toBe(2);
    expect(errors).toContain("registry.mirrors for quay.io");
    expect(readFileSync(file, "utf8")).toBe(before);
    expect(readdirSync(join(folder, "etc/containerd"))).toEqual(["config.toml"]);
  });
});

describe("requested on a terminal", () => {
  /** script(1) gives the command a terminal; what is typed is sent once the sketch is on it. */
  async function response(keys: string): Promise<{ code: number | null; shown: string }> {
    // Without a width each letter would stand on a line of its own.
    const command = `stty cols 100 rows 40; ${process.execPath} ${PROJECT}scripts/portolan.js config docker --write --root ${folder}`;
    const child = spawn("script", ["--quiet", "--return", "--command", command, "/dev/null"], {
      stdio: ["pipe", "pipe", "inherit"],
      env: { ...process.env, TERM: "xterm" },
    });
    let shown = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      const before = shown;
      shown += text;
      if (!before.includes("Write ") && shown.includes("Write ")) child.stdin.write(keys);
    });
    const [code] = (await once(child, "close")) as [number | null];
    return { code, shown };
  }

  test("yes writes, and no leaves the file and exits with 1", async () => {
    const file = put(DAEMON, THEIRS);
    expect((await response("n")).code).toBe(1);
    expect(readFileSync(file, "utf8")).toBe(THEIRS);
    const { code, shown } = await response("y");
    expect(shown).toContain("Wrote ");
    expect(code).toBe(0);
    expect(readFileSync(file, "utf8")).toBe(OURS);
  });
});

test("help has examples and exit codes, and every client", async () => {
  const { code, output } = await config("--help");
  expect(code).toBe(0);
  for (const text of ["Examples:", "Exit codes:", ...Object.keys(CLIENTS)]) expect(output).toContain(text);
});
