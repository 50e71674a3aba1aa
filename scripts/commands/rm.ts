/** `portolan rm`: takes images out of a mirror. */
import type { Command } from "commander";
import { type HeldImage, holdingsOf, keysToRemove, sizeOf } from "../holdings/holdings.ts";
import { formatReference, parseReference } from "../registry/reference.ts";
import { good } from "../terminal/colours.ts";
import { count, size } from "../terminal/format.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit.ts";
import { type OwnerSettings, ownerCommand, withOwner } from "./owner.ts";

interface Settings extends OwnerSettings {
  dryRun?: boolean;
}

interface Removed {
  images: string[];
  objects: number;
  bytes: number;
  dryRun: boolean;
}

export const rm = (context: Context): Command =>
  ownerCommand("rm", ["rm alpine:3.20", "rm ghcr.io/owner/image:1.0 --dry-run"])
    .argument("<image...>", "images with their tags, as in docker pull")
    .option("--dry-run", "only say what would be removed")
    .addHelpText(
      "after",
      "\nLayers that other images have too stay. Exits with 0 if all images were there, with 2 if one isn't: then none is removed.",
    )
    .action((texts: string[], settings: Settings) =>
      withOwner(context, settings, async (owner, _, { progress }) => {
        const { dryRun = false } = settings;
        const holdings = await progress.during("images", holdingsOf(owner));
        const doomed = texts.flatMap((text) => imagesNamed(text, holdings.images));
        const keys = keysToRemove(holdings, doomed);
        if (!dryRun) {
          const tags = doomed.map(({ tag }) => tag);
          await progress.during("removal", owner.remove(tags, keys));
        }
        progress.stop();
        const names = doomed.map(({ name }) => name);
        const removed = { images: names, objects: keys.length, bytes: sizeOf(holdings, keys), dryRun };
        if (settings.json) context.output.json(removed);
        else context.output.report(report, removed);
        return EXIT.good;
      }),
    );

/** The public and the private one of a name. @throws Error if there is neither. */
function imagesNamed(text: string, images: readonly HeldImage[]): HeldImage[] {
  const reference = parseReference(text);
  if (reference.tag === null) throw new Error(`${text}: name the image by its tag`);
  const name = formatReference({ ...reference, digest: null });
  const named = images.filter((image) => image.name === name);
  if (named.length === 0) throw new Error(`${name} isn't stored; nothing was removed`);
  return named;
}

function report({ images, objects, bytes, dryRun }: Removed): string {
  const freed = `${size(bytes)} in ${count(objects, "object")}`;
  return images
    .map((name) => `${good("✓")} ${name}`)
    .concat(dryRun ? `Would free ${freed}.` : `Freed ${freed}.`)
    .join("\n");
}
