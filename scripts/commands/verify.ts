/** `portolan verify`: is what a mirror gives what the publisher pushed? */
import type { Command } from "commander";
import { mirrorSource, publisherOf } from "../image/sources.ts";
import { RegistryFailure } from "../registry/failure.ts";
import { formatReference, parseReference } from "../registry/reference.ts";
import { worst } from "../verify/compare.ts";
import { type ImageResult, verifyImage } from "../verify/verify-image.ts";
import { hasDifference, imageReport, isAllSame, summary } from "../verify/verify-report.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit.ts";
import {
  type CommonSettings,
  commandNamed,
  messageOf,
  mirrorsOption,
  ownMirror,
  platformsOption,
  type Session,
  withSession,
} from "./options.ts";

interface Settings extends CommonSettings {
  mirror?: string[];
  against?: string;
  deep?: boolean;
  platform: string[];
}

interface Failed {
  image: string;
  error: string;
}

export const verify = (context: Context): Command =>
  commandNamed("verify", [
    "verify alpine",
    "verify ghcr.io/owner/image:1.0 --mirror https://mirror.example.com --deep",
    "verify alpine --mirror https://docker.m.daocloud.io --mirror https://mirror.gcr.io --platform linux/amd64",
  ])
    .argument("<image...>", "images as in docker pull")
    .addOption(
      mirrorsOption("a mirror, as in a client's configuration (PORTOLAN_MIRROR, or http://127.0.0.1:8787)"),
    )
    .option("--against <registry>", "whom to believe instead of the image's own registry: a host or a URL")
    .option("--deep", "download every layer from the mirror and hash it")
    .addOption(platformsOption("only this platform"))
    .addHelpText(
      "after",
      `
Exits with 0 if all is the same, with 1 if anything differs, with 2 if it couldn't be found out.`,
    )
    .action((images: string[], settings: Settings) =>
      withSession(context, settings, async (session) => {
        const references = images.map(parseReference);
        const results: ImageResult[] = [];
        const failed: Failed[] = [];
        for (const reference of references) {
          try {
            results.push(
              await session.progress.during(
                formatReference(reference),
                verifyOne(context, session, reference, settings),
              ),
            );
          } catch (error) {
            failed.push({ image: formatReference(reference), error: refusal(error, settings) });
          }
        }
        session.progress.stop();
        if (settings.json) context.output.json(asJson(results, failed));
        else print(context, results, failed, settings.deep ?? false);
        if (results.some(hasDifference)) return EXIT.bad;
        return failed.length === 0 && results.every(isAllSame) ? EXIT.good : EXIT.unknown;
      }),
    );

function verifyOne(
  context: Context,
  { client, progress }: Session,
  reference: ReturnType<typeof parseReference>,
  { mirror, against, deep = false, platform }: Settings,
): Promise<ImageResult> {
  return verifyImage({
    client,
    reference,
    publisher: publisherOf(reference, against ?? null),
    mirrors: (mirror ?? [ownMirror(context)]).map((each) => mirrorSource(each, reference)),
    platforms: platform,
    deep,
    progress,
  });
}

/** Who can't reach the publisher may have another registry that they believe. */
function refusal(error: unknown, { against }: Settings): string {
  const isSilent = error instanceof RegistryFailure && (error.status === 0 || error.isTransient);
  return `${messageOf(error)}${isSilent && against === undefined ? "; --against names another registry to believe" : ""}`;
}

function print(
  context: Context,
  results: readonly ImageResult[],
  failed: readonly Failed[],
  deep: boolean,
): void {
  for (const result of results) context.output.report((found) => `${imageReport(found)}\n`, result);
  for (const { image, error } of failed) context.output.failure(`${image}: ${error}`);
  if (results.length > 0) context.output.report((found) => summary(found, deep), results);
}

function asJson(results: readonly ImageResult[], failed: readonly Failed[]): unknown {
  return {
    same: failed.length === 0 && results.every(isAllSame),
    images: [
      ...results.map(({ image, publisher, expected, mirrors }) => ({
        image,
        publisher,
        digest: expected.root.digest,
        mirrors: mirrors.map(({ mirror, findings }) => ({
          mirror,
          state: worst(findings),
          objects: findings.map(({ expected: { digest, size }, ...finding }) => ({
            ...finding,
            digest,
            size,
          })),
        })),
      })),
      ...failed,
    ],
  };
}
