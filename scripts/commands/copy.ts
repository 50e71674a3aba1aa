/** `portolan copy`: an image from one registry to another. */
import type { Command } from "commander";
import { type Copied, Copier } from "../copy/copier.ts";
import { copiedLine, parallelOption } from "../copy/copy-report.ts";
import { jobOf } from "../copy/sync-images.ts";
import { formatReference, parseAsWritten, parseReference } from "../registry/reference.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit.ts";
import {
  type CommonSettings,
  commandNamed,
  messageOf,
  OWN_PLATFORM,
  platformOption,
  withSession,
} from "./options.ts";

interface Settings extends CommonSettings {
  allPlatforms?: boolean;
  platform?: string;
  referrers?: boolean;
  parallel: number;
}

export const copy = (context: Context): Command =>
  commandNamed("copy", [
    "copy alpine:3.20 registry.example.com/library/alpine --all-platforms",
    "copy ghcr.io/owner/image:1.0 127.0.0.1:5000/owner/image:1.0 --platform linux/arm64",
    "copy quay.io/owner/image@sha256:… registry.example.com/owner/image:stable --all-platforms --referrers",
  ])
    .argument("<source>", "the image, as in docker pull")
    .argument("<target>", "where to; without a tag it gets the source's")
    .addOption(platformOption(`the platform, where there are several (default: ${OWN_PLATFORM})`))
    .option("--all-platforms", "all platforms, with the index over them")
    .option("--referrers", "signatures, SBOMs and whatever else refers to the image, too")
    .addOption(parallelOption())
    .addHelpText(
      "after",
      `
Logins are those of docker login or podman login. HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY are honoured.
Exits with 0 if the target has the image, with 1 if it couldn't be copied, with 2 if the command is wrong.`,
    )
    .action((from: string, to: string, settings: Settings) => {
      return withSession(context, settings, async ({ client, progress }) => {
        if (settings.allPlatforms && settings.platform !== undefined) {
          throw new Error("choose --platform or --all-platforms");
        }
        const source = parseReference(from);
        const written = parseAsWritten(to);
        if (written.digest !== null) throw new Error("the target takes a tag: its digest is the source's");
        const target = { ...written, tag: written.tag ?? source.tag };
        const names = { source: formatReference(source), target: formatReference(target) };
        let copied: Copied;
        try {
          progress.say(`${names.source} → ${names.target}`);
          const platform = settings.allPlatforms ? null : (settings.platform ?? OWN_PLATFORM);
          const copier = new Copier({ client, progress, parallel: settings.parallel });
          const job = jobOf(source, target, { platform, referrers: settings.referrers ?? false });
          copied = await progress.during(names.target, copier.copy(job));
        } catch (error) {
          progress.stop();
          if (settings.json) context.output.json({ state: "failed", ...names, error: messageOf(error) });
          else context.output.failure(messageOf(error));
          return EXIT.bad;
        }
        progress.stop();
        if (settings.json)
          context.output.json({ state: copied.unchanged ? "unchanged" : "copied", ...names, ...copied });
        else context.output.report((found) => copiedLine(names.target, found), copied);
        return EXIT.good;
      });
    });
