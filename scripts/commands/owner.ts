/** What the commands of a mirror's owner have in common. */
import type { Command } from "commander";
import { adminKeyFor } from "../holdings/admin-key.ts";
import { OwnerClient } from "../holdings/owner-client.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit.ts";
import {
  type CommonSettings,
  commandNamed,
  mirrorOption,
  ownMirror,
  type Session,
  withSession,
} from "./options.ts";
import type { SUMMARIES } from "./summaries.ts";

export interface OwnerSettings extends CommonSettings {
  mirror?: string;
  adminKeyFile?: string;
  data: string;
}

/** A command about what one mirror holds. */
export function ownerCommand(name: keyof typeof SUMMARIES, examples: readonly string[]): Command {
  return withAdminKey(commandNamed(name, examples).addOption(mirrorOption()));
}

/** @param when what the options depend on. */
export function withAdminKey(command: Command, when = ""): Command {
  return command
    .option(
      "--admin-key-file <file>",
      `${when}the file with the mirror's ADMIN_KEY (default: PORTOLAN_ADMIN_KEY)`,
    )
    .option(
      "--data <folder>",
      `${when}the data folder of a mirror on this machine, which has its key`,
      ".portolan",
    );
}

export interface RemovalSettings extends OwnerSettings {
  dryRun?: boolean;
}

/** What a removal came to, or would come to. */
export type Removal<Found extends object> = Found & { dryRun: boolean };

/**
 * Removes something from the mirror that is meant, or finds out what would be removed, and reports it.
 * @param name of the work, for its progress.
 */
export function withRemoval<Found extends object>(
  context: Context,
  settings: RemovalSettings,
  name: string,
  remove: (owner: OwnerClient, dryRun: boolean) => Promise<Found>,
  report: (removal: Removal<Found>) => string,
): Promise<void> {
  return withOwner(context, settings, async (owner, _, { progress }) => {
    const { dryRun = false, json = false } = settings;
    const found = await progress.during(name, remove(owner, dryRun));
    progress.stop();
    const removal = { ...found, dryRun };
    if (json) context.output.json(removal);
    else context.output.report(report, removal);
    return EXIT.good;
  });
}

/** Does the command's work on the mirror that is meant. */
export function withOwner(
  context: Context,
  settings: OwnerSettings,
  work: (owner: OwnerClient, mirror: string, session: Session) => Promise<number>,
): Promise<void> {
  return withSession(context, settings, async (session) => {
    const { adminKeyFile, data, mirror = ownMirror(context) } = settings;
    const { env, cwd } = context;
    const file = adminKeyFile === undefined ? {} : { file: adminKeyFile };
    const key = await adminKeyFor(mirror, { ...file, env, cwd, data });
    return work(new OwnerClient(mirror, key, session.network.fetch), mirror, session);
  });
}
