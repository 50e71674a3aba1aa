/** `portolan key`: the access keys of a mirror that isn't open to everyone. */
import { resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import type { WrittenKey } from "../../src/access/key-list.ts";
import { installedWrangler, pushKeys } from "../deploy/wrangler.ts";
import { addKey, asSecret, type MadeKey, revokeKey, rotateKey } from "../keys/key-changes.ts";
import { KEY_FILE, readKeyFile, writeKeyFile } from "../keys/key-file.ts";
import { expiry } from "../keys/terms.ts";
import { usage } from "../keys/usage.ts";
import { good, quiet, strong, warning } from "../terminal/colours.ts";
import { count, span } from "../terminal/format.ts";
import { table } from "../terminal/table.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit.ts";
import { attempt } from "./options.ts";
import { SUMMARIES } from "./summaries.ts";

interface Settings {
  file: string;
  json?: boolean;
}

interface AddSettings extends Settings {
  allow: string[];
  deny: string[];
  push: string[];
  delete: string[];
  expires?: string | null;
  rate?: number | null;
}

const TAKES_EFFECT = "A mirror that npm start runs here takes it at once, a deployed one after: key push";

export function key(context: Context): Command {
  const key = new Command("key").description(SUMMARIES.key).addHelpText(
    "after",
    `
Examples:
  npm run portolan -- key add alice
  npm run portolan -- key add ci --allow 'docker.io/library/*' --allow 'ghcr.io/owner/*' --expires 90d --rate 600
  npm run portolan -- key add builder --push 'hosted/team/*'
  npm run portolan -- key rotate alice
  npm run portolan -- key revoke alice
  npm run portolan -- key push

A key is shown once, when it is made; its hash is kept in ${KEY_FILE}.`,
  );

  command(key, "add <name>", "make a key and show it")
    .addOption(patternsOption("--allow <pattern>", "open only what matches, such as docker.io/library/*"))
    .addOption(patternsOption("--deny <pattern>", "don't open what matches, whatever --allow says"))
    .addOption(
      patternsOption("--push <pattern>", "let it push to hosted repositories, such as hosted/team/*"),
    )
    .addOption(
      patternsOption(
        "--delete <pattern>",
        "let it delete from hosted repositories, such as hosted/team/tmp/*",
      ),
    )
    .addOption(expiresOption("when it ends: 90d, 12h, 4w, a day such as 2027-01-31, or never (default)"))
    .addOption(new Option("--rate <n>", "requests a minute (default: any number)").argParser(perMinute))
    .action(
      (
        name: string,
        { allow, deny, push, delete: deletes, expires = null, rate = null, ...settings }: AddSettings,
      ) =>
        perform(context, settings, async (file) => {
          const list = (await readKeyFile(file)) ?? [];
          await keep(
            context,
            file,
            await addKey(list, name, { allow, deny, push, delete: deletes, expires, rate }),
            settings,
          );
        }),
    );

  command(key, "list", "show what keys there are, and what each opens").action((settings: Settings) =>
    perform(context, settings, async (file) => {
      const list = (await readKeyFile(file)) ?? [];
      if (settings.json) context.output.json({ file, keys: list.map(withoutHash) });
      else if (list.length === 0)
        context.output.line(`There are no keys in ${file}; make one with: key add NAME`);
      else context.output.line(listed(list, Date.now()));
    }),
  );

  command(key, "revoke <name>", "end a key, and all tokens that were given for it").action(
    (name: string, settings: Settings) =>
      perform(context, settings, async (file) => {
        const list = revokeKey((await readKeyFile(file)) ?? [], name);
        await writeKeyFile(file, list);
        if (settings.json) context.output.json({ file, revoked: name });
        else context.output.line(`${good("✓")} ${name} is revoked. ${TAKES_EFFECT}`);
      }),
  );

  command(key, "rotate <name>", "give a key a new value, and end the old one")
    .addOption(expiresOption("when the new one ends (default: as the old one)"))
    .action((name: string, { expires, ...settings }: AddSettings) =>
      perform(context, settings, async (file) => {
        const list = (await readKeyFile(file)) ?? [];
        await keep(context, file, await rotateKey(list, name, expires, Date.now()), settings);
      }),
    );

  command(key, "push", "upload the keys to the mirror that is deployed")
    .option("-e, --env <name>", "the environment of wrangler.toml")
    .action(({ env, ...settings }: Settings & { env?: string }) =>
      perform(context, settings, async (file) => {
        const wrangler = context.wrangler ?? installedWrangler(context);
        const list = await readKeyFile(file);
        if (list === null) throw new Error(`there is no ${file}; make a key with: key add NAME`);
        const code = await pushKeys(wrangler, asSecret(list), env === undefined ? [] : ["--env", env]);
        if (code !== 0)
          throw new Error("wrangler failed, as it says above; the deployed keys are as they were");
        if (settings.json) context.output.json({ file, pushed: list.length });
        else context.output.line(`${good("✓")} The mirror now takes ${count(list.length, "key")}.`);
      }),
    );
  return key;
}

function command(key: Command, form: string, description: string): Command {
  return key
    .command(form)
    .description(description)
    .option("--file <file>", "where the list of keys lies", KEY_FILE)
    .option("--json", "print what was done as JSON");
}

function patternsOption(flags: string, what: string): Option {
  return new Option(flags, `${what}; repeatable`)
    .default([], "none")
    .argParser((text, given: string[]) => [...given, text]);
}

function expiresOption(what: string): Option {
  return new Option("--expires <when>", what).argParser((text) => {
    try {
      return expiry(text, Date.now());
    } catch (error) {
      throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
    }
  });
}

function perMinute(text: string): number {
  if (/^[1-9]\d{0,6}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It must be a number of requests a minute, 1 at least.");
}

function perform(context: Context, settings: Settings, work: (file: string) => Promise<void>): Promise<void> {
  return attempt(context, settings, async () => {
    await work(resolve(context.cwd, settings.file));
    return EXIT.good;
  });
}

async function keep(
  context: Context,
  file: string,
  { key: made, written, list }: MadeKey,
  { json }: Settings,
): Promise<void> {
  await writeKeyFile(file, list);
  if (json) {
    context.output.json({ file, key: made, ...withoutHash(written) });
    return;
  }
  context.output.line(`The key of ${written.name}, which is shown this once:\n\n  ${strong(made)}\n`);
  context.output.line(`${usage(made)}\n${TAKES_EFFECT}`);
}

/** Without its hash. */
function withoutHash({
  name,
  allow = [],
  deny = [],
  push = [],
  delete: deletes = [],
  expires,
  rate,
}: WrittenKey) {
  return { name, allow, deny, push, delete: deletes, expires: expires ?? null, rate: rate ?? null };
}

function listed(list: readonly WrittenKey[], now: number): string {
  const rows = list
    .map(withoutHash)
    .map(({ name, allow, deny, push, delete: deletes, expires, rate }) => [
      name,
      [allow.join(" ") || "all", ...(deny.length > 0 ? [`but not ${deny.join(" ")}`] : [])].join(" "),
      [push.join(" ") || "nothing", ...(deletes.length > 0 ? [`deletes ${deletes.join(" ")}`] : [])].join(
        ", ",
      ),
      expires === null ? "never" : ending(expires, now),
      rate === null ? "any number" : `${rate} a minute`,
    ]);
  return table(rows, { head: ["name", "opens", "pushes", "ends", "requests"].map(quiet) });
}

function ending(expires: string, now: number): string {
  const left = (Date.parse(expires) - now) / 1000;
  const day = expires.slice(0, 10);
  return left > 0 ? `${day}, in ${span(left)}` : warning(`${day}, ${span(left)} ago`);
}
