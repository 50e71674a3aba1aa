/** `portolan gone`: images that upstream has deleted and a mirror serves on. */
import type { Command } from "commander";
import type { GoneImage } from "../owner-api/responses.ts";
import { bad } from "../terminal/colours.ts";
import { ago, shortDigest } from "../terminal/format.ts";
import { table } from "../terminal/table.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit.ts";
import { type OwnerSettings, ownerCommand, withOwner } from "./owner.ts";

export const gone = (context: Context): Command =>
  ownerCommand("gone", ["gone", "gone --json"])
    .addHelpText(
      "after",
      "\nOf the repositories that KEEP names, as pulls found them. Exits with 0, or with 2 if the mirror can't be reached.",
    )
    .action((settings: OwnerSettings) =>
      withOwner(context, settings, async (owner) => {
        const images = await owner.gone();
        if (settings.json) context.output.json(images);
        else context.output.report(report, images);
        return EXIT.good;
      }),
    );

function report(images: readonly GoneImage[]): string {
  if (images.length === 0) return "Nothing that KEEP names was deleted upstream.";
  const rows = images.map(({ upstream, repository, tag, digest, since, isStored }) => [
    `${upstream}/${repository}:${tag}`,
    shortDigest(digest),
    ago(since),
    isStored ? "" : bad("no longer stored"),
  ]);
  return table(rows, { head: ["image", "digest", "deleted"] });
}
