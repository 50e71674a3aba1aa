/** `portolan prune`: takes blobs out of a mirror to which no stored manifest refers. */
import type { Command } from "commander";
import { good } from "../terminal/colours.ts";
import { count, size } from "../terminal/format.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit.ts";
import { type OwnerSettings, ownerCommand, withOwner } from "./owner.ts";

interface Settings extends OwnerSettings {
  dryRun?: boolean;
}

interface Pruned {
  blobs: number;
  bytes: number;
  dryRun: boolean;
}

export const prune = (context: Context): Command =>
  ownerCommand("prune", ["prune --dry-run", "prune"])
    .option("--dry-run", "only say what would be removed")
    .addHelpText(
      "after",
      "\nBlobs that are less than an hour old stay. Exits with 0, with 2 if the mirror can't be read.",
    )
    .action((settings: Settings) =>
      withOwner(context, settings, async (owner, _, { progress }) => {
        const { dryRun = false } = settings;
        const { objects, bytes } = await progress.during("removal", owner.prune(dryRun));
        progress.stop();
        const pruned = { blobs: objects, bytes, dryRun };
        if (settings.json) context.output.json(pruned);
        else context.output.report(report, pruned);
        return EXIT.good;
      }),
    );

function report({ blobs, bytes, dryRun }: Pruned): string {
  const what = `${count(blobs, "blob")} of ${size(bytes)}`;
  return dryRun ? `Would remove ${what}.` : `${good("✓")} Removed ${what}.`;
}
