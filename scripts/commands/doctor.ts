/** `portolan doctor`: what is wrong between this machine and the mirror, and what to do about it. */
import type { Command } from "commander";
import type { Check } from "../doctor/check.ts";
import { examine } from "../doctor/examine.ts";
import { parseReference } from "../registry/reference.ts";
import * as colours from "../terminal/colours.ts";
import { count } from "../terminal/format.ts";
import { table } from "../terminal/table.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit.ts";
import {
  type CommonSettings,
  commandNamed,
  mirrorOption,
  OWN_MIRROR,
  onePlatformOption,
  ownMirror,
  withSession,
} from "./options.ts";

interface Settings extends CommonSettings {
  mirror?: string;
  image: string;
  platform: string;
}

const MARKS: Record<Check["state"], string> = {
  good: colours.good("✓"),
  warning: colours.warning("!"),
  bad: colours.bad("✗"),
  skipped: colours.quiet("–"),
};

export const doctor = (context: Context): Command =>
  commandNamed("doctor", [
    "doctor",
    "doctor --mirror https://mirror.example.com",
    "doctor --image ghcr.io/owner/image:1.0",
  ])
    .addOption(mirrorOption())
    .option("--image <image>", "a small image to pull for a look", "docker.io/library/hello-world:latest")
    .addOption(onePlatformOption())
    .addHelpText("after", "\nExits with 0 if nothing is wrong, with 1 if something is.")
    .action((settings: Settings) =>
      withSession(context, settings, async (session) => {
        const { mirror = ownMirror(context), image, platform, json } = settings;
        const checks = await session.progress.during(
          mirror,
          examine({
            ...session,
            env: context.env,
            ...{ mirror, platform, reference: parseReference(image) },
            known: [ownMirror(context), OWN_MIRROR],
          }),
        );
        session.progress.stop();
        if (json) context.output.json({ mirror, checks });
        else context.output.report((found) => report(mirror, found), checks);
        return checks.some(({ state }) => state === "bad") ? EXIT.bad : EXIT.good;
      }),
    );

function report(mirror: string, checks: readonly Check[]): string {
  const lines = table(
    checks.map(({ name, state, says }) => [MARKS[state], name, says]),
    { indent: 2 },
  ).split("\n");
  const advised = checks.flatMap(({ advice }, index) => {
    const line = lines[index] ?? "";
    return advice === null ? [line] : [line, colours.quiet(`      → ${advice}`)];
  });
  return [colours.strong(mirror), "", ...advised, "", summary(checks)].join("\n");
}

function summary(checks: readonly Check[]): string {
  const number = (state: Check["state"]) => checks.filter((check) => check.state === state).length;
  const doubts = number("warning") === 0 ? "" : `, ${count(number("warning"), "thing")} to look at`;
  if (number("bad") > 0) return `${MARKS.bad} ${count(number("bad"), "thing")} to fix${doubts}`;
  return `${MARKS.good} Nothing is wrong${doubts}`;
}
