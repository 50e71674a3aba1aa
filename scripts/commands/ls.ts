/** `portolan ls`: the images that a mirror holds. */
import type { Command } from "commander";
import { isPattern, matchesAny } from "../../src/access/patterns.ts";
import { type HeldImage, holdingsOf } from "../holdings/holdings.ts";
import { count, shortDigest, size, span } from "../terminal/format.ts";
import { table } from "../terminal/table.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit.ts";
import { type OwnerSettings, ownerCommand, withOwner } from "./owner.ts";

export const ls = (context: Context): Command =>
  ownerCommand("ls", ["ls", "ls 'docker.io/library/*'", "ls --json --mirror https://mirror.example.com"])
    .argument("[pattern]", "only images like this: docker.io/library/*", "*")
    .addHelpText(
      "after",
      "\nExits with 0 if there are any, with 1 if there are none, with 2 if the mirror can't be read.",
    )
    .action((pattern: string, settings: OwnerSettings) =>
      withOwner(context, settings, async (owner, _, { progress }) => {
        if (!isPattern(pattern)) throw new Error(`"${pattern}" is no pattern such as docker.io/library/*`);
        const { images } = await progress.during("images", holdingsOf(owner));
        progress.stop();
        const listed = images.filter((image) => matchesAny([pattern], repositoryOf(image)));
        if (settings.json) context.output.json(listed.map(written));
        else context.output.report(report, listed);
        return listed.length > 0 ? EXIT.good : EXIT.bad;
      }),
    );

export function repositoryOf({ tag: { upstream, repository } }: HeldImage): string {
  return `${upstream}/${repository}`;
}

function written({ name, tag, size, alone, isWhole }: HeldImage) {
  const { digest, visibility, confirmed } = tag;
  return {
    image: name,
    digest,
    visibility,
    size,
    alone,
    isWhole,
    confirmed: new Date(confirmed).toISOString(),
  };
}

function report(images: readonly HeldImage[]): string {
  if (images.length === 0) return "No such image is stored.";
  const rows = images.map(({ name, tag, size: bytes, alone, isWhole }) => [
    name,
    shortDigest(tag.digest),
    size(bytes),
    size(alone),
    `${span((Date.now() - tag.confirmed) / 1000)} ago`,
    [...(isWhole ? [] : ["incomplete"]), ...(tag.visibility === "private" ? ["private"] : [])].join(", "),
  ]);
  const head = ["image", "digest", "size", "alone", "confirmed", ""];
  return `${table(rows, { head, right: [2, 3] })}\n\n${count(images.length, "image")}`;
}
