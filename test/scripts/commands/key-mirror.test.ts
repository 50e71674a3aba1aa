/** `portolan key --mirror`: the keys that a running mirror keeps. */
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { keepAdminKey, readAdminKey } from "../../../scripts/keys/admin-keys.ts";
import { type RunningMirror, startMirror } from "../../../scripts/local/mirror.ts";
import { type Finished, portolan } from "../support/portolan.ts";

const ADMIN_KEY = "an-admin-key-of-more-than-32-characters";

let folder: string;
let mirror: RunningMirror;
const start = () =>
  startMirror({
    port: 0,
    host: "127.0.0.1",
    data: join(folder, "data"),
    vars: { ACCESS: "keys", ADMIN_KEY },
    upstreams: { "registry.test": ["http://127.0.0.1:1"] },
    insecure: ["registry.test"],
  });

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "portolan-key-mirror-"));
  mirror = await start();
});
afterEach(async () => {
  await mirror.stop();
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
});

const key = (args: readonly string[], environment = { PORTOLAN_ADMIN_KEY: ADMIN_KEY }): Promise<Finished> =>
  portolan(["key", ...args, "--mirror", mirror.url], { cwd: folder, environment });

async function ping(shown: string): Promise<number> {
  const headers = { Authorization: `Basic ${btoa(`any:${shown}`)}` };
  const response = await fetch(`${mirror.url}/v2/`, { headers });
  await response.body?.cancel();
  return response.status;
}

test("a key is made, listed, narrowed, rotated and revoked without a restart, and outlives one", async () => {
  expect(await ping("")).toBe(403);
  const { code, output, errors } = await key(["add", "alice"]);
  expect([code, errors]).toEqual([0, ""]);
  const [made = ""] = /^ {2}[a-z2-7]{32}$/m.exec(output) ?? [];
  const alice = made.trim();
  expect(output).toContain(`docker login -u portolan ${new URL(mirror.url).host}`);
  expect(output).toContain("within a minute");
  expect(await ping(alice)).toBe(200);

  expect((await key(["narrow", "alice", "--allow", "ghcr.io/*", "--rate", "60"])).code).toBe(0);
  const list = (await key(["list"])).output;
  expect(list).toMatch(/^alice +ghcr\.io\/\* +nothing +never +60 a minute$/m);
  expect((await key(["list", "--json"])).json()).toMatchObject({
    mirror: mirror.url,
    keys: [{ name: "alice", allow: ["ghcr.io/*"], rate: 60, from: "mirror" }],
  });

  const rotated = (await key(["rotate", "alice", "--json"])).json() as { key: string };
  expect([await ping(alice), await ping(rotated.key)]).toEqual([401, 200]);
  await mirror.stop();
  mirror = await start();
  expect(await ping(rotated.key)).toBe(200);

  expect((await key(["revoke", "alice"])).output).toContain("alice is revoked");
  expect(await ping(rotated.key)).toBe(403);
});

test("what the mirror refuses is reported in its words, with 2", async () => {
  await key(["add", "alice"]);
  for (const [args, message] of [
    [["add", "alice"], /already/],
    [["add", "bob", "--allow", "https://x"], /allow must be a pattern/],
    [["revoke", "bob"], /no key named bob/],
  ] as const) {
    const { code, output, errors } = await key(args);
    expect(errors).toMatch(message);
    expect([code, output]).toEqual([2, ""]);
  }
  const { code, errors } = await key(["list"], { PORTOLAN_ADMIN_KEY: "x".repeat(32) });
  expect([code, errors]).toEqual([2, expect.stringContaining("doesn't accept the admin key")]);
});

test("the admin key of a mirror that was deployed from here is found, and sent to that mirror only", async () => {
  await keepAdminKey(folder, "https://mirror.example.com/", "of-another-mirror");
  await keepAdminKey(folder, mirror.url, ADMIN_KEY);
  expect((await stat(join(folder, "admin-keys.json"))).mode & 0o777).toBe(0o600);
  expect(await readAdminKey(folder, "https://mirror.example.com")).toBe("of-another-mirror");
  expect(await readAdminKey(folder, "https://mirror.example.com.attacker.test")).toBeNull();
  expect(await readAdminKey(folder, "http://mirror.example.com")).toBeNull();
  const { code, errors } = await portolan(["key", "list", "--mirror", mirror.url], { cwd: folder });
  expect([code, errors]).toEqual([0, ""]);
});
