/** `portolan release`: lets a tag's newest digest through although it is younger than COOLDOWN. */
import type { Command } from "commander";
import type { OwnerClient } from "../holdings/owner-client.ts";
import type { ReleasedTag } from "../owner-api/responses.ts";
import { formatReference, parseReference } from "../registry/reference.ts";
import { good } from "../terminal/colours.ts";
import { ago } from "../terminal/format.ts";
import { table } from "../terminal/table.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit.ts";
import { type OwnerSettings, ownerCommand, withOwner } from "./owner.ts";

interface Settings extends OwnerSettings {
  list?: boolean;
  undo?: boolean;
}

export const release = (context: Context): Command =>
  ownerCommand("release", ["release nginx:1.27", "release nginx:1.27 --undo", "release --list"])
    .argument("[image]", "with its tag, as in docker pull")
    .option("--undo", "have the tag wait for COOLDOWN again")
    .option("--list", "show what is released")
    .addHelpText(
      "after",
      "\nIt holds for this digest: what the tag names next waits again. Exits with 0 if that was done, with 1 if the tag isn't known or released, with 2 if the mirror can't be reached.",
    )
    .action((text: string | undefined, settings: Settings) =>
      withOwner(context, settings, async (owner) => {
        const { list = false, undo = false } = settings;
        if (list !== (text === undefined)) throw new Error("name an image, or give --list");
        if (text === undefined) return listReleased(context, owner, settings);
        const reference = parseReference(text);
        if (reference.digest !== null) throw new Error(`${text}: name the image by its tag`);
        const name = formatReference(reference);
        return undo
          ? undoRelease(context, owner, name, settings)
          : releaseTag(context, owner, name, settings);
      }),
    );

async function releaseTag(
  { output }: Context,
  owner: OwnerClient,
  name: string,
  { json }: Settings,
): Promise<number> {
  const released = await owner.release(name);
  if (json) output.json(released.map(({ digest }) => ({ image: name, digest })));
  else if (released.length === 0) output.failure(`the mirror has found nothing behind ${name}`);
  else output.report(report, { name, released });
  return released.length > 0 ? EXIT.good : EXIT.bad;
}

async function undoRelease(
  { output }: Context,
  owner: OwnerClient,
  name: string,
  { json }: Settings,
): Promise<number> {
  const wasReleased = await owner.undoRelease(name);
  if (json) output.json({ undone: name, wasReleased });
  else if (wasReleased) output.report(() => `${good("✓")} ${name} waits for COOLDOWN again.`, name);
  else output.failure(`nothing is released for ${name}`);
  return wasReleased ? EXIT.good : EXIT.bad;
}

async function listReleased({ output }: Context, owner: OwnerClient, { json }: Settings): Promise<number> {
  const released = await owner.released();
  if (json) output.json(released.map(({ at, ...each }) => ({ ...each, at: new Date(at).toISOString() })));
  else output.report(listed, released);
  return EXIT.good;
}

function report({ name, released }: { name: string; released: readonly { digest: string }[] }): string {
  return released
    .map(({ digest }) => `${good("✓")} ${name} is served with ${digest}, within TAG_TTL everywhere.`)
    .join("\n");
}

function listed(released: readonly ReleasedTag[]): string {
  if (released.length === 0) return "Nothing is released.";
  const rows = released.map(({ upstream, repository, tag, digest, at }) => [
    `${upstream}/${repository}:${tag}`,
    digest,
    ago(at),
  ]);
  return table(rows, { head: ["image", "digest", "released"] });
}
