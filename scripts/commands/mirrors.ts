/** `portolan mirrors`: measures public mirrors, ranks them, and prints the configuration that follows. */
import { resolve } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import pLimit from "p-limit";
import { publisherOf } from "../image/sources.ts";
import { withAgreement } from "../mirrors/agreement.ts";
import { isReachable, measure, type Sample } from "../mirrors/measure.ts";
import {
  once,
  ownListPath,
  type PublicMirror,
  readMirrorLists,
  readPublicMirrors,
} from "../mirrors/mirror-list.ts";
import { mirrorsReport, type Publisher } from "../mirrors/mirrors-report.ts";
import { isUsable, type Measured, rank } from "../mirrors/rank.ts";
import { manifestReference, parseReference } from "../registry/reference.ts";
import { cleaned } from "../terminal/clean.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit.ts";
import {
  type CommonSettings,
  commandNamed,
  messageOf,
  mirrorsOption,
  onePlatformOption,
  type Session,
  withSession,
} from "./options.ts";

interface Settings extends CommonSettings {
  image?: string[];
  mirror?: string[];
  list?: string[];
  onlyGiven?: boolean;
  against?: string;
  platform: string;
  seconds: number;
}

const SAMPLE = "docker.io/library/alpine:latest";

export const mirrors = (context: Context): Command =>
  commandNamed("mirrors", [
    "mirrors",
    "mirrors --image alpine --image nginx --mirror https://mirror.example.com",
    "mirrors --image ghcr.io/owner/image:1.0",
    "mirrors --list mirrors.yaml",
    "mirrors --only-given --mirror https://one.example.com --mirror https://two.example.com",
  ])
    .option("--image <image>", `what to measure with (default: ${SAMPLE}); repeatable`, collect)
    .addOption(mirrorsOption("a mirror to measure with the others"))
    .option("--list <file>", "a list of mirrors to measure with the others; repeatable", collect)
    .option("--only-given", "measure only what --mirror and --list name")
    .option("--against <registry>", "whom to believe instead of the images' own registry: a host or a URL")
    .addOption(onePlatformOption())
    .option("--seconds <number>", "how long the sample layer may take from each mirror", seconds, 10)
    .addHelpText(
      "after",
      `
A list is YAML, with registries and the URLs of their mirrors:
  docker.io:
    - https://mirror.example.com
One of your own is read without --list: ~/.config/portolan/mirrors.yaml, or $XDG_CONFIG_HOME/portolan/mirrors.yaml.`,
    )
    .addHelpText("after", "\nExits with 0 if there is a mirror that can be used, with 1 if there is none.")
    .action((settings: Settings) =>
      withSession(context, settings, async (session) => {
        const lists = await readLists(context, settings);
        const work = Promise.all([measureAll(session, settings, lists), publishersOf(session, settings)]);
        const [measured, publishers] = await session.progress.during("mirrors", work);
        const ranked = rank(withAgreement(measured));
        session.progress.stop();
        if (settings.json) context.output.json(ranked.map((each) => ({ ...each, isUsable: isUsable(each) })));
        else context.output.report((found) => mirrorsReport(found, publishers), ranked);
        return ranked.some(isUsable) ? EXIT.good : EXIT.bad;
      }),
    );

/** @throws Error for a list that can't be read. */
async function readLists(
  { cwd, env }: Context,
  { list = [], onlyGiven = false }: Settings,
): Promise<PublicMirror[]> {
  const given = list.map((file) => resolve(cwd, file));
  if (onlyGiven) return readMirrorLists(given);
  return once([...(await readMirrorLists(given, [ownListPath(env)])), ...(await readPublicMirrors())]);
}

/** @param lists the mirrors of lists, also of registries that aren't measured. */
async function measureAll(
  { client, network, progress }: Session,
  settings: Settings,
  lists: readonly PublicMirror[],
): Promise<Measured[]> {
  const { image: images = [SAMPLE], mirror: given = [], against, platform } = settings;
  const references = images.map(parseReference);
  const samples = await Promise.all(
    references.map(async (reference): Promise<Sample> => {
      const publisher = publisherOf(reference, against ?? null);
      try {
        await client.head(publisher.remote, manifestReference(reference));
        return { reference, publisher, platform };
      } catch (error) {
        progress.say(cleaned(`Whether tags are fresh is unknown: ${messageOf(error)}`));
        return { reference, publisher: null, platform };
      }
    }),
  );
  const registries = [...new Set(references.map(({ registry }) => registry))];
  const mine = registries.flatMap((registry) => given.map((url): PublicMirror => ({ url, registry })));
  const listed = lists.filter(({ registry }) => registries.includes(registry));
  const measured = once([...mine, ...listed]).map((mirror) => {
    const own = samples.filter(({ reference }) => reference.registry === mirror.registry);
    return measure(mirror, own, { client, network, progress, alone, download: settings.seconds * 1000 });
  });
  return Promise.all(measured);
}

const alone = pLimit(1);

/** The registries of the images, whether or not `--against` names another that is believed in their stead. */
function publishersOf({ network }: Session, { image = [SAMPLE] }: Settings): Promise<Publisher[]> {
  const registries = new Map(image.map(parseReference).map((reference) => [reference.registry, reference]));
  return Promise.all(
    [...registries].map(async ([registry, reference]) => {
      const { endpoint } = publisherOf(reference, null).remote;
      return { registry, url: endpoint.origin, isReachable: await isReachable(endpoint, network) };
    }),
  );
}

function collect(text: string, given: string[] = []): string[] {
  return [...given, text];
}

function seconds(text: string): number {
  if (/^\d{1,3}$/.test(text) && Number(text) > 0) return Number(text);
  throw new InvalidArgumentError("It must be a whole number from 1 to 999.");
}
