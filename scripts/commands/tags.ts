/** `portolan tags`: what tags were seen to name. */
import type { Command } from "commander";
import type { TagPast } from "../owner-api/responses.ts";
import { formatReference, parseAsWritten } from "../registry/reference.ts";
import { ago } from "../terminal/format.ts";
import { table } from "../terminal/table.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit.ts";
import { type OwnerSettings, ownerCommand, withOwner } from "./owner.ts";

export const tags = (context: Context): Command =>
  ownerCommand("tags", ["tags alpine:3.20", "tags ghcr.io/owner/image --json"])
    .argument("<image>", "an image as in docker pull; without a tag, all tags that the mirror has seen")
    .addHelpText("after", "\nExits with 0, or with 1 if the mirror has seen no such tag.")
    .action((text: string, settings: OwnerSettings) =>
      withOwner(context, settings, async (owner, mirror) => {
        const reference = parseAsWritten(text);
        if (reference.digest !== null) throw new Error(`${text}: name the image by its tag, or without one`);
        const name = formatReference(reference);
        const seen = await owner.tagHistory(name);
        if (settings.json) context.output.json(seen);
        else if (seen.length > 0) context.output.report(report, seen);
        else context.output.failure(`${mirror} has seen no tag of ${name}`);
        return seen.length > 0 ? EXIT.good : EXIT.bad;
      }),
    );

function report(seen: readonly TagPast[]): string {
  return seen.map(reportOf).join("\n\n");
}

function reportOf({ upstream, repository, tag, visibility, history, served }: TagPast): string {
  const rows = history.map(({ digest, from, to, isCurrent, isReleased }) => [
    digest ?? "deleted upstream",
    ago(from),
    isCurrent ? `last seen ${ago(to)}` : ago(to),
    [digest !== null && digest === served ? "served" : "", isReleased ? "released" : ""]
      .filter(Boolean)
      .join(", "),
  ]);
  const title = `${upstream}/${repository}:${tag}${visibility === "private" ? "  private" : ""}`;
  return `${title}\n${table(rows, { head: ["digest", "from", "to"], indent: 2 })}`;
}
