/** `portolan prune`: takes blobs out of a mirror to which no stored manifest refers. */
import type { Command } from "commander";
import type { OwnerClient } from "../holdings/owner-client.ts";
import { good } from "../terminal/colours.ts";
import { count, size } from "../terminal/format.ts";
import type { Context } from "./context.ts";
import { ownerCommand, type Removal, type RemovalSettings, withRemoval } from "./owner.ts";

interface Pruned {
  blobs: number;
  bytes: number;
}

export const prune = (context: Context): Command =>
  ownerCommand("prune", ["prune --dry-run", "prune"])
    .option("--dry-run", "only say what would be removed")
    .addHelpText(
      "after",
      "\nBlobs that are less than an hour old stay. Exits with 0, with 2 if the mirror can't be read.",
    )
    .action((settings: RemovalSettings) => withRemoval(context, settings, "removal", removeBlobs, report));

async function removeBlobs(owner: OwnerClient, dryRun: boolean): Promise<Pruned> {
  const { objects, bytes } = await owner.prune(dryRun);
  return { blobs: objects, bytes };
}

function report({ blobs, bytes, dryRun }: Removal<Pruned>): string {
  const what = `${count(blobs, "blob")} of ${size(bytes)}`;
  return dryRun ? `Would remove ${what}.` : `${good("✓")} Removed ${what}.`;
}
