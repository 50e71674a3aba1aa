/** `portolan install` and `uninstall`, below a folder that stands for `/`. */
import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ENVIRONMENT_TEXT, unitText } from "../../../scripts/install/unit.ts";
import { portolan } from "../support/portolan.ts";

const UNIT = "etc/systemd/system/portolan.service";
const ENVIRONMENT = "etc/portolan/environment";
const SYSUSERS = "etc/sysusers.d/portolan.conf";
const PROJECT = fileURLToPath(new URL("../../..", import.meta.url));
const hasSystemd = spawnSync("systemd-analyze", ["--version"]).status === 0;

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "portolan-install-"));
  // systemd looks whether the program is there.
  await symlink(PROJECT, join(root, "project"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

const install = (...options: string[]) =>
  portolan(["install", "--root", root, "--project", join(root, "project"), "--", ...options]);
const read = (path: string) => readFile(join(root, path), "utf8");

function analyze(command: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync("systemd-analyze", [command, ...args], { encoding: "utf8" });
  expect([status, stderr]).toEqual([0, ""]);
  return stdout;
}

describe.runIf(hasSystemd)("the unit", () => {
  test.each([
    ["as it is", []],
    ["with options that need quotes", ["--var", "CACHE_LIMIT=200 GB", "--var", 'DENY=docker.io/*"$x%d']],
    ["on a port for which rights are needed", ["--host", "0.0.0.0", "--port", "443"]],
    ["with its data elsewhere", ["--data", "/srv/a folder"]],
  ])("is what systemd takes, %s", async (_, options) => {
    expect((await install(...options)).code).toBe(0);
    expect(analyze("verify", join(root, UNIT))).toBe("");
  });

  test("leaves the service few rights by systemd's own judgement", async () => {
    await install();
    const report = analyze("security", "--offline=true", join(root, UNIT));
    const [, exposure] = /exposure level for portolan.service: ([\d.]+)/.exec(report) ?? [];
    expect(Number(exposure)).toBeLessThan(2);
  });
});

describe("install", () => {
  test("writes the unit, its user and the file for settings, and says what is left to do", async () => {
    const { code, output } = await install("--host", "192.0.2.1");
    expect(code).toBe(0);
    expect(await read(UNIT)).toContain("--host 192.0.2.1\n");
    expect(await read(SYSUSERS)).toMatch(/^u portolan /);
    expect((await stat(join(root, ENVIRONMENT))).mode & 0o777).toBe(0o600);
    const steps = [
      "systemd-sysusers",
      "systemctl daemon-reload",
      "systemctl enable --now portolan",
      "key add",
    ];
    for (const step of steps) expect(output).toContain(step);
  });

  test("changes the unit when it is repeated, and no settings", async () => {
    await install();
    await writeFile(join(root, ENVIRONMENT), "PORTOLAN_TAG_TTL=60\n");
    const { output } = await install("--port", "5000");
    expect(await read(UNIT)).toContain("--port 5000\n");
    expect(await read(ENVIRONMENT)).toBe("PORTOLAN_TAG_TTL=60\n");
    expect(output).toContain("/etc/portolan/environment is there and stays as it is");
  });

  test("--dry-run prints the files and writes none", async () => {
    const { output } = await portolan([
      ...["install", "--dry-run", "--root", root, "--project", "/opt/portolan"],
    ]);
    expect(output).toContain("ProtectSystem=strict");
    expect(output).toContain(ENVIRONMENT_TEXT);
    await expect(stat(join(root, "etc"))).rejects.toThrow("ENOENT");
  });

  test("data elsewhere can be written to, and is made for its user first", async () => {
    const { output } = await install("--data", "/srv/portolan");
    expect(await read(UNIT)).toContain("ReadWritePaths=/srv/portolan\n");
    expect(output).toContain("install -d -o portolan -g portolan -m 700 /srv/portolan");
    await install();
    expect(await read(UNIT)).not.toContain("ReadWritePaths");
  });

  test.each([
    [["--port", "many"], /npm start wouldn't take.*--port/],
    [["--nonsense"], /npm start wouldn't take.*--nonsense/],
    [["--data", "store"], /--data must be an absolute path/],
    [["--data", "/home/alice/store"], /--data must not be in a home folder/],
    [["--tls-cert", "/etc/ssl/mirror.pem"], /one pair: --tls-key is missing/],
    [["--tls-cert", "mirror.pem", "--tls-key", "/etc/ssl/mirror.key"], /--tls-cert must be an absolute path/],
    [["--tls-cert", "/etc/a.pem", "--tls-key", "/root/a.key"], /--tls-key must not be in a home folder/],
    [["--var", "UPSTREAM_CREDENTIALS={}"], /secret.*PORTOLAN_UPSTREAM_CREDENTIALS=/],
    [["--proxy", "http://user:password@proxy.example:3128"], /secret.*HTTPS_PROXY=/],
  ])("refuses %j", async (options, message) => {
    const { code, errors } = await install(...options);
    expect(code).toBe(2);
    expect(errors).toMatch(message);
    await expect(stat(join(root, "etc"))).rejects.toThrow("ENOENT");
  });

  test("follows no link where its file should be", async () => {
    await mkdir(join(root, "etc/systemd/system"), { recursive: true });
    await writeFile(join(root, "other"), "another's");
    await symlink(join(root, "other"), join(root, UNIT));
    const { code, errors } = await install();
    expect([code, await read("other")]).toEqual([2, "another's"]);
    expect(errors).toContain("remove it first");
  });
});

describe("uninstall", () => {
  const uninstall = () => portolan(["uninstall", "--root", root]);

  test("removes what install wrote but the settings, and says how to remove the rest", async () => {
    await install();
    const { code, output } = await uninstall();
    expect(code).toBe(0);
    for (const path of [UNIT, SYSUSERS]) await expect(stat(join(root, path))).rejects.toThrow("ENOENT");
    expect(await read(ENVIRONMENT)).toBe(ENVIRONMENT_TEXT);
    expect(output).toContain("rm -r /var/lib/portolan /etc/portolan");
  });

  test("refuses while the service is enabled", async () => {
    await install();
    const wants = join(root, "etc/systemd/system/multi-user.target.wants");
    await mkdir(wants);
    await symlink("../portolan.service", join(wants, "portolan.service"));
    const { code, errors } = await uninstall();
    expect(code).toBe(2);
    expect(errors).toContain("systemctl disable --now portolan");
    expect(await read(UNIT)).not.toBe("");
  });

  test("says so where there is nothing", async () => {
    expect(await uninstall()).toMatchObject({ code: 2, errors: expect.stringContaining("no service") });
  });
});

test("a project in a home folder can't be a service", async () => {
  const { code, errors } = await portolan(["install", "--dry-run", "--project", "/root/portolan"]);
  expect(code).toBe(2);
  expect(errors).toContain("the project must not be in a home folder");
});

test("quotes and specifiers reach npm start as they were given", () => {
  const options = ["--var", 'DENY=a "b" \\c $HOME %d'];
  const text = unitText({ project: "/opt/portolan", options, port: 8787, data: "/var/lib/portolan/store" });
  expect(text).toContain('"DENY=a \\"b\\" \\\\c $$HOME %%d"');
});
