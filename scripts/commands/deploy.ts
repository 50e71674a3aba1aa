/** `portolan deploy`, as `npm run deploy`: Wrangler's deploy, of a mirror that requires access keys unless it is configured to be open. */
import { Command, Option } from "commander";
import { type DeploySettings, deploy as deployMirror } from "../deploy/deploy-mirror.ts";
import { installedWrangler } from "../deploy/wrangler.ts";
import { KEY_FILE } from "../keys/key-file.ts";
import type { Context } from "./context.ts";
import { attempt } from "./options.ts";
import { SUMMARIES } from "./summaries.ts";

export const deploy = (context: Context): Command =>
  new Command("deploy")
    .description(SUMMARIES.deploy)
    .option("--open", "deploy it for everyone, without access keys", false)
    .option("--keys <file>", "where the list of access keys lies", KEY_FILE)
    .option("--dry-run", "build it and check everything, and deploy nothing", false)
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
Other options are handed on to: wrangler deploy

Examples:
  npm run portolan -- key add alice && npm run deploy
  npm run deploy -- --dry-run
  npm run deploy -- --open`,
    )
    .action((settings: DeploySettings, { args }: Command) =>
      attempt(context, {}, () =>
        deployMirror(settings, args, {
          ...context,
          wrangler: context.wrangler ?? installedWrangler(context),
        }),
      ),
    );
