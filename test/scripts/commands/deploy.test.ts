/** `npm run deploy` and `key push` with a Wrangler that only writes down how it was called. */
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "smol-toml";
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
  /** Where it says that the mirror is reached. */
  targets?: string[];
}

/** A Wrangler that writes down how it is called. */
function fakeWrangler(calls: Call[], { secrets, failure, code = 0, targets }: Behaviour): Wrangler {
  return {
    readVars: async () => ({}),
    run: async (args, { input = "", report } = {}) => {
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
      if (args[0] === "whoami") return { code: failure === undefined ? 0 : 1, output: "", errors: "" };
      if (args[0] === "deploy" && report !== undefined && targets !== undefined) {
        writeFileSync(report, `${JSON.stringify({ type: "deploy", targets })}\n`);
      }
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
  ["ACCESS_KEYS", "SIGNING_SECRET", "ADMIN_KEY"].map((name) => ({ name, type: "secret_text" })),
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
    const { ACCESS_KEYS, SIGNING_SECRET = "", ADMIN_KEY = "", ...others } = secretsOf(outcome);
    expect(namesIn(ACCESS_KEYS)).toEqual(["alice"]);
    for (const made of [SIGNING_SECRET, ADMIN_KEY]) expect(made).toMatch(/^[\w-]{43}$/);
    expect(ADMIN_KEY).not.toBe(SIGNING_SECRET);
    expect(others).toEqual({});
    expectNoSecretIn(outcome, [key, SIGNING_SECRET, ADMIN_KEY, hashIn(ACCESS_KEYS)]);
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

  test("deploys nothing without a login, and names the permissions of a token", async () => {
    await addKey("alice");
    const { code, errors, calls } = await deploy([], { failure: "You are not authenticated" });
    expect(code).toBe(2);
    expect(errors).toMatch(/wrangler login[\s\S]*CLOUDFLARE_API_TOKEN[\s\S]*Workers Scripts: Edit/);
    expect(calls.map(({ args }) => args[0])).toEqual(["secret", "whoami"]);
  });

  test("exits as Wrangler exits, and leaves no secret behind", async () => {
    await addKey("alice");
    const { code, calls, output } = await deploy([], { code: 3 });
    expect(code).toBe(3);
    expect(output).not.toContain("The mirror is");
    expect(existsSync(calls[1]?.secrets?.path ?? "")).toBe(false);
  });
});

describe("what is chosen", () => {
  const FILE = `# Of mine
name = "portolan" # the Worker

[[r2_buckets]]
binding = "STORE"
bucket_name = "portolan-store"

[[kv_namespaces]]
binding = "TAGS"

[vars]
# DOMAIN = "example.com"
TAG_TTL = 60 # seconds
`;
  const file = () => readFileSync(join(folder, "wrangler.toml"), "utf8");
  beforeEach(async () => {
    await writeFile(join(folder, "wrangler.toml"), FILE);
    await addKey("alice");
  });

  test("goes into wrangler.toml between its comments, is shown, and changes nothing when it is repeated", async () => {
    const choices = [
      "--domain",
      "example.com",
      "--upstream",
      "docker.io",
      "--upstream",
      "ghcr.io",
      "--limit",
      "50 GB",
    ];
    const { code, output, errors } = await deploy([...choices, "--no-doctor"]);
    expect([code, errors]).toEqual([0, ""]);
    const written = file();
    expect(parse(written)).toMatchObject({
      workers_dev: false,
      preview_urls: false,
      routes: [
        { pattern: "docker.example.com", custom_domain: true },
        { pattern: "ghcr.example.com", custom_domain: true },
      ],
      vars: { DOMAIN: "example.com", CACHE_LIMIT: "50 GB", TAG_TTL: 60 },
    });
    for (const line of FILE.split("\n")) expect(written).toContain(line);
    expect(output).toContain('+DOMAIN = "example.com"');
    expect(output).toContain("npm run portolan -- config docker --mirror https://docker.example.com");
    const again = await deploy([...choices, "--no-doctor"], { secrets: DEPLOYED });
    expect(file()).toBe(written);
    expect(again.output).not.toContain("DOMAIN =");
    expect(Object.keys(secretsOf(again))).toEqual(["ACCESS_KEYS"]);
  });

  test("--dry-run shows it, gives Wrangler a changed copy, and leaves everything as it was", async () => {
    const { code, output, calls } = await deploy(["--host", "mirror.example.com", "--dry-run"]);
    expect(code).toBe(0);
    expect(output).toContain('+routes = [ { pattern = "mirror.example.com", custom_domain = true } ]');
    expect(calls.map(({ args }) => args[0])).toEqual(["deploy"]);
    const copy = calls[0]?.args[calls[0].args.indexOf("--config") + 1] ?? "";
    expect(copy).toContain(folder);
    expect(existsSync(copy)).toBe(false);
    expect(file()).toBe(FILE);
    expect(existsSync(join(folder, "admin-keys.json"))).toBe(false);
  });

  test("the admin key of a first deploy is kept for the mirror's address, and a later one leaves it alone", async () => {
    const targets = ["https://portolan.me.workers.dev", "schedule: 17 * * * *"];
    const first = await deploy(["--no-doctor"], { targets });
    const kept = () => JSON.parse(readFileSync(join(folder, "admin-keys.json"), "utf8"));
    const { ADMIN_KEY } = secretsOf(first);
    expect(kept()).toEqual({ "https://portolan.me.workers.dev": ADMIN_KEY });
    expect(first.output).not.toContain(ADMIN_KEY);
    await deploy(["--no-doctor"], { targets, secrets: DEPLOYED });
    expect(kept()).toEqual({ "https://portolan.me.workers.dev": ADMIN_KEY });
  });

  test("the doctor looks at the mirror afterwards, and what it finds isn't the deploy's exit code", async () => {
    const { code, output } = await deploy([], { targets: ["https://mirror.invalid"], secrets: DEPLOYED });
    expect(output).toMatch(/https:\/\/mirror\.invalid\n[\s\S]*✗/);
    expect(output).toContain("npm run portolan -- doctor --mirror https://mirror.invalid");
    expect(code).toBe(0);
  });

  test.each([
    [["--host", "Mirror.example.com"], /isn't a host name/],
    [["--domain", "example.com", "--upstream", "example.org"], /isn't a registry/],
    [["--wildcard"], /--domain/],
    [["--host", "mirror.example.com", "--limit", "much"], /CACHE_LIMIT/],
    [["--name", "second"], /share the bucket portolan-store/],
  ])("%j is refused before anything is deployed", async (args, message) => {
    const { code, errors, calls } = await deploy(args);
    expect(errors).toMatch(message);
    expect(code).toBe(2);
    expect(calls.map((call) => call.args[0])).not.toContain("deploy");
  });
});

test("a cache in front of access control is refused", async () => {
  await addKey("alice");
  const cached = 'name = "portolan"\n[cache]\nenabled = true\n';
  await writeFile(join(folder, "wrangler.toml"), cached);
  const { code, errors, calls } = await deploy(["--no-doctor"]);
  expect(errors).toContain("in front of access control");
  expect([code, calls]).toEqual([2, []]);
  const safe = '[exports.default]\ntype = "worker"\ncache = { enabled = false }\n';
  await writeFile(join(folder, "wrangler.toml"), cached + safe);
  expect((await deploy(["--no-doctor"])).code).toBe(0);
});

describe("undeploy", () => {
  const FILE =
    'name = "portolan"\n[[r2_buckets]]\nbinding = "STORE"\nbucket_name = "portolan-store"\n[[kv_namespaces]]\nbinding = "TAGS"\n';
  beforeEach(() => writeFile(join(folder, "wrangler.toml"), FILE));

  test("asks first, and says what it leaves", async () => {
    const without = await run(["undeploy"]);
    expect([without.code, without.calls]).toEqual([2, []]);
    expect(without.errors).toContain("--yes");
    const { code, calls, output } = await run(["undeploy", "--yes"]);
    expect(code).toBe(0);
    expect(calls.map(({ args }) => args)).toEqual([["delete", "--force"]]);
    expect(output).toMatch(/the bucket portolan-store, the namespace portolan-tags/);
  });

  test("--content removes nothing where the mirror that is to empty its store can't be reached", async () => {
    const { code, calls, errors } = await run([
      ...["undeploy", "--yes", "--content", "--mirror", "http://127.0.0.1:1"],
      ...["--admin-key-file", "/dev/null"],
    ]);
    expect(errors).toContain("nothing was removed");
    expect([code, calls]).toEqual([2, []]);
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
