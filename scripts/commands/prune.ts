/** `portolan prune`: takes blobs out of a mirror to which no stored manifest refers. */
import type { Command } from "commander";
import { holdingsOf } from "../holdings/holdings.ts";
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

/** Milliseconds: the manifest of what was pulled just now may be on its way. */
const GRACE = 3_600_000;

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
        const { unreferenced } = await progress.during("blobs", holdingsOf(owner));
        const old = unreferenced.filter(({ stored }) => Date.now() - stored > GRACE);
        if (!dryRun) {
          const keys = old.map(({ key }) => key);
          await progress.during("removal", owner.remove([], keys));
        }
        progress.stop();
        const bytes = old.reduce((sum, object) => sum + object.size, 0);
        if (settings.json) context.output.json({ blobs: old.length, bytes, dryRun });
        else context.output.report(report, { blobs: old.length, bytes, dryRun });
        return EXIT.good;
      }),
    );

function report({ blobs, bytes, dryRun }: Pruned): string {
  const what = `${count(blobs, "blob")} of ${size(bytes)}`;
  return dryRun ? `Would remove ${what}.` : `${good("✓")} Removed ${what}.`;
}
