/** What the commands that look at mirrors have in common: their options, and what their requests to registries need. */
import { Command, InvalidArgumentError, Option } from "commander";
import type { RegistryClient } from "../registry/client.ts";
import { causeOf, RegistryFailure } from "../registry/failure.ts";
import type { Logins } from "../registry/logins.ts";
import { normalMirrorUrl } from "../registry/mirror-url.ts";
import type { Network } from "../registry/network.ts";
import type { Progress } from "../terminal/progress.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit.ts";
import { SUMMARIES } from "./summaries.ts";

/** Where `npm start` listens. */
export const OWN_MIRROR = "http://127.0.0.1:8787";

export interface CommonSettings {
  json?: boolean;
  insecure?: boolean;
}

export interface Session {
  network: Network;
  client: RegistryClient;
  logins: Logins;
  /** Must be stopped before anything is printed. */
  progress: Progress;
}

/** A command with the options that all have. */
export function commandNamed(name: keyof typeof SUMMARIES, examples: readonly string[]): Command {
  return new Command(name)
    .description(SUMMARIES[name])
    .option("--json", "print what was found as JSON")
    .option("--insecure", "let registries and mirrors on other machines be reached without TLS")
    .addHelpText(
      "after",
      `\nExamples:\n${examples.map((each) => `  npm run portolan -- ${each}`).join("\n")}`,
    );
}

/** `--mirror` for a command that looks at one; `ownMirror` stands in for it. */
export function mirrorOption(): Option {
  return new Option("--mirror <url>", `the mirror (default: PORTOLAN_MIRROR, or ${OWN_MIRROR})`).argParser(
    mirrorUrl,
  );
}

/** `--mirror`, which may be given several times. */
export function mirrorsOption(what: string): Option {
  return new Option("--mirror <url>", `${what}; repeatable`).argParser((text, given: string[] = []) => [
    ...given,
    mirrorUrl(text),
  ]);
}

/** The mirror that commands look at where none is given. @throws Error if the environment names what can't be one. */
export function ownMirror({ env }: Pick<Context, "env">): string {
  const named = env.PORTOLAN_MIRROR || OWN_MIRROR;
  try {
    return mirrorUrl(named);
  } catch {
    throw new Error(
      `PORTOLAN_MIRROR must be a URL such as https://mirror.example.com, which "${named}" isn't`,
    );
  }
}

/** `--platform`, which may be given several times. */
export function platformsOption(what: string): Option {
  return new Option("--platform <os/arch[/variant]>", `${what}; repeatable`)
    .default([], "all")
    .argParser((text, given: string[]) => [...given, platform(text)]);
}

/** What Docker calls the kinds of machine that Node runs on. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64", ia32: "386", ppc64: "ppc64le" };

/** The platform of containers on this machine: Linux even where they run in a virtual one. */
export const OWN_PLATFORM = `linux/${ARCHITECTURES[process.arch] ?? process.arch}`;

/** `--platform`, which may be given once. */
export function platformOption(what: string): Option {
  return new Option("--platform <os/arch[/variant]>", what).argParser(platform);
}

/** The same for a command that looks at one platform: this machine's by default. */
export function onePlatformOption(): Option {
  return platformOption("the platform").default(OWN_PLATFORM);
}

/** As `argParser` of an option. */
export function mirrorUrl(text: string): string {
  const url = normalMirrorUrl(text);
  if (url !== null) return url;
  throw new InvalidArgumentError(
    "It must be a URL such as https://mirror.example.com, without a login in it.",
  );
}

function platform(text: string): string {
  if (/^[a-z0-9]+\/[a-z0-9_-]+(\/[a-z0-9.]+)?$/.test(text)) return text;
  throw new InvalidArgumentError("It must be such as linux/amd64 or linux/arm64/v8.");
}

/**
 * Does what a command is for. The exit code is what it returns; a refusal or a user's mistake is reported in one line, or as JSON, and
 * exits with 2.
 */
export async function attempt(
  context: Context,
  { json = false }: { json?: boolean },
  work: () => Promise<number>,
): Promise<void> {
  try {
    context.exitCode = await work();
  } catch (error) {
    context.exitCode = EXIT.unknown;
    if (json) context.output.json({ error: messageOf(error) });
    else context.output.failure(messageOf(error));
  }
}

/** The same for a command that sends requests to registries. */
export function withSession(
  context: Context,
  settings: CommonSettings,
  work: (session: Session) => Promise<number>,
): Promise<void> {
  const insecure = settings.insecure ?? false;
  const { env, stderr, patience, wait } = context;
  return attempt(context, settings, async () => {
    const { openNetwork, openProgress, readLogins, RegistryClient } = await import("./session.ts");
    const network = openNetwork({ insecure }, env);
    const progress = openProgress({ quiet: settings.json ?? false, output: stderr, patience });
    try {
      const logins = await readLogins(env);
      const client = new RegistryClient({ network, logins, insecure, wait });
      return await work({ network, client, logins, progress });
    } finally {
      progress.stop();
      await network.close();
    }
  });
}

/** What went wrong, in words that a user can do something with; a mistake in Portolan itself shows where it is. */
export function messageOf(error: unknown): string {
  if (error instanceof RegistryFailure) return error.message;
  if (error instanceof TypeError || error instanceof RangeError) return error.stack ?? error.message;
  return causeOf(error);
}
