/** A deploy: Wrangler's, with what decides who may use the mirror. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { readIfThere } from "../files.ts";
import { ADMIN_KEYS_FILE, keepAdminKey } from "../keys/admin-keys.ts";
import { readKeyFile } from "../keys/key-file.ts";
import { generateSigningSecret } from "../keys/signing.ts";
import type { Output } from "../terminal/output.ts";
import { addressOf } from "./choices.ts";
import { routesIn } from "./configure.ts";
import { checkFile } from "./file-checks.ts";
import { requireLogin } from "./login.ts";
import { type Plan, planDeploy } from "./plan.ts";
import { addressIn, deployedSecrets, type Wrangler } from "./wrangler.ts";

export interface DeploySettings {
  open: boolean;
  keys: string;
  dryRun: boolean;
  var: string[];
  env?: string;
  config?: string;
  name?: string;
  profile?: string;
}

export interface DeployTools {
  wrangler: Wrangler;
  output: Output;
  cwd: string;
  env: Readonly<Record<string, string | undefined>>;
  /** Whether a person can log in. */
  isTerminal: boolean;
}

export interface Deployed {
  /** Wrangler's exit code. */
  code: number;
  /** The mirror's URL; null where it isn't known. */
  url: string | null;
}

/**
 * Deploys the mirror, for the holders of keys unless it is configured to be open.
 * @param others options that are handed on to Wrangler.
 * @throws Error that says what to do where it must not be deployed as it is.
 */
export async function deploy(
  settings: DeploySettings,
  others: readonly string[],
  tools: DeployTools,
): Promise<Deployed> {
  const { wrangler, output, cwd, env } = tools;
  refuseOthers(settings, others);
  await checkFile(cwd, settings);
  const target = targetOf(settings);
  const isOpen = settings.open;
  // Set by Workers Builds, which runs this for the deploy button.
  const isBuild = ![undefined, "", "0", "false"].includes(env.WORKERS_CI);
  const needsSecrets = !isOpen && !isBuild;
  const plan = planDeploy(
    {
      isOpen,
      vars: await variables(settings, wrangler),
      keys: needsSecrets ? await readKeyFile(resolve(cwd, settings.keys)) : null,
      // A dry run sends no requests.
      deployed: needsSecrets && !settings.dryRun ? await listedSecrets(tools, target, settings) : null,
      adminKey: env.PORTOLAN_ADMIN_KEY || undefined,
      isBuild,
    },
    generateSigningSecret,
  );
  const vars = [...settings.var, `ACCESS:${plan.access}`].flatMap((each) => ["--var", each]);
  const rest = [...(settings.dryRun ? ["--dry-run"] : []), ...others];
  const secrets = settings.dryRun ? {} : plan.secrets;
  const configured = addressOf(await routesIn(cwd, settings.config));
  // Before the deploy: one that fails halfway may have uploaded it.
  if (configured !== null) await keepAdmin(secrets.ADMIN_KEY, configured, tools);
  const { code, url } = await withFolder(async (folder) => {
    const options = await secretsFile(folder, secrets);
    const report = join(folder, "report.ndjson");
    const run = await wrangler.run(["deploy", ...target, ...vars, ...options, ...rest], { report });
    return { code: run.code, url: addressIn((await readIfThere(report)) ?? "") };
  });
  if (code === 0) output.line(reportOf(plan, settings));
  if (settings.dryRun) return { code, url: null };
  if (configured === null) await keepAdmin(secrets.ADMIN_KEY, url, tools);
  return { code, url: configured ?? url };
}

/** The admin key can't be read back from Cloudflare. */
async function keepAdmin(
  key: string | undefined,
  url: string | null,
  { cwd, output }: DeployTools,
): Promise<void> {
  if (key === undefined) return;
  if (url === null) {
    output.line(
      "The mirror's address isn't known here: set an ADMIN_KEY of yours with npx wrangler secret put ADMIN_KEY",
    );
    return;
  }
  await keepAdminKey(cwd, url, key);
  output.line(`Its admin key is in ${ADMIN_KEYS_FILE}: keep the file.`);
}

/** @throws Error if Wrangler isn't logged in, or with Wrangler's own message. */
async function listedSecrets(
  { wrangler, isTerminal }: DeployTools,
  target: readonly string[],
  { profile }: DeploySettings,
): Promise<ReadonlySet<string> | null> {
  try {
    return await deployedSecrets(wrangler, target);
  } catch {
    await requireLogin(wrangler, {
      isTerminal,
      profile: profile === undefined ? [] : ["--profile", profile],
    });
    return deployedSecrets(wrangler, target);
  }
}

/** What would undo what is decided here. */
function refuseOthers({ var: vars }: DeploySettings, others: readonly string[]): void {
  if (vars.some((each) => each.startsWith("ACCESS:"))) {
    throw new Error("ACCESS is decided by --open or its absence; leave it out of --var");
  }
  if (others.some((each) => /^--secrets-file(=|$)/.test(each))) {
    throw new Error(
      "--secrets-file is used for the access keys; upload other secrets with: npx wrangler secret put NAME",
    );
  }
}

/** Which Worker is meant, in the words that all of Wrangler's commands understand. */
function targetOf({ env, config, name, profile }: DeploySettings): string[] {
  return Object.entries({ env, config, name, profile }).flatMap(([option, value]) =>
    value === undefined ? [] : [`--${option}`, value],
  );
}

/** `[vars]` of Wrangler's configuration with `--var` over them. */
async function variables(
  { env, config, var: given }: DeploySettings,
  wrangler: Wrangler,
): Promise<Record<string, unknown>> {
  const vars = await wrangler.readVars({ config, env });
  const pairs = given.map((each) => {
    const colon = each.indexOf(":");
    if (colon < 1) throw new Error(`--var ${each} must have the form KEY:VALUE`);
    return [each.slice(0, colon), each.slice(colon + 1)];
  });
  return { ...vars, ...Object.fromEntries(pairs) };
}

/** A folder for this user only, which is gone afterwards. */
async function withFolder<Result>(work: (folder: string) => Promise<Result>): Promise<Result> {
  const folder = await mkdtemp(join(tmpdir(), "portolan-deploy-"));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Hands the secrets over together with the Worker: it is never deployed without them. @returns Wrangler's options. */
async function secretsFile(folder: string, secrets: Plan["secrets"]): Promise<string[]> {
  if (Object.keys(secrets).length === 0) return [];
  const file = join(folder, "secrets.json");
  await writeFile(file, JSON.stringify(secrets), { mode: 0o600 });
  return ["--secrets-file", file];
}

function reportOf({ summary, secrets }: Plan, { dryRun }: DeploySettings): string {
  const uploaded = Object.keys(secrets);
  const also =
    uploaded.length > 0
      ? `\nSecrets that ${dryRun ? "would be" : "were"} uploaded: ${uploaded.join(", ")}`
      : "";
  return `\nThe mirror ${dryRun ? "would be" : "is"} ${summary}.${also}`;
}
