/** `portolan warm`: brings images into a mirror before somebody waits for them. */
import type { Command } from "commander";
import { sizeOf } from "../image/image.ts";
import { mirrorSource } from "../image/sources.ts";
import { formatReference, parseReference } from "../registry/reference.ts";
import { bad, good, quiet } from "../terminal/colours.ts";
import { count, shortDigest, shortMirror, size } from "../terminal/format.ts";
import { type Part, type Warmed, warm as warmImage } from "../warm/warm-image.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit.ts";
import {
  type CommonSettings,
  commandNamed,
  messageOf,
  mirrorOption,
  ownMirror,
  platformsOption,
  withSession,
} from "./options.ts";

interface Settings extends CommonSettings {
  mirror?: string;
  platform: string[];
}

export const warm = (context: Context): Command =>
  commandNamed("warm", [
    "warm alpine nginx:1.27",
    "warm ghcr.io/owner/image:1.0 --platform linux/amd64 --platform linux/arm64",
    "warm alpine --mirror https://mirror.example.com",
  ])
    .argument("<image...>", "images as in docker pull")
    .addOption(mirrorOption())
    .addOption(platformsOption("only this platform"))
    .addHelpText(
      "after",
      "\nExits with 0 if all of it is there, with 1 if a part isn't, with 2 if an image can't be had.",
    )
    .action((images: string[], settings: Settings) =>
      withSession(context, settings, async ({ client, progress }) => {
        const { mirror = ownMirror(context), platform, json = false } = settings;
        const references = images.map(parseReference);
        const results: (Warmed | { image: string; error: string })[] = [];
        for (const reference of references) {
          const { remote } = mirrorSource(mirror, reference);
          try {
            const work = warmImage({ client, remote, reference, platforms: platform, progress });
            results.push(await progress.during(formatReference(reference), work));
          } catch (error) {
            results.push({ image: formatReference(reference), error: messageOf(error) });
          }
        }
        progress.stop();
        if (json) context.output.json({ mirror, images: results });
        else {
          for (const each of results) {
            context.output.report((found) => ("error" in found ? failure(found) : line(found, mirror)), each);
          }
        }
        if (results.some((each) => "error" in each)) return EXIT.unknown;
        return results.some((each) => !("error" in each) && failed(each).length > 0) ? EXIT.bad : EXIT.good;
      }),
    );

function failure({ image, error }: { image: string; error: string }): string {
  return `${bad("✗")} ${image}: ${error}`;
}

/** ✓ docker.io/library/alpine:3.20, 2 platforms: 2 blobs of 3.6 MB fetched, 4 of 3.1 MB stored before */
function line(warmed: Warmed, mirror: string): string {
  const parts = STATES.flatMap(([state, words]) => {
    const those = warmed.blobs.filter((each) => each.state === state);
    return those.length === 0 ? [] : [`${count(those.length, "blob")} of ${size(sizeOf(those))} ${words}`];
  });
  const wrong = failed(warmed);
  const mark = wrong.length === 0 ? good("✓") : bad("✗");
  const what = `${warmed.image}, ${count(warmed.platforms.length, "manifest")}: ${parts.join(", ") || "no blobs"}`;
  const reasons = wrong.map(({ digest, reason }) => `\n  ${shortDigest(digest)}  ${reason}`);
  return `${mark} ${what} ${quiet(`(${shortMirror(mirror)})`)}${reasons.join("")}`;
}

const STATES: readonly [Part["state"], string][] = [
  ["fetched", "fetched"],
  ["passed", "passed through: the mirror doesn't say whether it keeps them"],
  ["stored before", "stored before"],
  ["failed", "failed"],
];

function failed({ manifests, blobs }: Warmed): Part[] {
  return [...manifests, ...blobs].filter(({ state }) => state === "failed");
}
