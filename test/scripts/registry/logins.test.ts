import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readLogins } from "../../../scripts/registry/logins.ts";

let home: string;
const savedPath = process.env.PATH;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "logins-"));
});

afterEach(async () => {
  process.env.PATH = savedPath;
  await rm(home, { recursive: true });
});

const basic = (username: string, password: string) => ({
  auth: Buffer.from(`${username}:${password}`).toString("base64"),
});

async function write(path: string, content: unknown): Promise<void> {
  const file = join(home, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, typeof content === "string" ? content : JSON.stringify(content));
}

async function find(registry: string, environment: Record<string, string> = {}) {
  const logins = await readLogins({ HOME: home, ...environment }, join(home, "system"));
  const found = await logins.loginFor(registry);
  return found && `${found.username}:${found.password}`;
}

/** A program in PATH that answers as credential helpers do, and prints nothing for what it doesn't hold. */
async function helper(name: string, script: string): Promise<void> {
  const folder = join(home, "bin");
  await write(`bin/docker-credential-${name}`, `#!/bin/sh\n${script}\n`);
  await chmod(join(folder, `docker-credential-${name}`), 0o755);
  process.env.PATH = `${folder}${delimiter}${savedPath}`;
}

test("without any file there is no login", async () => {
  expect(await find("ghcr.io")).toBeNull();
});

describe("docker's config.json", () => {
  test.each([
    ["ghcr.io", "ghcr.io"],
    ["https://ghcr.io", "ghcr.io"],
    ["https://ghcr.io/v2/", "ghcr.io"],
    ["https://index.docker.io/v1/", "docker.io"],
    ["docker.io", "docker.io"],
    ["127.0.0.1:5000", "127.0.0.1:5000"],
  ])("has under %s what is for %s", async (key, registry) => {
    await write(".docker/config.json", { auths: { [key]: basic("user", "pass:word") } });
    expect(await find(registry)).toBe("user:pass:word");
    expect(await find("quay.io")).toBeNull();
  });

  test("may lie elsewhere, and hold an identity token", async () => {
    await write("elsewhere/config.json", {
      auths: { "ghcr.io": { ...basic("00000", ""), identitytoken: "secret" } },
    });
    expect(await find("ghcr.io", { DOCKER_CONFIG: join(home, "elsewhere") })).toBe("<token>:secret");
  });

  test("with an empty entry, as docker leaves beside a helper, says nothing", async () => {
    await write(".docker/config.json", { auths: { "ghcr.io": {} } });
    expect(await find("ghcr.io")).toBeNull();
  });

  test("may have a name and a password as they are", async () => {
    await write(".docker/config.json", { auths: { "ghcr.io": { username: "user", password: "pass:word" } } });
    expect(await find("ghcr.io")).toBe("user:pass:word");
  });

  test.each([
    ["text", '"x"'],
    ["a list", "[]"],
    ["other things in its fields", { auths: [], credHelpers: 1, credsStore: {} }],
    [
      "other things in an entry",
      { auths: { "ghcr.io": { auth: 1, username: [], password: null }, "quay.io": 2 } },
    ],
  ])("of %s says nothing", async (_, content) => {
    await write(".docker/config.json", content);
    expect(await find("ghcr.io")).toBeNull();
  });

  test("with an odd entry keeps its others", async () => {
    const auths = { "ghcr.io": "odd", "quay.io": { ...basic("user", "1"), identitytoken: null } };
    await write(".docker/config.json", { auths });
    expect(await find("quay.io")).toBe("user:1");
  });

  test("that is no JSON is named", async () => {
    await write(".docker/config.json", "{");
    await expect(find("ghcr.io")).rejects.toThrow(/config\.json isn't valid JSON/);
  });
});

describe("podman's auth.json", () => {
  test("has logins for paths, of which the longest that leads to the repository counts", async () => {
    await write(".config/containers/auth.json", {
      auths: {
        "quay.io": basic("all", "1"),
        "quay.io/owner": basic("owner", "2"),
        "quay.io/owner/image": basic("image", "3"),
      },
    });
    expect(await find("quay.io/other/image")).toBe("all:1");
    expect(await find("quay.io/owner/other")).toBe("owner:2");
    expect(await find("quay.io/owner/image")).toBe("image:3");
    expect(await find("quay.io/owners/image")).toBe("all:1");
  });

  test("is found where podman puts it, and what the user points at comes first", async () => {
    await write("run/containers/auth.json", { auths: { "quay.io": basic("run", "1") } });
    await write("own.json", { auths: { "quay.io": basic("own", "2") } });
    const environment = { XDG_RUNTIME_DIR: join(home, "run") };
    expect(await find("quay.io", environment)).toBe("run:1");
    expect(await find("quay.io", { ...environment, REGISTRY_AUTH_FILE: join(home, "own.json") })).toBe(
      "own:2",
    );
  });
});

test("podman's logins of root are found without a session's folder", async () => {
  await write(`system/containers/${process.getuid?.()}/auth.json`, {
    auths: { "quay.io": basic("root", "1") },
  });
  expect(await find("quay.io")).toBe("root:1");
});

describe("a credential helper", () => {
  const STORE = `read key
if [ "$key" = https://index.docker.io/v1/ ]; then echo '{"Username":"hub","Secret":"1"}'
elif [ "$key" = ghcr.io ]; then echo '{"Username":"<token>","Secret":"2"}'
else echo "credentials not found in native keychain"; exit 1; fi`;

  test("is requested docker.io by docker's own name for it", async () => {
    await helper("store", STORE);
    await write(".docker/config.json", { auths: { "ghcr.io": {} }, credsStore: "store" });
    expect(await find("docker.io/library/alpine")).toBe("hub:1");
    expect(await find("ghcr.io/owner/image")).toBe("<token>:2");
    expect(await find("quay.io")).toBeNull();
  });

  test("of one registry comes before the store of all", async () => {
    await helper("store", STORE);
    await helper("own", `echo '{"Username":"own","Secret":"3"}'`);
    await write(".docker/config.json", { credsStore: "store", credHelpers: { "ghcr.io": "own" } });
    expect(await find("ghcr.io/owner/image")).toBe("own:3");
  });

  test("that isn't installed is named, with the file that names it", async () => {
    await write(".docker/config.json", { credsStore: "desktop-nowhere" });
    await expect(find("ghcr.io")).rejects.toThrow(
      /docker-credential-desktop-nowhere, which .*config\.json names/,
    );
  });

  test("that fails says why", async () => {
    await helper("locked", `echo "the keychain is locked"; exit 1`);
    await write(".docker/config.json", { credsStore: "locked" });
    await expect(find("ghcr.io")).rejects.toThrow(
      /docker-credential-locked failed for ghcr\.io: the keychain is locked/,
    );
  });
});
