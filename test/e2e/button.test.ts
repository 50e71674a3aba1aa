/**
 * The steps of the deploy button, in a copy of the repository: the form is filled in from `.dev.vars.example`, the bindings'
 * names are replaced, and the build service runs `npm run deploy`. Whatever its user does, the mirror isn't open.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { parseEnv } from "node:util";
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from "miniflare";
import { parse } from "smol-toml";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { uploadMetadata } from "../../scripts/deploy/upload-metadata.ts";
import { readConfig } from "../../src/config.ts";
import { PROJECT } from "../scripts/support/portolan.ts";
import { within } from "../sockets/support/deadline.ts";

/** What a clone doesn't have. */
const NOT_CLONED = [
  ...[".git", "node_modules", ".wrangler", ".portolan", ".dev.vars", "coverage", "dist", "bundled"],
  ...["access-keys.json", "admin-keys.json"],
];
/** What Wrangler would send to Cloudflare. */
const UPLOAD = "upload.form";
const TYPED_IN = "0123456789abcdef0123456789abcdef";

let clone: string;
const stops: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  clone = await mkdtemp(join(tmpdir(), "portolan-button-"));
  await cp(PROJECT, clone, { recursive: true, filter: (path) => !NOT_CLONED.includes(basename(path)) });
  await symlink(join(PROJECT, "node_modules"), join(clone, "node_modules"));
});
afterAll(() => rm(clone, { recursive: true, force: true }));
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

/** Runs what the build service runs, with Wrangler's dry run. */
async function build(): Promise<{ code: number | null; output: string }> {
  const child = spawn("npm", ["run", "deploy", "--", "--dry-run", "--outfile", UPLOAD], {
    cwd: clone,
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env.PATH, HOME: clone, CI: "true", WORKERS_CI: "1" },
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  try {
    await within("npm run deploy to end", 55_000, once(child, "close"));
  } finally {
    child.kill("SIGKILL");
  }
  return { code: child.exitCode, output };
}

interface Upload {
  code: string;
  bindings: { name: string; type: string; text?: string; bucket_name?: string; class_name?: string }[];
}

async function uploaded(): Promise<Upload> {
  const body = await readFile(join(clone, UPLOAD), "utf8");
  const boundary = /^--(\S+)/.exec(body)?.[1] ?? "";
  const headers = { "Content-Type": `multipart/form-data; boundary=${boundary}` };
  const form = await new Response(body, { headers }).formData();
  const { main_module, bindings } = JSON.parse(String(form.get("metadata")));
  const code = form.get(main_module);
  return { code: code instanceof Blob ? await code.text() : "", bindings };
}

/** The Worker as it would be uploaded, with the secret that was typed in. */
async function deployed({ code, bindings }: Upload, adminKey: string): Promise<Miniflare> {
  const ofType = (type: string) => bindings.filter((binding) => binding.type === type);
  const mirror = new Miniflare(
    convertV4MiniflareOptions({
      name: "portolan",
      modules: true,
      script: code,
      compatibilityDate: "2026-11-17",
      bindings: {
        ...Object.fromEntries(ofType("plain_text").map(({ name, text = "" }) => [name, text])),
        ADMIN_KEY: adminKey,
      },
      r2Buckets: ["STORE"],
      kvNamespaces: ["TAGS"],
      durableObjects: Object.fromEntries(
        ofType("durable_object_namespace").map(({ name, class_name: className = "" }) => [
          name,
          { className, useSQLite: true },
        ]),
      ),
      cf: false,
      telemetry: { enabled: false },
      log: new Log(LogLevel.NONE),
      handleStructuredLogs: () => {},
    }),
  );
  stops.push(() => mirror.dispose());
  return mirror;
}

/** A namespace without an id is one that Wrangler finds by its name. */
function nameAndType({ name, type }: { name: string; type: string }): string {
  return `${name}: ${type === "inherit" ? "kv_namespace" : type}`;
}

async function exampleSecrets(): Promise<NodeJS.Dict<string>> {
  return parseEnv(await readFile(join(clone, ".dev.vars.example"), "utf8"));
}

test("the form has one secret, whose value can't be left as it is, and every binding has a default name or gets one", async () => {
  const secrets = await exampleSecrets();
  expect(Object.keys(secrets)).toEqual(["ADMIN_KEY"]);
  expect(() => readConfig(secrets)).toThrow(/ADMIN_KEY: must be text of 32 characters/);
  const { cloudflare } = JSON.parse(await readFile(join(clone, "package.json"), "utf8"));
  for (const name of ["ADMIN_KEY", "STORE", "TAGS"]) {
    expect(cloudflare.bindings[name].description, name).toMatch(/^[A-Z].{20,}\.$/);
  }
  expect(parse(await readFile(join(clone, "wrangler.toml"), "utf8"))).toMatchObject({
    r2_buckets: [{ binding: "STORE", bucket_name: "portolan-store" }],
    // Wrangler names it after the Worker; there is no field for a name, and an id would be of another account.
    kv_namespaces: [{ binding: "TAGS" }],
  });
});

test("the build deploys a closed mirror, whatever the configuration says and without asking", async () => {
  const file = join(clone, "wrangler.toml");
  const original = await readFile(file, "utf8");
  try {
    const chosen = original
      .replace('"portolan-store"', '"my-images"')
      .replace("[vars]\n", '[vars]\nACCESS = "open"\n');
    expect(chosen).toMatch(/my-images[\s\S]*ACCESS = "open"/);
    await writeFile(file, chosen);
    const { code, output } = await build();
    expect(output).toContain("The mirror would be closed");
    expect(code).toBe(0);
  } finally {
    await writeFile(file, original);
  }
  const upload = await uploaded();
  expect(upload.bindings).toContainEqual({ name: "ACCESS", type: "plain_text", text: "keys" });
  expect(upload.bindings).toContainEqual({ name: "STORE", type: "r2_bucket", bucket_name: "my-images" });
  const byHand = uploadMetadata(parse(await readFile(file, "utf8"))).bindings;
  expect(byHand.map(nameAndType).sort()).toEqual(upload.bindings.map(nameAndType).sort());
  const mirror = await deployed(upload, TYPED_IN);
  const ping = await mirror.dispatchFetch("https://mirror.test/v2/");
  expect(ping.status).toBe(403);
  expect(ping.headers.has("WWW-Authenticate")).toBe(false);
  await ping.body?.cancel();
  const pull = await mirror.dispatchFetch("https://mirror.test/v2/library/alpine/manifests/latest");
  expect(pull.status).toBe(403);
  await pull.body?.cancel();

  const { ADMIN_KEY: example = "" } = await exampleSecrets();
  const careless = await deployed(upload, example);
  const headers = { Authorization: `Bearer ${example}` };
  const refused = await careless.dispatchFetch("https://mirror.test/_/status", { headers });
  expect(refused.status).toBe(500);
  expect(await refused.text()).toContain("ADMIN_KEY");
});
