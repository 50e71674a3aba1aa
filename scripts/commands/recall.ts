/** `portolan recall`: denies a digest to all clients of a mirror. */
import type { Command } from "commander";
import * as v from "valibot";
import { RecallRequest } from "../../src/ledger/recalls.ts";
import { parseDigest } from "../../src/oci/digest.ts";
import type { OwnerClient, RecalledDigest } from "../holdings/owner-client.ts";
import { good } from "../terminal/colours.ts";
import { span } from "../terminal/format.ts";
import { table } from "../terminal/table.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit.ts";
import { type OwnerSettings, ownerCommand, withOwner } from "./owner.ts";

interface Settings extends OwnerSettings {
  reason?: string;
  list?: boolean;
  undo?: string;
}

export const recall = (context: Context): Command =>
  ownerCommand("recall", [
    'recall sha256:… --reason "CVE-2026-1234: use 1.2.4"',
    "recall --list",
    "recall --undo sha256:…",
  ])
    .argument("[digest]", "of a manifest, an index, a layer or a config")
    .option("--reason <text>", "one line that clients get with the refusal")
    .option("--list", "show what is recalled")
    .option("--undo <digest>", "let clients pull a digest again")
    .addHelpText(
      "after",
      "\nWhat is cached of it is deleted. Exits with 0 if that was done, with 1 if what --undo names isn't recalled, with 2 if the mirror can't be reached.",
    )
    .action((digest: string | undefined, settings: Settings) =>
      withOwner(context, settings, async (owner) => {
        const { reason, list = false, undo } = settings;
        const isOne = [digest !== undefined, list, undo !== undefined].filter(Boolean).length === 1;
        if (!isOne) throw new Error("name a digest, or give --list or --undo");
        if (reason !== undefined && digest === undefined)
          throw new Error("--reason goes with a digest to recall");
        if (digest !== undefined) return recallDigest(context, owner, digest, settings);
        return undo === undefined
          ? listRecalled(context, owner, settings)
          : undoRecall(context, owner, undo, settings);
      }),
    );

async function recallDigest(
  { output }: Context,
  owner: OwnerClient,
  text: string,
  { reason = "", json }: Settings,
): Promise<number> {
  const digest = checked(text);
  if (!v.safeParse(RecallRequest, { digest, reason }).success) {
    throw new Error("--reason is one line of 200 characters at most");
  }
  await owner.recall(digest, reason);
  if (json) output.json({ recalled: digest, reason });
  else output.report(() => `${good("✓")} ${digest} is denied to all clients.`, digest);
  return EXIT.good;
}

async function listRecalled({ output }: Context, owner: OwnerClient, { json }: Settings): Promise<number> {
  const recalled = await owner.recalled();
  if (json) output.json(recalled.map((each) => ({ ...each, at: new Date(each.at).toISOString() })));
  else output.report(report, recalled);
  return EXIT.good;
}

async function undoRecall(
  { output }: Context,
  owner: OwnerClient,
  text: string,
  { json }: Settings,
): Promise<number> {
  const digest = checked(text);
  const wasRecalled = await owner.undoRecall(digest);
  if (json) output.json({ undone: digest, wasRecalled });
  else if (wasRecalled) output.report(() => `${good("✓")} ${digest} can be pulled again.`, digest);
  else output.failure(`${digest} isn't recalled`);
  return wasRecalled ? EXIT.good : EXIT.bad;
}

/** @throws Error for what is no whole digest. */
function checked(text: string): string {
  if (parseDigest(text) === null)
    throw new Error(`"${text}" is no whole digest: portolan inspect shows those of an image`);
  return text;
}

function report(recalled: readonly RecalledDigest[]): string {
  if (recalled.length === 0) return "Nothing is recalled.";
  const rows = recalled.map(({ digest, reason, at }) => [
    digest,
    `${span((Date.now() - at) / 1000)} ago`,
    reason,
  ]);
  return table(rows, { head: ["digest", "recalled", "reason"] });
}
