/** `npm start` with and without access keys: whom it serves, and what it says of that. */
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { addKey } from "../../../src/access/key-changes.ts";
import { refused, Start } from "../support/start.ts";

const KEYED = ["--var", "ACCESS=keys"];
const WARNING = /Warning: everyone .*without --var ACCESS=open/;

let folder: string;
let running: Start | null = null;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "portolan-access-"));
});
afterEach(async () => {
  await running?.stop();
  running = null;
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
});

async function start(...args: string[]): Promise<{ running: Start; url: string }> {
  running = new Start(["--port", "0", ...args], { folder });
  return { running, url: await running.ready() };
}

/** Writes the file that `portolan key` keeps, where npm start looks for it. */
async function makeKey(): Promise<string> {
  const { key, list } = await addKey([], "alice", { allow: [], deny: [], expires: null, rate: null });
  await writeFile(join(folder, "access-keys.json"), JSON.stringify(list));
  return key;
}

async function statusOf(url: string, key: string | null, path = "/v2/"): Promise<number> {
  const headers: Record<string, string> = key === null ? {} : { Authorization: `Basic ${btoa(`u:${key}`)}` };
  const response = await fetch(url + path, { headers });
  await response.body?.cancel();
  return response.status;
}

describe("without ACCESS", () => {
  test("it is open, says so, and makes no secret", async () => {
    await makeKey();
    const { running, url } = await start();
    expect(running.output).toContain("open to everyone who can reach it");
    expect(await statusOf(url, null)).toBe(200);
    expect(existsSync(join(folder, ".portolan", "signing-secret"))).toBe(false);
    expect(running.errors).not.toMatch(WARNING);
  });

  test("it answers to this machine's names only", async () => {
    const { url } = await start("--var", "HOSTS=mirror.lan");
    const status = (host: string) =>
      new Promise<number | undefined>((resolve, reject) => {
        const requested = request(`${url}/v2/`, { headers: { Host: host } }, (response) => {
          response.resume();
          resolve(response.statusCode);
        });
        requested.once("error", reject).end();
      });
    expect([await status("localhost"), await status("mirror.lan:80"), await status("evil.test")]).toEqual([
      200, 200, 421,
    ]);
  });

  test("on an address that others can reach it is closed, and says how it is opened", async () => {
    const { running, url } = await start("--host", "0.0.0.0");
    await running.line(/ACCESS=open/);
    expect(running.output).toContain("npm run portolan -- key add NAME");
    expect(await statusOf(url, null)).toBe(403);
  });

  test("on an address that others can reach it takes the keys that there are", async () => {
    const key = await makeKey();
    const { url } = await start("--host", "0.0.0.0");
    expect(await statusOf(url, null)).toBe(401);
    expect(await statusOf(url, key)).toBe(200);
  });
});

describe("with ACCESS=open", () => {
  test("on an address that others can reach, it warns in one line", async () => {
    const { running } = await start("--host", "0.0.0.0", "--var", "ACCESS=open");
    await running.line(/docker pull/);
    await expect.poll(() => running.errors.trim()).toMatch(WARNING);
    expect(running.errors.trim().split("\n")).toHaveLength(1);
  });
});

describe("with ACCESS=keys", () => {
  test("it takes the keys of access-keys.json and no others, and says how to log in", async () => {
    const key = await makeKey();
    const { running, url } = await start(...KEYED, "--host", "0.0.0.0");
    await running.line(/docker login/);
    expect(running.output).toContain("for the holders of 1 key");
    expect(running.errors).toBe("");
    expect(await statusOf(url, null)).toBe(401);
    expect(await statusOf(url, "a".repeat(32))).toBe(401);
    expect(await statusOf(url, key)).toBe(200);
    expect(await statusOf(url, null, `/${key}/v2/`)).toBe(200);
  });

  test("tokens outlive a restart: the signing secret is made once, for the owner's eyes", async () => {
    const key = await makeKey();
    const tokenOf = async (url: string): Promise<string> => {
      const response = await fetch(`${url}/_/token`, {
        headers: { Authorization: `Basic ${btoa(`u:${key}`)}` },
      });
      const { token }: { token: string } = await response.json();
      return token;
    };
    const first = await start(...KEYED);
    const token = await tokenOf(first.url);
    const secret = await readFile(join(folder, ".portolan", "signing-secret"), "utf8");
    expect((await stat(join(folder, ".portolan", "signing-secret"))).mode & 0o777).toBe(0o600);
    await first.running.stop();
    const again = await start(...KEYED, "--port", new URL(first.url).port);
    expect(await readFile(join(folder, ".portolan", "signing-secret"), "utf8")).toBe(secret);
    const response = await fetch(`${again.url}/v2/`, { headers: { Authorization: `Bearer ${token}` } });
    expect(response.status).toBe(200);
  });

  test("ACCESS_KEYS given by --var counts, and the file doesn't", async () => {
    const key = await makeKey();
    const { url } = await start(...KEYED, "--var", "ACCESS_KEYS=[]");
    expect(await statusOf(url, key)).toBe(403);
  });

  test("--keys names another file", async () => {
    const key = await makeKey();
    await rename(join(folder, "access-keys.json"), join(folder, "others.json"));
    const { url } = await start(...KEYED, "--keys", "others.json");
    expect(await statusOf(url, key)).toBe(200);
  });

  test("the environment sets variables, which --var overrides", async () => {
    const key = await makeKey();
    const environment = {
      PORTOLAN_ACCESS: "keys",
      PORTOLAN_MIRROR: "https://mirror.example.com",
      // As Kubernetes sets them for a service of this name.
      PORTOLAN_PORT: "tcp://10.0.0.1:8787",
      PORTOLAN_PORT_8787_TCP_PROTO: "tcp",
      PORTOLAN_SERVICE_HOST: "10.0.0.1",
    };
    running = new Start(["--port", "0"], { folder, environment });
    const closed = await running.ready();
    expect([await statusOf(closed, null), await statusOf(closed, key)]).toEqual([401, 200]);
    await running.stop();
    running = new Start(["--port", "0", "--var", "ACCESS=open"], { folder, environment });
    expect(await statusOf(await running.ready(), null)).toBe(200);
  });

  test("without any key it says how one is made", async () => {
    const { running, url } = await start(...KEYED);
    await running.line(/no keys yet/);
    expect(await running.line(/key add/)).toContain("npm run portolan -- key add NAME");
    expect(await statusOf(url, null)).toBe(403);
  });

  test("a list that can't be used is refused at the start", async () => {
    await writeFile(join(folder, "access-keys.json"), "[{");
    const { code, errors, output } = await refused(["--port", "0", ...KEYED], { folder });
    expect([code, output]).toEqual([2, ""]);
    expect(errors).toMatch(/access-keys\.json isn't valid JSON/);
  });
});
