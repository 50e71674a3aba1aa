/** `portolan gc`: frees what no tag of the hosted repositories needs any more, as the mirror does every hour. */
import type { Command } from "commander";
import type { OwnerClient } from "../holdings/owner-client.ts";
import type { CollectedContent } from "../owner-api/responses.ts";
import { good } from "../terminal/colours.ts";
import { count, size } from "../terminal/format.ts";
import type { Context } from "./context.ts";
import { ownerCommand, type Removal, type RemovalSettings, withRemoval } from "./owner.ts";

interface Result {
  /** Tags that HOSTED_RETENTION doesn't keep. */
  tags: number;
  uploads: number;
  /** Blobs and manifests. */
  objects: number;
  bytes: number;
  /** Bytes that can be freed a day later, or two. */
  waiting: number;
}

export const gc = (context: Context): Command =>
  ownerCommand("gc", ["gc --dry-run", "gc"])
    .option("--dry-run", "only say what would be freed")
    .addHelpText("after", "\nExits with 0, with 2 if the mirror can't be asked.")
    .action((settings: RemovalSettings) => withRemoval(context, settings, "collection", collect, report));

async function collect(owner: OwnerClient, dryRun: boolean): Promise<Result> {
  const result: Result = { tags: 0, uploads: 0, objects: 0, bytes: 0, waiting: 0 };
  let batch: CollectedContent;
  do {
    batch = await owner.collect(dryRun);
    result.tags += batch.tags;
    result.uploads += batch.uploads;
    result.objects += batch.deleted;
    result.bytes += batch.freed;
    result.waiting = batch.waiting;
  } while (batch.hasMore);
  return result;
}

function report({ tags, uploads, objects, bytes, waiting, dryRun }: Removal<Result>): string {
  const what = [
    ...(tags > 0 ? [count(tags, "tag")] : []),
    ...(uploads > 0 ? [count(uploads, "unfinished upload")] : []),
    `${count(objects, "object")} of ${size(bytes)}`,
  ].join(", ");
  const line = dryRun ? `Would delete ${what}.` : `${good("✓")} Deleted ${what}.`;
  return waiting > 0 ? `${line}\n${size(waiting)} more will be freed once unused for a day.` : line;
}
