/** `portolan recall`: denies a digest to all clients of a mirror. */
import type { Command } from "commander";
import * as v from "valibot";
import { RecallRequest } from "../../src/ledger/requests.ts";
import { parseDigest } from "../../src/oci/digest.ts";
import type { OwnerClient } from "../holdings/owner-client.ts";
import type { DigestTrace, RecalledDigest } from "../owner-api/responses.ts";
import { formatReference, parseReference } from "../registry/reference.ts";
import { good } from "../terminal/colours.ts";
import { ago, count, shortDigest } from "../terminal/format.ts";
import { table } from "../terminal/table.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit.ts";
import { type OwnerSettings, ownerCommand, withOwner } from "./owner.ts";

interface Settings extends OwnerSettings {
  reason?: string;
  list?: boolean;
  undo?: string;
  trace?: boolean;
}

export const recall = (context: Context): Command =>
  ownerCommand("recall", [
    'recall sha256:… --reason "CVE-2026-1234: use 1.2.4"',
    "recall docker.io/owner/image:1.0",
    "recall --trace sha256:…",
    "recall --list",
    "recall --undo sha256:…",
  ])
    .argument(
      "[digest]",
      "of a manifest, an index, a layer or a config; or an image, for the digest that it has now",
    )
    .option("--reason <text>", "one line that clients get with the refusal")
    .option("--trace", "only show who pulled it, and which tags led to it")
    .option("--list", "show what is recalled")
    .option("--undo <digest>", "let clients pull a digest again")
    .addHelpText(
      "after",
      "\nWhat is cached of it is deleted. Exits with 0 if that was done, with 1 if what --undo names isn't recalled, with 2 if the mirror can't be reached.",
    )
    .action((digest: string | undefined, settings: Settings) =>
      withOwner(context, settings, async (owner) => {
        const { reason, list = false, undo, trace = false } = settings;
        const isOne = [digest !== undefined, list, undo !== undefined].filter(Boolean).length === 1;
        if (!isOne) throw new Error("name a digest, or give --list or --undo");
        if (reason !== undefined && digest === undefined)
          throw new Error("--reason goes with a digest to recall");
        if (trace && digest === undefined) throw new Error("--trace goes with a digest or an image");
        if (digest !== undefined) return (trace ? traceOf : recallDigest)(context, owner, digest, settings);
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
  const digest = await digestOf(owner, text);
  if (!v.safeParse(RecallRequest, { digest, reason }).success) {
    throw new Error("--reason is one line of 200 characters at most");
  }
  await owner.recall(digest, reason);
  const trace = await owner.traceOf(digest);
  if (json) output.json({ recalled: digest, reason, ...shownTrace(trace) });
  else {
    const done = `${good("✓")} ${digest} is denied to all clients.`;
    output.report((found) => `${done}\n\n${traceReport(found)}`, trace);
  }
  return EXIT.good;
}

async function traceOf(
  { output }: Context,
  owner: OwnerClient,
  text: string,
  { json }: Settings,
): Promise<number> {
  const digest = await digestOf(owner, text);
  const trace = await owner.traceOf(digest);
  if (json) output.json({ digest, ...shownTrace(trace) });
  else output.report((found) => `${digest}\n\n${traceReport(found)}`, trace);
  return EXIT.good;
}

/** The digest itself, or the one that a pull of the image would get. @throws Error for what is neither. */
async function digestOf(owner: OwnerClient, text: string): Promise<string> {
  if (/^sha(256|512):/.test(text)) return checked(text);
  return owner.resolve(formatReference(parseReference(text)));
}

function shownTrace({ pulls, tags }: DigestTrace) {
  const time = (at: number) => new Date(at).toISOString();
  return {
    pulls: pulls.map(({ first, last, ...pull }) => ({ ...pull, first: time(first), last: time(last) })),
    tags: tags.map(({ from, ...tag }) => ({ ...tag, from: time(from) })),
  };
}

function traceReport({ pulls, tags }: DigestTrace): string {
  const pulled = pulls.map(({ key, first, last, hours }) => [
    key === "" ? "without a key" : key,
    ago(first),
    ago(last),
    count(hours, "hour"),
  ]);
  const named = tags.map(({ upstream, repository, tag, named, from }) => [
    `${upstream}/${repository}:${tag}`,
    shortDigest(named),
    ago(from),
  ]);
  return [
    pulled.length === 0
      ? "No pull of it is known."
      : table(pulled, { head: ["pulled by", "first", "last", "in"] }),
    named.length === 0
      ? "No tag is known to have led to it."
      : table(named, { head: ["tag", "named", "since"] }),
  ].join("\n\n");
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
  const rows = recalled.map(({ digest, reason, at }) => [digest, ago(at), reason]);
  return table(rows, { head: ["digest", "recalled", "reason"] });
}
