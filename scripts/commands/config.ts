/** `portolan config CLIENT`: how a client is led to a mirror, shown or put into its files. */
import { resolve } from "node:path";
import { Command, Option } from "commander";
import { CLIENTS, type ClientName, clientNamed } from "../../src/guides/clients.ts";
import { type Guide, type GuideRequest, SHAPES } from "../../src/guides/guide.ts";
import type { Change } from "../config/changes.ts";
import { type ConfigOptions, readRequest } from "../config/request.ts";
import { guideText } from "../config/text.ts";
import { isWritable } from "../config/writable.ts";
import { nearest } from "../terminal/nearest.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit.ts";
import { attempt } from "./options.ts";
import { SUMMARIES } from "./summaries.ts";

interface Options extends ConfigOptions {
  write?: boolean;
  yes?: boolean;
  root: string;
  json?: boolean;
}

export const config = (context: Context): Command =>
  new Command("config")
    .description(SUMMARIES.config)
    .argument("[client]", "the client's name; without it the clients are listed")
    .option("--mirror <url>", "where the mirror is", "http://127.0.0.1:8787")
    .option("--domain <name>", "the mirror's DOMAIN, if it has one: docker.<name> leads to it")
    .option("--upstream <name,…>", "registries to go through the mirror; repeatable (default: all)", several)
    .option("--key-file <file>", "file with the access key, for a mirror that wants one")
    .addOption(
      new Option(
        "--shape <form>",
        "how a request names its registry, where the client leaves a choice",
      ).choices(SHAPES),
    )
    .option("--write", "put it into the client's files, after showing the difference and asking")
    .option("--yes", "with --write: don't ask")
    .option("--root <folder>", "with --write: the folder in which the client's machine is mounted", "/")
    .option("--json", "print JSON")
    .addHelpText("after", () => HELP)
    .action((name: string | undefined, options: Options) =>
      attempt(context, options, () => run(context, name, options)),
    );

const HELP = `
Clients:
  ${Object.keys(CLIENTS)
    .join(", ")
    .replaceAll(/(.{1,90})(?:, |$)/g, "$1,\n  ")
    .replace(/,\s*$/, "")}

Examples:
  npm run portolan -- config docker
  npm run portolan -- config containerd-2 --mirror https://mirror.example.com
  npm run portolan -- config podman --mirror https://mirror.example.com --upstream docker.io,ghcr.io
  npm run portolan -- config docker --mirror https://mirror.example.com --domain example.com --key-file portolan.key
  npm run portolan -- config k3s --mirror https://mirror.example.com --write
  npm run portolan -- config docker --write --yes --root /mnt/image

Exit codes:
  0  shown, written, or nothing to change
  1  not written: you declined, or there was no one to ask and no --yes
  2  wrong usage, or a file that can't be read or written`;

async function run(context: Context, name: string | undefined, options: Options): Promise<number> {
  const request = await readRequest(options, context.cwd);
  if (name === undefined) {
    listClients(context, request, options.json === true);
    return EXIT.good;
  }
  const client = clientNamed(name);
  if (client === null) {
    const names = Object.keys(CLIENTS);
    const meant = nearest(name, names);
    throw new Error(
      `There is no guide for ${name}${meant === null ? "." : `; did you mean ${meant}?`} Clients: ${names.join(", ")}`,
    );
  }
  const guide = CLIENTS[client](request);
  if (options.write) return writeFiles(context, client, guide, request, options);
  if (options.json) context.output.json({ client, ...guide });
  else context.stdout.write(guideText(guide));
  return EXIT.good;
}

function listClients(context: Context, request: GuideRequest, json: boolean): void {
  const clients = Object.entries(CLIENTS).map(([client, guide]) => ({ client, title: guide(request).title }));
  if (json) context.output.json({ clients });
  else for (const { client, title } of clients) context.output.line(`${client.padEnd(18)} ${title}`);
}

interface Outcome {
  path: string;
  written: boolean;
  /** Where what was there before is kept; null if there was nothing. */
  backup: string | null;
  warning: string | null;
}

async function writeFiles(
  context: Context,
  client: ClientName,
  guide: Guide,
  request: GuideRequest,
  options: Options,
): Promise<number> {
  if (!isWritable(client)) {
    throw new Error(
      `${guide.title} isn't configured by a file of this machine; leave out --write and follow the steps.`,
    );
  }
  const { put } = await import("../config/write-file.ts");
  const { differenceText, plannedChanges } = await import("../config/changes.ts");
  const changes = await plannedChanges(client, guide, {
    root: resolve(context.cwd, options.root),
    key: request.key,
  });
  const outcomes: Outcome[] = [];
  for (const change of changes) {
    if (!options.json) context.stdout.write(`${differenceText(change)}\n`);
    const written = options.yes || (await agreed(context, change, options.json === true));
    const backup = written ? await put(change) : null;
    outcomes.push({ path: change.path, written, backup, warning: change.warning });
    if (written && !options.json) {
      context.output.line(
        `Wrote ${change.path}${backup === null ? "" : `; what was there is in ${backup}`}\n`,
      );
    }
  }
  if (options.json) context.output.json({ client, files: outcomes });
  else report(context, guide, changes, outcomes);
  return outcomes.every(({ written }) => written) ? EXIT.good : EXIT.bad;
}

/** Confirms on the terminal; without one it is a no. */
async function agreed(context: Context, { path }: Change, json: boolean): Promise<boolean> {
  if (json || !canAsk(context)) return false;
  const { stdin, stdout } = context;
  const { confirm, isCancel } = await import("@clack/prompts");
  const confirmed = await confirm({ message: `Write ${path}?`, input: stdin, output: stdout });
  return !isCancel(confirmed) && confirmed;
}

function canAsk({ stdin, stdout }: Context): boolean {
  return stdin.isTTY && stdout.isTTY;
}

function report(
  context: Context,
  guide: Guide,
  changes: readonly Change[],
  outcomes: readonly Outcome[],
): void {
  if (changes.length === 0) {
    context.output.line("Nothing to change: the files say so already.");
    return;
  }
  const left = outcomes.filter(({ written }) => !written);
  if (left.length > 0) {
    const hint = canAsk(context) ? "" : " There is no terminal to ask on; --yes writes without asking.";
    context.output.errorLine(`Not written: ${left.map(({ path }) => path).join(", ")}.${hint}`);
  }
  const commands = guide.steps.flatMap(({ file, command }) =>
    file === undefined && command ? [command] : [],
  );
  if (left.length < outcomes.length && commands.length > 0) {
    context.output.line(`What is left to do:\n\n${commands.join("\n").replaceAll(/^/gm, "  ")}`);
  }
}

function several(text: string, given: readonly string[] = []): string[] {
  return [...given, ...text.split(",").map((name) => name.trim())];
}
