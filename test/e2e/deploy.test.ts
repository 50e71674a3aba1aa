/** Real deploys: Wrangler itself, against Cloudflare's API on loopback. */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";
import { page } from "../scripts/support/documentation.ts";
import { type Platform, startPlatform } from "../scripts/support/platform.ts";
import { PROJECT } from "../scripts/support/portolan.ts";
import { within } from "../sockets/support/deadline.ts";

let folder: string;
let platform: Platform;
beforeEach(async () => {
  platform = await startPlatform();
  folder = await mkdtemp(join(tmpdir(), "portolan-platform-"));
  for (const name of ["src", "scripts", "wrangler.toml", "package.json", "tsconfig.json"]) {
    await cp(join(PROJECT, name), join(folder, name), { recursive: true });
  }
  await symlink(join(PROJECT, "node_modules"), join(folder, "node_modules"));
});
afterEach(async () => {
  await platform.close();
  await rm(folder, { recursive: true, force: true });
});

async function npm(...args: string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn("npm", ["run", "--silent", ...args], {
    cwd: folder,
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env.PATH, HOME: folder, CI: "true", ...platform.environment },
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  try {
    await within(`npm run ${args.join(" ")} to end`, 110_000, once(child, "close"));
  } finally {
    child.kill("SIGKILL");
  }
  return { code: child.exitCode, output };
}

const file = () => readFile(join(folder, "wrangler.toml"), "utf8");
const secrets = () =>
  Object.fromEntries(
    (platform.worker?.bindings ?? [])
      .filter(({ type }) => type === "secret_text")
      .map(({ name, text }) => [name, text]),
  );
const changes = () => platform.requests.filter((request) => !request.startsWith("GET "));

test("a first deploy creates everything at once, a second changes the Worker alone, and undeploy leaves nothing", {
  timeout: 300_000,
}, async () => {
  await npm("portolan", "--", "key", "add", "alice");
  const first = await npm("deploy", "--", "--host", "mirror.example.com", "--no-doctor");
  expect(first.output).toContain("for the holders of access keys: alice");
  expect(first.code).toBe(0);
  expect(platform.worker?.bindings).toContainEqual({ name: "ACCESS", type: "plain_text", text: "keys" });
  expect(platform.worker?.migrations?.new_tag).toBe("v1");
  const uploaded = secrets();
  expect(Object.keys(uploaded).sort()).toEqual(["ACCESS_KEYS", "ADMIN_KEY", "SIGNING_SECRET"]);
  expect([platform.buckets, platform.namespaces.map(({ title }) => title)]).toEqual([
    ["portolan-store"],
    ["portolan-tags"],
  ]);
  expect(platform.domains).toEqual(["mirror.example.com"]);
  const kept = JSON.parse(await readFile(join(folder, "admin-keys.json"), "utf8"));
  expect(kept).toEqual({ "https://mirror.example.com": uploaded.ADMIN_KEY });
  for (const secret of Object.values(uploaded)) expect(first.output).not.toContain(secret);

  const written = await file();
  platform.requests.length = 0;
  const second = await npm("deploy", "--", "--no-doctor");
  expect([second.code, await file()]).toEqual([0, written]);
  expect(secrets()).toEqual(uploaded);
  expect(changes().filter((request) => /buckets|namespaces/.test(request))).toEqual([]);

  const removed = await npm("portolan", "--", "undeploy", "--yes");
  expect(removed.output).toContain("the bucket portolan-store");
  expect([removed.code, platform.worker, platform.buckets]).toEqual([0, null, ["portolan-store"]]);
});

test("without a valid token nothing is changed, and its permissions are named", {
  timeout: 120_000,
}, async () => {
  await npm("portolan", "--", "key", "add", "alice");
  platform.environment.CLOUDFLARE_API_TOKEN = "another";
  const { code, output } = await npm("deploy", "--", "--no-doctor");
  expect(output).toContain("Account: Workers Scripts: Edit");
  expect([code, changes()]).toEqual([2, []]);
});

test("the one file is uploaded by the command of docs/dashboard.md, with all that the Worker is bound to", {
  timeout: 120_000,
}, async () => {
  const built = await npm("build");
  expect([built.code, built.output]).toEqual([0, expect.stringContaining("dist/portolan.js")]);
  const command = page("docs/dashboard.md").blocks.find(({ text }) => text.startsWith("curl "))?.text ?? "";
  const { CLOUDFLARE_API_BASE_URL: api = "", CLOUDFLARE_ACCOUNT_ID: account = "" } = platform.environment;
  const here = command
    .replace("https://api.cloudflare.com/client/v4", api)
    .replace("/ACCOUNT/", `/${account}/`);
  const { stdout } = await promisify(execFile)("bash", ["-c", here], {
    cwd: join(folder, "dist"),
    env: { PATH: process.env.PATH, ...platform.environment },
  });
  expect(JSON.parse(stdout)).toMatchObject({ success: true, errors: [] });
  expect(platform.worker?.migrations?.new_tag).toBe("v1");
  expect(platform.worker?.bindings.map(({ name, type }) => `${type} ${name}`).sort()).toEqual([
    "durable_object_namespace FILLS",
    "durable_object_namespace HOSTED",
    "durable_object_namespace LEDGER",
    "durable_object_namespace REPOSITORIES",
    "kv_namespace TAGS",
    "plain_text ACCESS",
    "r2_bucket STORE",
    "ratelimit ADDRESSES",
    "version_metadata VERSION",
  ]);
});
