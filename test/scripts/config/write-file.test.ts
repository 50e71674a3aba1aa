/** Where files are put: links are followed, owners and modes kept, and what is mounted is written in place. */
import { spawnSync } from "node:child_process";
import {
  chown,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { located, put } from "../../../scripts/config/write-file.ts";

let root = "";
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "portolan-place-"));
  await mkdir(join(root, "etc/docker"), { recursive: true });
});
afterEach(() => rm(root, { recursive: true }));

const DAEMON = "/etc/docker/daemon.json";

describe("a symbolic link", () => {
  test.each([
    ["that is absolute, from the root that was named", DAEMON, "/srv/daemon.json", "srv/daemon.json"],
    ["that is relative", DAEMON, "../../srv/daemon.json", "srv/daemon.json"],
    ["out of the root, which it can't leave", DAEMON, "../../../../srv/daemon.json", "srv/daemon.json"],
    ["of a folder", "/etc/linked", "/srv", "srv/daemon.json"],
  ])("is followed %s", async (_, link, target, expected) => {
    await symlink(target, join(root, link));
    const path = link === DAEMON ? DAEMON : `${link}/daemon.json`;
    expect(await located(path, root)).toBe(join(root, expected));
  });

  test("stays, and its target is written", async () => {
    await mkdir(join(root, "srv"));
    await writeFile(join(root, "srv/daemon.json"), "old");
    await symlink("/srv/daemon.json", join(root, DAEMON));
    await put({ path: await located(DAEMON, root), before: "old", after: "new", mode: 0o644 });
    expect((await lstat(join(root, DAEMON))).isSymbolicLink()).toBe(true);
    expect(await readFile(join(root, "srv/daemon.json"), "utf8")).toBe("new");
  });

  test("that leads in a circle is refused", async () => {
    await symlink("daemon.json", join(root, DAEMON));
    await expect(located(DAEMON, root)).rejects.toThrow("leads in a circle");
  });
});

const asRoot = process.getuid?.() === 0;

test.runIf(asRoot)("owner and mode stay, of the copy too", async () => {
  const path = join(root, DAEMON);
  await writeFile(path, "old", { mode: 0o640 });
  await chown(path, 1234, 4321);
  const backup = await put({ path, before: "old", after: "new", mode: 0o600 });
  for (const each of [path, backup ?? ""]) {
    const { uid, gid, mode } = await stat(each);
    expect([uid, gid, mode & 0o777]).toEqual([1234, 4321, 0o640]);
  }
});

const mounts = asRoot && spawnSync("unshare", ["--mount", "true"]).status === 0;

test.runIf(mounts)("a file that is mounted there is written in place", async () => {
  const path = join(root, DAEMON);
  const source = join(root, "source.json");
  await writeFile(path, "");
  await writeFile(source, "a longer text than the new one");
  const module = fileURLToPath(new URL("../../../scripts/config/write-file.ts", import.meta.url));
  const program = `import { put } from ${JSON.stringify(module)};
await put({ path: ${JSON.stringify(path)}, before: "a longer text than the new one", after: "new", mode: 0o644 });`;
  const script = 'mount --bind "$1" "$2" && exec "$3" --input-type=module --eval "$4"';
  const { status, stderr } = spawnSync(
    "unshare",
    ["--mount", "sh", "-c", script, "sh", source, path, process.execPath, program],
    { encoding: "utf8" },
  );
  expect(stderr).toBe("");
  expect(status).toBe(0);
  expect(await readFile(source, "utf8")).toBe("new");
  expect((await readdir(dirname(path))).filter((name) => name.endsWith(".new"))).toEqual([]);
});
