/** `portolan undeploy`: removes a deployed mirror. */
import { Command } from "commander";
import { addressOf } from "../deploy/choices.ts";
import { routesIn } from "../deploy/configure.ts";
import { type UndeploySettings, undeploy as undeployMirror } from "../deploy/undeploy-mirror.ts";
import { installedWrangler } from "../deploy/wrangler.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit.ts";
import { attempt, mirrorUrl } from "./options.ts";
import { type OwnerSettings, withOwner } from "./owner.ts";
import { SUMMARIES } from "./summaries.ts";

interface Settings extends UndeploySettings, OwnerSettings {
  yes?: boolean;
}

export const undeploy = (context: Context): Command =>
  new Command("undeploy")
    .description(SUMMARIES.undeploy)
    .option(
      "--content",
      "delete its bucket and its namespace too, with all images that were pushed to it",
      false,
    )
    .option("-y, --yes", "don't ask")
    .option("--mirror <url>", "where it is reached, if wrangler.toml doesn't say", mirrorUrl)
    .option(
      "--admin-key-file <file>",
      "the file with its ADMIN_KEY (default: PORTOLAN_ADMIN_KEY, or as deploy kept it)",
    )
    .option("-e, --env <name>", "as Wrangler's")
    .option("-c, --config <file>", "as Wrangler's")
    .addHelpText(
      "after",
      "\nExamples:\n  npm run portolan -- undeploy\n  npm run portolan -- undeploy --content",
    )
    .action((settings: Settings) =>
      attempt(context, {}, async () => {
        if (!(settings.yes || (await isConfirmed(context, settings)))) {
          context.output.errorLine("Nothing was removed.");
          return EXIT.bad;
        }
        const wrangler = context.wrangler ?? installedWrangler(context);
        const { output, cwd } = context;
        return undeployMirror(settings, { wrangler, output, cwd, empty: () => empty(context, settings) });
      }),
    );

async function isConfirmed({ stdin, stdout }: Context, { content }: Settings): Promise<boolean> {
  if (!(stdin.isTTY && stdout.isTTY))
    throw new Error("there is no terminal to ask on: --yes removes without asking");
  const { confirm, isCancel } = await import("@clack/prompts");
  const message = `Remove the mirror from Cloudflare${content ? ", and all that it has stored" : ""}?`;
  const confirmed = await confirm({ message, initialValue: false, input: stdin, output: stdout });
  return !isCancel(confirmed) && confirmed;
}

/** @throws Error if the mirror can't be reached. */
async function empty(context: Context, settings: Settings): Promise<void> {
  const mirror = settings.mirror ?? addressOf(await routesIn(context.cwd, settings.config));
  if (mirror === null) throw new Error("where is the mirror reached? --content takes --mirror URL");
  await withOwner(context, { ...settings, mirror, data: ".portolan" }, async (owner) => {
    const keys = (await owner.objects()).map(({ key }) => key);
    await owner.purge(keys);
    return EXIT.good;
  });
  if (context.exitCode !== EXIT.good)
    throw new Error("nothing was removed: the mirror's content couldn't be deleted");
}
