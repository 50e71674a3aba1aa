/** `npm run deploy` and `key push` against a Wrangler that only writes down how it was called. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { within } from "../../sockets/support/deadline.ts";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));

/** Answers `secret list` with FAKE_SECRETS, or fails as Wrangler does; everything else succeeds or ends with FAKE_CODE. */
const FAKE = `#!${process.execPath}
const { appendFileSync, readFileSync, statSync } = require("node:fs");
const args = process.argv.slice(2);
const stdin = process.stdin.isTTY ? "" : readFileSync(0, "utf8");
const at = args.indexOf("--secrets-file");
const file = at === -1 ? null : args[at + 1];
const secrets = file && { path: file, mode: statSync(file).mode & 0o777, text: readFileSync(file, "utf8") };
appendFileSync(process.env.FAKE_CALLS, JSON.stringify({ args, stdin, secrets }) + "\\n");
if (args[0] === "secret" && args[1] === "list") {
  const { FAKE_SECRETS, FAKE_FAILURE } = process.env;
  if (FAKE_FAILURE) { console.error(FAKE_FAILURE); process.exit(1); }
  if (!FAKE_SECRETS) { console.error('✘ [ERROR] Worker "portolan" not found.'); process.exit(1); }
  console.log(FAKE_SECRETS);
} else process.exit(Number(process.env.FAKE_CODE ?? 0));
`;

interface Call {
  args: string[];
  stdin: string;
  /** The file of --secrets-file as it was during the call. */
  secrets: { path: string; mode: number; text: string } | null;
}

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "portolan-deploy-test-"));
  await mkdir(join(folder, "bin"));
  const fake = join(folder, "bin", "wrangler");
  await writeFile(fake, FAKE);
  await chmod(fake, 0o755);
  await copyFile(join(ROOT, "wrangler.toml"), join(folder, "wrangler.toml"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

interface Outcome {
  code: number | null;
  output: string;
  errors: string;
  calls: Call[];
}

async function run(script: string, args: readonly string[], environment: Record<string, string> = {}) {
  const record = join(folder, "calls");
  await rm(record, { force: true });
  const child = spawn(process.execPath, [join(ROOT, "scripts", script), ...args], {
    cwd: folder,
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      PATH: [join(folder, "bin"), dirname(process.execPath)].join(":"),
      ...{ HOME: folder, TMPDIR: folder, FAKE_CALLS: record, ...environment },
    },
  });
  const outcome: Outcome = { code: null, output: "", errors: "", calls: [] };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    outcome.output += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    outcome.errors += text;
  });
  await within(`${script} to end`, 20_000, once(child, "close"));
  outcome.code = child.exitCode;
  if (existsSync(record)) {
    const lines = (await readFile(record, "utf8")).trimEnd().split("\n");
    outcome.calls = lines.map((line): Call => JSON.parse(line));
  }
  return outcome;
}

const deploy = (args: readonly string[] = [], environment?: Record<string, string>) =>
  run("portolan.js", ["deploy", ...args], environment);

/** Makes a key and returns it. */
async function addKey(name: string): Promise<string> {
  const { output } = await run("portolan.js", ["key", "add", name, "--json"]);
  return JSON.parse(output).key;
}

function secretsOf({ calls }: Outcome): Record<string, string> {
  return JSON.parse(calls.find(({ args }) => args[0] === "deploy")?.secrets?.text ?? "{}");
}

function namesIn(list: string | undefined): string[] {
  const keys: { name: string }[] = JSON.parse(list ?? "[]");
  return keys.map(({ name }) => name);
}

const DEPLOYED = JSON.stringify(
  ["ACCESS_KEYS", "SIGNING_SECRET"].map((name) => ({ name, type: "secret_text" })),
);

