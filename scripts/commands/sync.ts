/** `portolan sync`: all images that a list names, or those of one registry to another. */

import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { Command } from "commander";
import { outcomeLine, parallelOption, summaryOf } from "../copy/copy-report.ts";
import { sync as syncAll } from "../copy/sync-images.ts";
import { type Defaults, type Entry, parseList, parsePair } from "../copy/sync-list.ts";
import { cleaned } from "../terminal/clean.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit.ts";
import { type CommonSettings, commandNamed, messageOf, platformOption, withSession } from "./options.ts";

interface Settings extends CommonSettings {
  platform?: string;
  referrers?: boolean;
  parallel: number;
  dryRun?: boolean;
}

export const sync = (context: Context): Command =>
  commandNamed("sync", [
    "sync images.yaml",
    "sync images.txt --dry-run",
    "sync images.yaml --platform linux/amd64 --json",
    "sync 'mirror.example.com/hosted/team/*' other.example.com/ --referrers",
    "sync 'mirror.example.com/hosted/team/app:v*' other.example.com/hosted/copies/app",
  ])
    .argument(
      "<list>",
      "the list: YAML, or text if its name doesn't end in .yaml, .yml or .json; with a target, the source: a repository or a pattern, perhaps with a tag or a pattern of tags",
    )
    .argument(
      "[target]",
      "the repository that a source's tags go to; one that ends with / keeps the source's name below it",
    )
    .addOption(platformOption("only this platform, where the list doesn't say (default: all)"))
    .option("--referrers", "signatures, SBOMs and whatever else refers to an image, too")
    .option("--dry-run", "copy nothing, and list what would be copied")
    .addOption(parallelOption())
    .addHelpText(
      "after",
      `
A list in YAML, where all but images may be left out, and an image may be its name alone:
  to: registry.example.com/mirror/
  platform: linux/amd64
  images:
    - alpine:3.20
    - from: ghcr.io/owner/image
      to: registry.example.com/owner/image
      tags: ["1.*", latest]
      exclude: ["*-rc*"]
      newest: 5
      platform: all
      referrers: true

A list as text, with a source and a target on each line:
  alpine:3.20              registry.example.com/alpine:3.20
  ghcr.io/owner/image:1.*  registry.example.com/mirror/

Where a target ends with a slash, the source's repository follows. Instead of a list, one source and one target can be given: the source
without a tag stands for all tags of its repositories.

Logins are those of docker login or podman login. HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY are honoured.
Exits with 0 if all is there, with 1 if anything couldn't be copied, with 2 if the command or the list is wrong.`,
    )
    .action((source: string, target: string | undefined, settings: Settings) =>
      withSession(context, settings, async ({ client, progress }) => {
        const { platform = null, referrers = false } = settings;
        const defaults = { platform, referrers };
        const entries =
          target === undefined
            ? await readList(resolve(context.cwd, source), defaults)
            : [parsePair(source, target, defaults)];
        const outcomes = await syncAll(entries, {
          client,
          progress,
          parallel: settings.parallel,
          dryRun: settings.dryRun ?? false,
          onOutcome: (outcome) => {
            if (!settings.dryRun) progress.say(outcomeLine(cleaned(outcome)));
          },
          describe: messageOf,
        });
        progress.stop();
        if (settings.json) context.output.json({ images: outcomes.map(asJson) });
        else {
          // A plan is the very thing that was requested.
          const planned = outcomes.filter(({ state }) => state === "planned");
          for (const outcome of planned) context.output.report(outcomeLine, outcome);
          const failed = outcomes.filter(({ state }) => state === "failed");
          if (failed.length > 0)
            context.output.errorLine(`\nNot copied:\n${cleaned(failed).map(outcomeLine).join("\n")}\n`);
          context.output.line(summaryOf(outcomes));
        }
        return outcomes.some(({ state }) => state === "failed") ? EXIT.bad : EXIT.good;
      }),
    );

async function readList(file: string, defaults: Defaults): Promise<Entry[]> {
  try {
    return parseList(await readFile(file, "utf8"), file, defaults);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") {
      throw new Error(`there is no file ${file}`);
    }
    throw new Error(`${file}: ${messageOf(error)}`);
  }
}

function asJson(outcome: Awaited<ReturnType<typeof syncAll>>[number]): unknown {
  if (!("copied" in outcome)) return outcome;
  const { copied, ...rest } = outcome;
  return { ...rest, ...copied };
}
