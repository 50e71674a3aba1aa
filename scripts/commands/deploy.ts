/** `portolan deploy`, as `npm run deploy`: configures and deploys a mirror that requires access keys unless it is to be open. */
import { resolve } from "node:path";
import { Command, Option } from "commander";
import { addKey } from "../../src/access/key-changes.ts";
import { type Choices, isChosen } from "../deploy/choices.ts";
import { routesIn, withConfiguration } from "../deploy/configure.ts";
import { type DeploySettings, deploy as deployMirror } from "../deploy/deploy-mirror.ts";
import { installedWrangler } from "../deploy/wrangler.ts";
import { KEY_FILE, readKeyFile, writeKeyFile } from "../keys/key-file.ts";
import { usage } from "../keys/usage.ts";
import { strong } from "../terminal/colours.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit.ts";
import { attempt } from "./options.ts";
import { SUMMARIES } from "./summaries.ts";

interface Settings extends DeploySettings {
  host?: string;
  domain?: string;
  wildcard?: boolean;
  upstream?: string[];
  limit?: string;
  relay?: string[];
  ask?: boolean;
  doctor: boolean;
}

export const deploy = (context: Context): Command =>
  new Command("deploy")
    .description(SUMMARIES.deploy)
    .option("--host <name>", "serve it under one host name of yours: mirror.example.com")
    .option("--domain <domain>", "serve each registry under a host name of its own: docker.example.com")
    .addOption(several("--upstream <name>", "with --domain, a registry that gets a host; repeatable"))
    .option("--wildcard", "with --domain, serve all of its host names")
    .option("--limit <size>", "how much it stores at most, such as 50 GB")
    .addOption(
      several("--relay <url>", "another mirror of yours, for when registries limit or fail; repeatable"),
    )
    .option("--open", "deploy it for everyone, without access keys", false)
    .option("--keys <file>", "file with the list of access keys", KEY_FILE)
    .option("--ask", "ask for all of this, as the first deploy on a terminal does")
    .option("--no-doctor", "don't look afterwards whether pulls work")
    .option("--dry-run", "build it, show and check everything, and change nothing; takes no login", false)
    .addOption(
      new Option("--var <key:value>", "as Wrangler's; repeatable")
        .default([], "none")
        .argParser((text, given: string[]) => [...given, text]),
    )
    .option("-e, --env <name>", "as Wrangler's")
    .option("-c, --config <file>", "as Wrangler's")
    .option("--name <name>", "as Wrangler's")
    .option("--profile <name>", "as Wrangler's")
    .allowUnknownOption()
    .allowExcessArguments()
    .addHelpText(
      "after",
      `
The choices are written into wrangler.toml, so that they need to be given once. Other options are handed on to: wrangler deploy

Examples:
  npm run deploy
  npm run deploy -- --host mirror.example.com --dry-run
  npm run portolan -- key add alice && npm run deploy -- --domain example.com --upstream docker.io --upstream ghcr.io
  npm run deploy -- --open`,
    )
    .action((settings: Settings, { args }: Command) =>
      attempt(context, {}, () => configureAndDeploy(context, settings, args)),
    );

async function configureAndDeploy(
  context: Context,
  settings: Settings,
  args: readonly string[],
): Promise<number> {
  const { cwd, output } = context;
  const wrangler = context.wrangler ?? installedWrangler(context);
  const answers = await answersFor(context, settings);
  if (answers === null) {
    output.errorLine("Nothing was deployed.");
    return EXIT.unknown;
  }
  const { choices, isOpen, newKey } = answers;
  const { dryRun, config } = settings;
  const { code, url } = await withConfiguration(choices, { cwd, config, dryRun, output }, (file) =>
    deployMirror({ ...settings, open: isOpen, ...(file === undefined ? {} : { config: file }) }, args, {
      ...context,
      wrangler,
      isTerminal: isTerminal(context),
    }),
  );
  if (newKey !== null) {
    output.line(`\nYour key, which is shown this once:\n\n  ${strong(newKey)}\n`);
    output.line(usage(newKey, url === null ? "MIRROR" : new URL(url).host));
  }
  if (code === 0 && url !== null) await showNext(context, url, settings.doctor);
  return code;
}

interface Decisions {
  choices: Choices;
  isOpen: boolean;
  /** A key that was made for this deploy. */
  newKey: string | null;
}

/** The options; on a terminal, where there is neither an option nor a route yet, what a person says. Null: they gave up. */
async function answersFor(context: Context, settings: Settings): Promise<Decisions | null> {
  const { host, domain, wildcard, upstream, limit, relay, open, ask: isWanted = false, config } = settings;
  const choices: Choices = {
    ...(host === undefined ? {} : { host }),
    ...(domain === undefined ? {} : { domain }),
    ...(wildcard ? { routing: "wildcard" as const } : {}),
    ...(upstream === undefined ? {} : { upstreams: upstream }),
    ...(limit === undefined ? {} : { limit }),
    ...(relay === undefined ? {} : { relays: relay }),
  };
  if (domain === undefined && (wildcard || upstream !== undefined)) {
    throw new Error("--wildcard and --upstream go with --domain");
  }
  const given = { choices, isOpen: open, newKey: null };
  const routes = await routesIn(context.cwd, config);
  const isFirst = !isChosen(choices) && !open && Array.isArray(routes) && routes.length === 0;
  if (!isTerminal(context) || !(isWanted || isFirst)) return given;
  const file = resolve(context.cwd, settings.keys);
  const keys = await readKeyFile(file);
  const { ask } = await import("../deploy/questions.ts");
  const terminal = { input: context.stdin, output: context.stdout };
  const answers = await ask(terminal, { hasKeys: (keys?.length ?? 0) > 0 });
  if (answers === null) return null;
  const { isOpen, keyName, ...chosen } = answers;
  if (keyName === undefined || settings.dryRun) return { choices: chosen, isOpen, newKey: null };
  const { key, list } = await addKey(keys ?? [], keyName, { allow: [], deny: [], expires: null, rate: null });
  await writeKeyFile(file, list);
  return { choices: chosen, isOpen, newKey: key };
}

/** Build services have terminals too, in part. */
function isTerminal({ stdin, stdout, env }: Context): boolean {
  return Boolean(stdin.isTTY && stdout.isTTY) && !env.CI && !env.WORKERS_CI;
}

async function showNext(context: Context, url: string, isExamined: boolean): Promise<void> {
  const { output } = context;
  if (isExamined) {
    const { doctor } = await import("./doctor.ts");
    output.line("");
    await doctor(context).parseAsync(["--mirror", url], { from: "user" });
  }
  output.line(`
The mirror's address is ${url}. A new host name takes some minutes until its certificate is there; look again with
  npm run portolan -- doctor --mirror ${url}
Set up your clients with
  npm run portolan -- config docker --mirror ${url}`);
}

function several(flags: string, what: string): Option {
  return new Option(flags, what).argParser((text, given: string[] = []) => [...given, text]);
}