describe("npm run deploy", () => {
  test("deploys nothing that nobody said should be open, and says what to do", async () => {
    const { code, errors, calls } = await deploy();
    expect(code).toBe(2);
    expect(errors).toMatch(/npm run portolan -- key add NAME[\s\S]*npm run deploy -- --open/);
    expect(errors).not.toMatch(/^\s+at /m);
    expect(calls.map(({ args }) => args[0])).not.toContain("deploy");
  });

  test("deploys for the holders of keys, with all secrets in one go and none in an argument", async () => {
    const key = await addKey("alice");
    const outcome = await deploy();
    expect(outcome.errors).toBe("");
    expect(outcome.code).toBe(0);
    expect(outcome.output).toContain("alice");
    const [list, deployed, ...more] = outcome.calls;
    expect(list?.args).toEqual(["secret", "list", "--format", "json"]);
    expect(deployed?.args).toEqual([
      "deploy",
      "--var",
      "ACCESS:keys",
      "--secrets-file",
      deployed?.secrets?.path,
    ]);
    expect(more).toEqual([]);
    const { ACCESS_KEYS, SIGNING_SECRET = "", ...others } = secretsOf(outcome);
    expect(namesIn(ACCESS_KEYS)).toEqual(["alice"]);
    expect(SIGNING_SECRET).toMatch(/^[\w-]{43}$/);
    expect(others).toEqual({});
    expectNoSecretIn(outcome, [key, SIGNING_SECRET, hashIn(ACCESS_KEYS)]);
    expect(deployed?.secrets?.mode).toBe(0o600);
    expect(existsSync(deployed?.secrets?.path ?? "")).toBe(false);
  });

  test("makes a signing secret once: the next deploy leaves the deployed one alone", async () => {
    await addKey("alice");
    const outcome = await deploy([], { FAKE_SECRETS: DEPLOYED });
    expect(Object.keys(secretsOf(outcome))).toEqual(["ACCESS_KEYS"]);
  });

  test("leaves the deployed keys alone where there is no list", async () => {
    const outcome = await deploy([], { FAKE_SECRETS: DEPLOYED });
    expect(outcome.code).toBe(0);
    expect(outcome.calls[1]?.args).toEqual(["deploy", "--var", "ACCESS:keys"]);
  });

  test("--open deploys for everybody and asks for nothing", async () => {
    const { code, calls, output } = await deploy(["--open"]);
    expect(code).toBe(0);
    expect(calls.map(({ args }) => args)).toEqual([["deploy", "--var", "ACCESS:open"]]);
    expect(output).toContain("open to everybody");
  });

  test("--dry-run asks nobody and hands over no secret", async () => {
    await addKey("alice");
    const { calls, output } = await deploy(["--dry-run", "--outdir", "dist"]);
    expect(calls.map(({ args }) => args)).toEqual([
      ["deploy", "--var", "ACCESS:keys", "--dry-run", "--outdir", "dist"],
    ]);
    expect(output).toContain("would be for the holders of access keys: alice");
  });

  test("hands on what is Wrangler's, and asks for the secrets of the same Worker", async () => {
    await addKey("alice");
    const toml = await readFile(join(folder, "wrangler.toml"), "utf8");
    await writeFile(join(folder, "wrangler.toml"), `${toml}\n[env.staging.vars]\nTAG_TTL = 60\n`);
    const { calls } = await deploy(["--env", "staging", "--minify", "--var", "STALE_MAX:60", "--tag", "v1"]);
    expect(calls[0]?.args).toEqual(["secret", "list", "--format", "json", "--env", "staging"]);
    expect(calls[1]?.args).toEqual([
      ...["deploy", "--env", "staging", "--var", "STALE_MAX:60", "--var", "ACCESS:keys"],
      ...["--secrets-file", calls[1]?.secrets?.path, "--minify", "--tag", "v1"],
    ]);
  });

  test.each([
    [["--var", "ACCESS:open"], /ACCESS .*--open/],
    [["--var", "TAG_TTL:soon"], /TAG_TTL/],
    [["--open", "--var", "PRIVATE:ghcr.io/owner/*"], /PRIVATE/],
    [["--secrets-file", "x"], /--secrets-file .*wrangler secret put/],
  ])("refuses %j and deploys nothing", async (args, message) => {
    await addKey("alice");
    const { code, errors, calls } = await deploy(args);
    expect(code).toBe(2);
    expect(errors).toMatch(message);
    expect(calls.map((call) => call.args[0])).not.toContain("deploy");
  });

  test("deploys nothing where Wrangler can't say which secrets there are, and passes on why", async () => {
    await addKey("alice");
    const { code, errors, calls } = await deploy([], { FAKE_FAILURE: "You are not authenticated" });
    expect(code).toBe(2);
    expect(errors).toMatch(/wrangler login[\s\S]*You are not authenticated/);
    expect(calls.map(({ args }) => args[0])).toEqual(["secret"]);
  });

  test("ends as Wrangler ends, and leaves no secret behind", async () => {
    await addKey("alice");
    const { code, calls, output } = await deploy([], { FAKE_CODE: "3" });
    expect(code).toBe(3);
    expect(output).not.toContain("The mirror is");
    expect(existsSync(calls[1]?.secrets?.path ?? "")).toBe(false);
  });
});

describe("key push", () => {
  const push = (args: readonly string[] = [], environment?: Record<string, string>) =>
    run("portolan.js", ["key", "push", ...args], environment);

  test("hands the list over by standard input", async () => {
    const key = await addKey("alice");
    const outcome = await push(["--env", "staging"]);
    expect(outcome.code).toBe(0);
    expect(outcome.output).toContain("1 key");
    const [{ args, stdin } = { args: [], stdin: "{}" }, ...more] = outcome.calls;
    expect(more).toEqual([]);
    expect(args).toEqual(["secret", "bulk", "--env", "staging"]);
    const { ACCESS_KEYS, ...others } = JSON.parse(stdin);
    expect(namesIn(ACCESS_KEYS)).toEqual(["alice"]);
    expect(others).toEqual({});
    expectNoSecretIn(outcome, [key, hashIn(ACCESS_KEYS)]);
  });

  test("uploads nothing without a list, and fails where Wrangler does", async () => {
    const without = await push();
    expect([without.code, without.calls]).toEqual([2, []]);
    expect(without.errors).toContain("key add NAME");
    await addKey("alice");
    const failed = await push([], { FAKE_CODE: "1" });
    expect(failed.code).toBe(2);
    expect(failed.errors).toContain("the deployed keys are as they were");
  });
});

/** A hash opens nothing, but whoever sees it knows which key is whose. */
function hashIn(list: string | undefined): string {
  return JSON.parse(list ?? "[]")[0]?.hash ?? "";
}

function expectNoSecretIn({ calls, output, errors }: Outcome, secrets: readonly string[]): void {
  const seen = JSON.stringify(calls.map(({ args }) => args)) + output + errors;
  for (const secret of secrets) {
    expect(secret).not.toBe("");
    expect(seen).not.toContain(secret);
  }
}
