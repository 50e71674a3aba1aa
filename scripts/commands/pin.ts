/** `portolan pin`: keeps images in the store, whatever else is evicted. */
import type { Command } from "commander";
import { isImagePattern } from "../../src/access/image-patterns.ts";
import type { OwnerClient } from "../holdings/owner-client.ts";
import type { PinnedImage } from "../owner-api/responses.ts";
import { formatReference, parseReference } from "../registry/reference.ts";
import { good } from "../terminal/colours.ts";
import { table } from "../terminal/table.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit.ts";
import { type OwnerSettings, ownerCommand, withOwner } from "./owner.ts";

interface Settings extends OwnerSettings {
  list?: boolean;
  undo?: boolean;
}

export const pin = (context: Context): Command =>
  ownerCommand("pin", ["pin alpine:3", "pin 'ghcr.io/team/*'", "pin alpine:3 --undo", "pin --list"])
    .argument("[image]", "as in docker pull, or a pattern as in PIN")
    .option("--undo", "let it be evicted again")
    .option("--list", "show what is pinned")
    .addHelpText(
      "after",
      "\nExits with 0 if that was done, with 1 if it wasn't pinned, with 2 if the mirror can't be reached.",
    )
    .action((text: string | undefined, settings: Settings) =>
      withOwner(context, settings, async (owner) => {
        const { list = false, undo = false } = settings;
        if (list !== (text === undefined)) throw new Error("name an image, or give --list");
        if (text === undefined) return listPins(context, owner, settings);
        const pattern = patternOf(text);
        return undo ? unpin(context, owner, pattern, settings) : pinImages(context, owner, pattern, settings);
      }),
    );

/** A name is completed as `docker pull` does; a pattern is left as it is. @throws Error for neither. */
function patternOf(text: string): string {
  if (text.includes("*")) {
    if (isImagePattern(text)) return text;
    throw new Error(`"${text}" can't match an image: write ghcr.io/team/* or docker.io/library/alpine:3*`);
  }
  const reference = parseReference(text);
  if (reference.digest !== null) throw new Error(`${text}: name the image by its tag`);
  return formatReference(reference);
}

async function pinImages(
  { output }: Context,
  owner: OwnerClient,
  pattern: string,
  { json }: Settings,
): Promise<number> {
  await owner.pin(pattern);
  if (json) output.json({ pinned: pattern });
  else output.report((name: string) => `${good("✓")} ${name} stays, whatever else is evicted.`, pattern);
  return EXIT.good;
}

async function unpin(
  { output }: Context,
  owner: OwnerClient,
  pattern: string,
  { json }: Settings,
): Promise<number> {
  const wasPinned = await owner.unpin(pattern);
  if (json) output.json({ undone: pattern, wasPinned });
  else if (wasPinned) output.report((name: string) => `${good("✓")} ${name} may be evicted again.`, pattern);
  else output.failure(`${pattern} isn't pinned`);
  return wasPinned ? EXIT.good : EXIT.bad;
}

async function listPins({ output }: Context, owner: OwnerClient, { json }: Settings): Promise<number> {
  const pins = await owner.pins();
  if (json) output.json(pins);
  else output.report(listed, pins);
  return EXIT.good;
}

function listed(pins: readonly PinnedImage[]): string {
  if (pins.length === 0) return "Nothing is pinned.";
  const rows = pins.map(({ pattern, from }) => [pattern, from === "configured" ? "in PIN" : ""]);
  return table(rows, { head: ["pattern", ""] });
}
