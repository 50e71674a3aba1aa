/** `portolan inspect`: the way that a pull goes, step by step. */

import type { Command } from "commander";
import { mirrorSource } from "../image/sources.ts";
import { walkReport } from "../inspect/inspect-report.ts";
import { sizesOf } from "../inspect/sizes.ts";
import { walk } from "../inspect/walk.ts";
import { parseReference } from "../registry/reference.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit.ts";
import {
  type CommonSettings,
  commandNamed,
  mirrorOption,
  onePlatformOption,
  ownMirror,
  withSession,
} from "./options.ts";

interface Settings extends CommonSettings {
  mirror?: string;
  platform: string;
  all?: boolean;
}

export const inspect = (context: Context): Command =>
  commandNamed("inspect", [
    "inspect alpine",
    "inspect ghcr.io/owner/image:1.0 --platform linux/arm64 --mirror https://mirror.example.com",
    "inspect alpine --all",
  ])
    .argument("<image>", "an image as in docker pull")
    .addOption(mirrorOption())
    .addOption(onePlatformOption())
    .option("--all", "read all platforms, to say what they share; on Docker Hub each may count as a pull")
    .action((image: string, settings: Settings) =>
      withSession(context, settings, async ({ client, progress }) => {
        const { mirror = ownMirror(context), platform, all = false, json } = settings;
        const reference = parseReference(image);
        const { remote } = mirrorSource(mirror, reference);
        const way = await progress.during(image, walk({ client, remote, reference, platform, all }));
        progress.stop();
        if (json) context.output.json({ mirror, ...way, ...(all && { sizes: sizesOf(way.platforms) }) });
        else context.output.report((found) => walkReport(found, mirror), way);
        return EXIT.good;
      }),
    );
