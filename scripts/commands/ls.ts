/** `portolan ls`: the images that a mirror holds, its objects, or its hosted repositories. */
import type { Command } from "commander";
import { isPattern, matchesAny } from "../../src/access/patterns.ts";
import type { CachedImage, CachedObject, HostedEntry } from "../owner-api/responses.ts";
import { ago, count, shortDigest, size } from "../terminal/format.ts";
import { table } from "../terminal/table.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit.ts";
import { type OwnerSettings, ownerCommand, withOwner } from "./owner.ts";

export const ls = (context: Context): Command =>
  ownerCommand("ls", [
    "ls",
    "ls 'docker.io/library/*'",
    "ls --hosted",
    "ls --objects",
    "ls --json --mirror https://mirror.example.com",
  ])
    .argument("[pattern]", "only images like this: docker.io/library/*", "*")
    .option("--hosted", "hosted repositories, which others push to, instead")
    .option("--objects", "manifests and blobs by key instead, the one first that wasn't used for longest")
    .addHelpText(
      "after",
      "\nExits with 0 if there are any, with 1 if there are none, with 2 if the mirror can't be read.",
    )
    .action((pattern: string, settings: Settings) =>
      withOwner(context, settings, async (owner, _, { progress }) => {
        if (!isPattern(pattern)) throw new Error(`"${pattern}" is no pattern such as docker.io/library/*`);
        if (settings.hosted) {
          const found = await progress.during("hosted repositories", owner.hosted());
          progress.stop();
          const listed = found.filter(({ repository }) => matchesAny([pattern], repository));
          if (settings.json) context.output.json(listed);
          else context.output.report(hostedReport, listed);
          return listed.length > 0 ? EXIT.good : EXIT.bad;
        }
        if (settings.objects) {
          const found = await progress.during("objects", owner.objects());
          progress.stop();
          const listed = found
            .filter(({ key }) => matchesAny([pattern], key))
            .sort((one, other) => lastUseOf(one) - lastUseOf(other));
          if (settings.json) context.output.json(listed);
          else context.output.report(objectReport, listed);
          return listed.length > 0 ? EXIT.good : EXIT.bad;
        }
        const { images } = await progress.during("images", owner.store());
        progress.stop();
        const listed = images
          .flatMap(byName)
          .filter(({ image }) => matchesAny([pattern], repositoryOf(image)))
          .sort((one, other) => one.image.localeCompare(other.image));
        if (settings.json) context.output.json(listed);
        else context.output.report(report, listed);
        return listed.length > 0 ? EXIT.good : EXIT.bad;
      }),
    );

interface Settings extends OwnerSettings {
  hosted?: boolean;
  objects?: boolean;
}

interface Listed extends Omit<CachedImage, "names"> {
  image: string;
  confirmed: string | null;
}

/** An entry for each name. Under one of several names nothing is taken alone: the image stays for the others. */
function byName({ names, ...image }: CachedImage): Listed[] {
  return names.map(({ name, confirmed }) => ({
    image: name,
    ...image,
    alone: names.length > 1 ? 0 : image.alone,
    confirmed,
  }));
}

/** Without the tag or the digest. */
function repositoryOf(image: string): string {
  return image.replace(/@.*$|:[^/]*$/, "");
}

function report(images: readonly Listed[]): string {
  if (images.length === 0) return "No such image is stored.";
  const rows = images.map(({ image, digest, size: bytes, alone, lastUse, leaves, confirmed, ...rest }) => [
    image.replace(/@.*$/, "@"),
    shortDigest(digest),
    size(bytes),
    size(alone),
    lastUse,
    leaves === null ? "never" : String(leaves),
    confirmed === null ? "" : ago(confirmed),
    [
      ...(rest.isWhole ? [] : ["incomplete"]),
      ...(rest.isPinned ? ["pinned"] : []),
      ...(rest.visibility === "private" ? ["private"] : []),
    ].join(", "),
  ]);
  const head = ["image", "digest", "size", "alone", "used", "leaves", "confirmed", ""];
  return `${table(rows, { head, right: [2, 3, 5] })}\n\n${count(images.length, "image")}`;
}

/** What was never used, or not since uses are known, counts as used when it was stored. */
function lastUseOf({ stored, used }: CachedObject): number {
  return Math.max(stored, used ?? 0);
}

function objectReport(objects: readonly CachedObject[]): string {
  if (objects.length === 0) return "No such object is stored.";
  const rows = objects.map(({ key, size: bytes, stored, used }) => [
    key,
    size(bytes),
    dayOf(stored),
    used === null ? "" : dayOf(used),
  ]);
  return `${table(rows, { head: ["object", "size", "stored", "used"], right: [1] })}\n\n${count(objects.length, "object")}`;
}

function dayOf(milliseconds: number): string {
  return new Date(milliseconds).toISOString().slice(0, "2026-11-28".length);
}

function hostedReport(repositories: readonly HostedEntry[]): string {
  if (repositories.length === 0) return "There is no such hosted repository.";
  const rows = repositories.map(({ repository, tags, manifests, bytes, pushed }) => [
    repository,
    String(tags),
    String(manifests),
    size(bytes),
    pushed === null ? "" : ago(pushed),
  ]);
  const head = ["repository", "tags", "manifests", "size", "pushed"];
  return `${table(rows, { head, right: [1, 2, 3] })}\n\n${count(repositories.length, "repository")}`;
}
