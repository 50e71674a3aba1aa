/** `portolan save`: images out of a mirror as one file, for machines without a network. */
import { resolve } from "node:path";
import type { Command } from "commander";
import { parallelOption } from "../copy/copy-report.ts";
import { parseReference } from "../registry/reference.ts";
import type { Saved } from "../save/save-images.ts";
import { cleaned } from "../terminal/clean.ts";
import { good, quiet } from "../terminal/colours.ts";
import { count, size } from "../terminal/format.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit.ts";
import {
  type CommonSettings,
  commandNamed,
  messageOf,
  mirrorOption,
  OWN_PLATFORM,
  ownMirror,
  withSession,
} from "./options.ts";
import { type PlatformSettings, wantedPlatform, withPlatforms } from "./platforms.ts";

interface Settings extends CommonSettings, PlatformSettings {
  output?: string;
  mirror?: string;
  parallel: number;
}

export const save = (context: Context): Command =>
  withPlatforms(
    commandNamed("save", [
      "save alpine:3.20 ghcr.io/owner/image:1.0 -o images.tar",
      "save alpine:3.20 --platform linux/arm64 --mirror https://mirror.example.com -o alpine.tar",
    ])
      .argument("<image...>", "images as in docker pull")
      .option("-o, --output <file>", "where to; left out: standard output, unless that is a terminal")
      .addOption(mirrorOption()),
  )
    .addOption(parallelOption())
    .addHelpText(
      "after",
      `
The file is for docker load and podman load, and for oci-archive: of skopeo and copy. To a pipe, without the lines that npm prints:
  scripts/portolan.js save alpine:3.20 | ssh host docker load

Exits with 0 if all images are in it, with 1 if one can't be had, and there is no file then, with 2 if the command is wrong.`,
    )
    .action((images: string[], settings: Settings) =>
      withSession(context, settings, async ({ client, progress }) => {
        const { mirror = ownMirror(context), json = false, parallel } = settings;
        const platform = wantedPlatform(settings);
        if (settings.output === undefined && json)
          throw new Error("with --json the file is named by --output");
        if (settings.output === undefined && context.stdout.isTTY) {
          throw new Error("standard output is a terminal: name a file by --output, or use a pipe");
        }
        const references = images.map(parseReference);
        const output = settings.output === undefined ? context.stdout : resolve(context.cwd, settings.output);
        // Loaded here: `--help` needs none of it.
        const { saveImages } = await import("../save/save-images.ts");
        let saved: Saved[];
        try {
          const options = { client, progress, parallel, mirror, output, platform };
          saved = await saveImages(references, { ...options, ownPlatform: OWN_PLATFORM });
        } catch (error) {
          progress.stop();
          if (json) context.output.json({ state: "failed", mirror, error: messageOf(error) });
          else context.output.failure(messageOf(error));
          return EXIT.bad;
        }
        progress.stop();
        if (json) context.output.json({ state: "saved", mirror, output, images: saved });
        // Standard output may be the file.
        else for (const each of cleaned(saved)) context.output.errorLine(line(each));
        return EXIT.good;
      }),
    );

/** ✓ docker.io/library/alpine:3.20 is saved: 2 blobs (3.6 MB) sha256:… */
function line({ image, digest, sent, present, bytes }: Saved): string {
  const shared = present > 0 ? `, ${count(present, "blob")} shared` : "";
  return `${good("✓")} ${image} is saved: ${count(sent, "blob")} (${size(bytes)})${shared} ${quiet(digest)}`;
}
