/** A deploy: Wrangler's, with what decides who may use the mirror. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { readKeyFile } from "../keys/key-file.ts";
import { generateSigningSecret } from "../keys/signing.ts";
import type { Output } from "../terminal/output.ts";
import { type Plan, planDeploy } from "./plan.ts";
import { deployedSecrets, type Wrangler } from "./wrangler.ts";

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
}

/**
 * Deploys the mirror, for the holders of keys unless it is configured to be open.
 * @param others options that are handed on to Wrangler.
 * @returns Wrangler's exit code.
 * @throws Error that says what to do where it must not be deployed as it is.
 */
export async function deploy(
  settings: DeploySettings,
  others: readonly string[],
  { wrangler, output, cwd, env }: DeployTools,
): Promise<number> {
  refuseOthers(settings, others);
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
      deployed: needsSecrets && !settings.dryRun ? await deployedSecrets(wrangler, target) : null,
      isBuild,
    },
    generateSigningSecret,
  );
  const vars = [...settings.var, `ACCESS:${plan.access}`].flatMap((each) => ["--var", each]);
  const rest = [...(settings.dryRun ? ["--dry-run"] : []), ...others];
  const { code } = await withSecrets(settings.dryRun ? {} : plan.secrets, (secrets) =>
    wrangler.run(["deploy", ...target, ...vars, ...secrets, ...rest]),
  );
  if (code === 0) output.line(reportOf(plan, settings));
  return code;
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

/**
 * Hands the secrets over in a file that only this user can read and that is gone afterwards, together with the Worker: it
 * is never deployed without them.
 */
async function withSecrets<Result>(
  secrets: Plan["secrets"],
  work: (options: string[]) => Promise<Result>,
): Promise<Result> {
  if (Object.keys(secrets).length === 0) return work([]);
  const folder = await mkdtemp(join(tmpdir(), "portolan-deploy-"));
  try {
    const file = join(folder, "secrets.json");
    await writeFile(file, JSON.stringify(secrets), { mode: 0o600 });
    return await work(["--secrets-file", file]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function reportOf({ summary, secrets }: Plan, { dryRun }: DeploySettings): string {
  const uploaded = Object.keys(secrets);
  const also =
    uploaded.length > 0
      ? `\nSecrets that ${dryRun ? "would be" : "were"} uploaded: ${uploaded.join(", ")}`
      : "";
  return `\nThe mirror ${dryRun ? "would be" : "is"} ${summary}.${also}`;
}
