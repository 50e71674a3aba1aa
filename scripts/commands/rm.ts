/** `portolan rm`: takes images out of a mirror. */
import type { Command } from "commander";
import type { OwnerClient } from "../holdings/owner-client.ts";
import type { RemovedImages } from "../owner-api/responses.ts";
import { formatReference, parseReference } from "../registry/reference.ts";
import { good } from "../terminal/colours.ts";
import { count, size } from "../terminal/format.ts";
import type { Context } from "./context.ts";
import { ownerCommand, type Removal, type RemovalSettings, withRemoval } from "./owner.ts";

export const rm = (context: Context): Command =>
  ownerCommand("rm", ["rm alpine:3.20", "rm ghcr.io/owner/image:1.0 --dry-run"])
    .argument("<image...>", "images with their tags, as in docker pull")
    .option("--dry-run", "only say what would be removed")
    .addHelpText(
      "after",
      "\nLayers that other images have too stay. Exits with 0 if all images were there, with 2 if one isn't: then none is removed.",
    )
    .action((texts: string[], settings: RemovalSettings) => {
      const remove = (owner: OwnerClient, dryRun: boolean) => removeAll(owner, texts.map(nameOf), dryRun);
      return withRemoval(context, settings, "removal", remove, report);
    });

/** @throws Error if one of them isn't stored. */
async function removeAll(
  owner: OwnerClient,
  names: readonly string[],
  dryRun: boolean,
): Promise<RemovedImages> {
  const removed = await owner.remove(names, dryRun);
  if (!removed) throw new Error(`${await missingOf(names, owner)} isn't stored; nothing was removed`);
  return removed;
}

async function missingOf(names: readonly string[], owner: OwnerClient): Promise<string> {
  const { images } = await owner.store();
  const stored = new Set(images.flatMap((image) => image.names.map(({ name }) => name)));
  return names.filter((name) => !stored.has(name)).join(", ");
}

/** @throws Error for one that isn't named by its tag. */
function nameOf(text: string): string {
  const reference = parseReference(text);
  if (reference.tag === null) throw new Error(`${text}: name the image by its tag`);
  return formatReference({ ...reference, digest: null });
}

function report({ images, objects, bytes, dryRun }: Removal<RemovedImages>): string {
  const freed = `${size(bytes)} in ${count(objects, "object")}`;
  return images
    .map((name) => `${good("✓")} ${name}`)
    .concat(dryRun ? `Would free ${freed}.` : `Freed ${freed}.`)
    .join("\n");
}
