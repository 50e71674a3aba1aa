/** `npm run deploy` and `key push` with a Wrangler that only writes down how it was called. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { installedWrangler, type Wrangler } from "../../../scripts/deploy/wrangler.ts";
import { portolan, spawnPortolan } from "../support/portolan.ts";

interface Call {
  args: readonly string[];
  stdin: string;
  /** The file of --secrets-file as it was during the call. */
  secrets: { path: string; mode: number; text: string } | null;
}

interface Behaviour {
  /** What `secret list` prints; left out, there is no such Worker yet. */
  secrets?: string;
  /** What `secret list` fails with. */
  failure?: string;
  /** What everything else exits with. */
  code?: number;
}

/** A Wrangler that writes down how it is called. */
function fakeWrangler(calls: Call[], { secrets, failure, code = 0 }: Behaviour): Wrangler {
  return {
    readVars: async () => ({}),
    run: async (args, { input = "" } = {}) => {
      const at = args.indexOf("--secrets-file");
      const path = at === -1 ? null : (args[at + 1] ?? "");
      calls.push({
        args,
        stdin: input,
        secrets:
          path === null
            ? null
            : { path, mode: statSync(path).mode & 0o777, text: readFileSync(path, "utf8") },
      });
      if (args[0] !== "secret" || args[1] !== "list") return { code, output: "", errors: "" };
      if (failure !== undefined) return { code: 1, output: "", errors: failure };
      if (secrets !== undefined) return { code: 0, output: secrets, errors: "" };
      return { code: 1, output: "", errors: '✘ [ERROR] Worker "portolan" not found.' };
    },
  };
}

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "portolan-deploy-test-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

interface Outcome {
  code: number | null;
  output: string;
  errors: string;
  calls: Call[];
}

async function run(args: readonly string[], behaviour: Behaviour = {}): Promise<Outcome> {
  const calls: Call[] = [];
  const finished = await portolan(args, { cwd: folder, wrangler: fakeWrangler(calls, behaviour) });
  return { ...finished, calls };
}

const deploy = (args: readonly string[] = [], behaviour?: Behaviour) => run(["deploy", ...args], behaviour);

/** Makes a key and returns it. */
async function addKey(name: string): Promise<string> {
  const { output } = await run(["key", "add", name, "--json"]);
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
  test("deploys nothing without keys or a word that it is to be open, and says what to do", async () => {
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
    const outcome = await deploy([], { secrets: DEPLOYED });
    expect(Object.keys(secretsOf(outcome))).toEqual(["ACCESS_KEYS"]);
  });

  test("leaves the deployed keys alone where there is no list", async () => {
    const outcome = await deploy([], { secrets: DEPLOYED });
    expect(outcome.code).toBe(0);
    expect(outcome.calls[1]?.args).toEqual(["deploy", "--var", "ACCESS:keys"]);
  });

  test("--open deploys for everyone and requests nothing", async () => {
    const { code, calls, output } = await deploy(["--open"]);
    expect(code).toBe(0);
    expect(calls.map(({ args }) => args)).toEqual([["deploy", "--var", "ACCESS:open"]]);
    expect(output).toContain("open to everyone");
  });

  test("--dry-run sends no request and hands over no secret", async () => {
    await addKey("alice");
    const { calls, output } = await deploy(["--dry-run", "--outdir", "dist"]);
    expect(calls.map(({ args }) => args)).toEqual([
      ["deploy", "--var", "ACCESS:keys", "--dry-run", "--outdir", "dist"],
    ]);
    expect(output).toContain("would be for the holders of access keys: alice");
  });

  test("hands on what is Wrangler's, and requests the secrets of the same Worker", async () => {
    await addKey("alice");
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
    const { code, errors, calls } = await deploy([], { failure: "You are not authenticated" });
    expect(code).toBe(2);
    expect(errors).toMatch(/wrangler login[\s\S]*You are not authenticated/);
    expect(calls.map(({ args }) => args[0])).toEqual(["secret"]);
  });

  test("exits as Wrangler exits, and leaves no secret behind", async () => {
    await addKey("alice");
    const { code, calls, output } = await deploy([], { code: 3 });
    expect(code).toBe(3);
    expect(output).not.toContain("The mirror is");
    expect(existsSync(calls[1]?.secrets?.path ?? "")).toBe(false);
  });
});

describe("key push", () => {
  const push = (args: readonly string[] = [], behaviour?: Behaviour) =>
    run(["key", "push", ...args], behaviour);

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
    const failed = await push([], { code: 1 });
    expect(failed.code).toBe(2);
    expect(failed.errors).toContain("the deployed keys are as they were");
  });
});

/** Wrangler itself stands in for every other test: this one has a program that prints what it was called with. */
test("the Wrangler on the PATH is run, with the variables of its configuration and the terminal's streams", async () => {
  const program = join(folder, "wrangler");
  await writeFile(
    program,
    '#!/bin/sh\necho "called with $*"; [ "$1" = deploy ] || exit 1\necho $WRANGLER_SEND_METRICS',
  );
  await chmod(program, 0o755);
  await writeFile(join(folder, "wrangler.toml"), 'name = "portolan"\n[env.staging.vars]\nTAG_TTL = "soon"\n');
  const environment = { PATH: `${folder}:${process.env.PATH}` };
  const open = await spawnPortolan(["deploy", "--open"], { cwd: folder, environment });
  expect(open.errors).toBe("");
  expect(open.output).toMatch(
    /^called with deploy --var ACCESS:open\nfalse\n\nThe mirror is open to everyone/,
  );
  expect(open.code).toBe(0);
  const wrangler = installedWrangler({ env: environment, cwd: folder });
  expect(await wrangler.readVars({ env: "staging" })).toMatchObject({ TAG_TTL: "soon" });
});

test("without development dependencies it says what to install", async () => {
  const wrangler = installedWrangler({ env: { PATH: folder }, cwd: folder });
  await expect(wrangler.run(["deploy"])).rejects.toThrow("npm install without --omit=dev");
});

/** A hash opens nothing, but shows which key is whose. */
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
