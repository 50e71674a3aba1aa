/** `portolan inspect`: the way that a pull goes, step by step. */

import { walkReport } from "../inspect/report.ts";
import { sizesOf } from "../inspect/sizes.ts";
import { walk } from "../inspect/walk.ts";
import { parseReference } from "../registry/reference.ts";
import { mirrorSource } from "../verify/sources.ts";
import {
  type CommonSettings,
  commandNamed,
  EXIT,
  mirrorOption,
  onePlatformOption,
  ownMirror,
  printJson,
  printReport,
  run,
} from "./options.ts";

interface Settings extends CommonSettings {
  mirror?: string;
  platform: string;
  all?: boolean;
}

export const inspect = commandNamed("inspect", [
  "inspect alpine",
  "inspect ghcr.io/owner/image:1.0 --platform linux/arm64 --mirror https://mirror.example.com",
  "inspect alpine --all",
])
  .argument("<image>", "an image as in docker pull")
  .addOption(mirrorOption())
  .addOption(onePlatformOption())
  .option("--all", "read all platforms, to say what they share; on Docker Hub each may count as a pull")
  .action((image: string, settings: Settings) =>
    run(settings, async ({ client, progress }) => {
      const { mirror = ownMirror(), platform, all = false, json } = settings;
      const reference = parseReference(image);
      const { place } = mirrorSource(mirror, reference);
      const way = await progress.during(image, walk({ client, place, reference, platform, all }));
      progress.stop();
      if (json) printJson({ mirror, ...way, ...(all && { sizes: sizesOf(way.platforms) }) });
      else printReport((found) => walkReport(found, mirror), way);
      return EXIT.good;
    }),
  );
