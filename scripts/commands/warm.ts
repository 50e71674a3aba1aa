/** `portolan warm`: brings images into a mirror before somebody waits for them. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import type { Wait } from "../../src/registry/retry.ts";
import { sizeOf } from "../image/image.ts";
import { mirrorSource } from "../image/sources.ts";
import { formatReference, type ImageReference, parseReference } from "../registry/reference.ts";
import { bad, good, quiet } from "../terminal/colours.ts";
import { count, shortDigest, shortMirror, size } from "../terminal/format.ts";
import { type WarmedByMirror, warmByMirror } from "../warm/warm-by-mirror.ts";
import { type Part, type Warmed, warm as warmImage } from "../warm/warm-image.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit.ts";
import {
  commandNamed,
  messageOf,
  mirrorOption,
  ownMirror,
  platformsOption,
  type Session,
  withSession,
} from "./options.ts";
import { type OwnerSettings, withAdminKey, withOwner } from "./owner.ts";

interface Settings extends OwnerSettings {
  platform: string[];
  byMirror?: boolean;
}

export const warm = (context: Context): Command =>
  withAdminKey(
    commandNamed("warm", [
      "warm alpine nginx:1.27",
      "warm ghcr.io/owner/image:1.0 --platform linux/amd64 --platform linux/arm64",
      "warm alpine --mirror https://mirror.example.com --by-mirror",
    ])
      .argument("<image...>", "images as in docker pull")
      .addOption(mirrorOption())
      .addOption(platformsOption("only this platform"))
      .option("--by-mirror", "let the mirror fetch them by itself: nothing is transferred to this machine"),
    "with --by-mirror: ",
  )
    .addHelpText(
      "after",
      "\nExits with 0 if all of it is there, with 1 if a part isn't, with 2 if an image can't be had.",
    )
    .action((images: string[], settings: Settings) => {
      const references = () => images.map(parseReference);
      if (settings.byMirror) {
        return withOwner(context, settings, (owner, mirror, session) =>
          warmAll(context, settings, mirror, session, references(), (reference) => {
            const { platform: platforms } = settings;
            const { progress } = session;
            return warmByMirror({ owner, reference, platforms, progress, wait: context.wait ?? pause });
          }),
        );
      }
      return withSession(context, settings, (session) => {
        const { mirror = ownMirror(context), platform: platforms } = settings;
        return warmAll(context, settings, mirror, session, references(), (reference) => {
          const { client, progress } = session;
          const { remote } = mirrorSource(mirror, reference);
          return warmImage({ client, remote, reference, platforms, progress });
        });
      });
    });

const pause: Wait = (milliseconds) => sleep(milliseconds);

type Result = Warmed | WarmedByMirror | { image: string; error: string };

async function warmAll(
  { output }: Context,
  { json = false }: Settings,
  mirror: string,
  { progress }: Session,
  references: readonly ImageReference[],
  work: (reference: ImageReference) => Promise<Warmed | WarmedByMirror>,
): Promise<number> {
  const results: Result[] = [];
  for (const reference of references) {
    try {
      results.push(await progress.during(formatReference(reference), work(reference)));
    } catch (error) {
      results.push({ image: formatReference(reference), error: messageOf(error) });
    }
  }
  progress.stop();
  if (json) output.json({ mirror, images: results });
  else for (const each of results) output.report((found) => lineOf(found, mirror), each);
  if (results.some((each) => "error" in each)) return EXIT.unknown;
  return results.some((each) => !isWhole(each)) ? EXIT.bad : EXIT.good;
}

function isWhole(result: Result): boolean {
  if ("error" in result) return false;
  return isByMirror(result) ? result.blobs.failed === 0 : failed(result).length === 0;
}

function isByMirror(result: Warmed | WarmedByMirror): result is WarmedByMirror {
  return !Array.isArray(result.blobs);
}

function lineOf(result: Result, mirror: string): string {
  if ("error" in result) return failure(result);
  return isByMirror(result) ? lineByMirror(result, mirror) : line(result, mirror);
}

/** ✓ docker.io/library/alpine:3.20, 3 manifests: 6 blobs of 6.7 MB stored */
function lineByMirror({ image, manifests, blobs, bytes }: WarmedByMirror, mirror: string): string {
  const mark = blobs.failed === 0 ? good("✓") : bad("✗");
  const stored = `${count(blobs.stored, "blob")} of ${size(bytes.stored)} stored`;
  const rest = blobs.failed === 0 ? "" : `, ${count(blobs.failed, "blob")} failed: the mirror's log says why`;
  return `${mark} ${image}, ${count(manifests, "manifest")}: ${stored}${rest} ${quiet(`(${shortMirror(mirror)})`)}`;
}

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
