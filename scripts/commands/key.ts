/** `portolan key`: the access keys of a mirror that isn't open to everyone. */
import { resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { installedWrangler, pushKeys } from "../deploy/wrangler.ts";
import { type KeyBook, keyFileBook, type NewKey, type ShownKey } from "../keys/key-book.ts";
import { KEY_FILE, readKeyFile } from "../keys/key-file.ts";
import { mirrorBook } from "../keys/mirror-book.ts";
import { asSecret } from "../keys/secret.ts";
import { expiry } from "../keys/terms.ts";
import { usage } from "../keys/usage.ts";
import { good, quiet, strong, warning } from "../terminal/colours.ts";
import { count, span } from "../terminal/format.ts";
import { table } from "../terminal/table.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit.ts";
import { attempt, type CommonSettings, mirrorUrl } from "./options.ts";
import { withOwner } from "./owner.ts";
import { SUMMARIES } from "./summaries.ts";

interface Settings extends CommonSettings {
  file: string;
  /** Its own list is changed instead of the file. */
  mirror?: string;
  adminKeyFile?: string;
  data: string;
}

interface TermsSettings extends Settings {
  allow: string[];
  deny: string[];
  push: string[];
  delete: string[];
  expires?: string | null;
  rate?: number | null;
}

export function key(context: Context): Command {
  const key = new Command("key").description(SUMMARIES.key).addHelpText(
    "after",
    `
Examples:
  npm run portolan -- key add alice
  npm run portolan -- key add alice --mirror https://mirror.example.com
  npm run portolan -- key add ci --allow 'docker.io/library/*' --allow 'ghcr.io/owner/*' --expires 90d --rate 600
  npm run portolan -- key add builder --push 'hosted/team/*'
  npm run portolan -- key narrow ci --allow 'docker.io/library/*'
  npm run portolan -- key rotate alice
  npm run portolan -- key revoke alice
  npm run portolan -- key push

A key is shown once, when it is made; its hash is kept in ${KEY_FILE}, or with --mirror by that mirror, which takes its ADMIN_KEY.`,
  );

  termsOf(command(key, "add <name>", "make a key and show it")).action(
    (name: string, settings: TermsSettings) =>
      withBook(context, settings, async (book) =>
        showNew(context, book, await book.add(name, termsIn(settings)), settings),
      ),
  );

  termsOf(
    command(key, "narrow <name>", "give a key other terms; what isn't given is as for a new key"),
  ).action((name: string, settings: TermsSettings) =>
    withBook(context, settings, async (book) => {
      await book.narrow(name, termsIn(settings));
      if (settings.json) context.output.json({ ...book.place, narrowed: name });
      else context.output.line(`${good("✓")} ${name} has the new terms. ${book.takesEffect}`);
    }),
  );

  command(key, "list", "show what keys there are, and what each opens").action((settings: Settings) =>
    withBook(context, settings, async (book) => {
      const keys = await book.list();
      const place = Object.values(book.place).join("");
      if (settings.json) context.output.json({ ...book.place, keys });
      else if (keys.length === 0)
        context.output.line(`There are no keys in ${place}; make one with: key add NAME`);
      else context.output.report((shown) => listed(shown, Date.now()), keys);
    }),
  );

  command(key, "revoke <name>", "end a key, and all tokens that were given for it").action(
    (name: string, settings: Settings) =>
      withBook(context, settings, async (book) => {
        await book.revoke(name);
        if (settings.json) context.output.json({ ...book.place, revoked: name });
        else context.output.line(`${good("✓")} ${name} is revoked. ${book.takesEffect}`);
      }),
  );

  command(key, "rotate <name>", "give a key a new value, and end the old one")
    .addOption(expiresOption("when the new one ends (default: as the old one)"))
    .action((name: string, settings: TermsSettings) =>
      withBook(context, settings, async (book) =>
        showNew(context, book, await book.rotate(name, settings.expires), settings),
      ),
    );

  key
    .command("push")
    .description("upload the keys of the file to the mirror that is deployed")
    .addOption(fileOption())
    .option("--json", "print what was done as JSON")
    .option("-e, --env <name>", "the environment of wrangler.toml")
    .action(({ env, ...settings }: Settings & { env?: string }) =>
      attempt(context, settings, async () => {
        const file = resolve(context.cwd, settings.file);
        const wrangler = context.wrangler ?? installedWrangler(context);
        const list = await readKeyFile(file);
        if (list === null) throw new Error(`there is no ${file}; make a key with: key add NAME`);
        const code = await pushKeys(wrangler, asSecret(list), env === undefined ? [] : ["--env", env]);
        if (code !== 0)
          throw new Error("wrangler failed, as it says above; the deployed keys are as they were");
        if (settings.json) context.output.json({ file, pushed: list.length });
        else context.output.line(`${good("✓")} The mirror now takes ${count(list.length, "key")}.`);
        return EXIT.good;
      }),
    );
  return key;
}

function command(key: Command, form: string, description: string): Command {
  return key
    .command(form)
    .description(description)
    .addOption(fileOption())
    .option("--json", "print what was done as JSON")
    .addOption(new Option("--mirror <url>", "change the keys that this mirror keeps").argParser(mirrorUrl))
    .option("--admin-key-file <file>", "the file with the mirror's ADMIN_KEY (default: PORTOLAN_ADMIN_KEY)")
    .option("--data <folder>", "the data folder of a mirror on this machine, which has its key", ".portolan")
    .option("--insecure", "let a mirror on another machine be reached without TLS");
}

function fileOption(): Option {
  return new Option("--file <file>", "file with the list of keys").default(KEY_FILE);
}

/** What a key opens, until when and how often. */
function termsOf(command: Command): Command {
  return command
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
    .addOption(new Option("--rate <n>", "requests a minute (default: any number)").argParser(perMinute));
}

function termsIn({ allow, deny, push, delete: deletes, expires = null, rate = null }: TermsSettings) {
  return { allow, deny, push, delete: deletes, expires, rate };
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

function withBook(
  context: Context,
  settings: Settings,
  work: (book: KeyBook) => Promise<void>,
): Promise<void> {
  if (settings.mirror === undefined) {
    return attempt(context, settings, async () => {
      await work(keyFileBook(resolve(context.cwd, settings.file)));
      return EXIT.good;
    });
  }
  return withOwner(context, settings, async (owner, mirror) => {
    await work(mirrorBook(owner, mirror));
    return EXIT.good;
  });
}

function showNew(context: Context, book: KeyBook, { key, shown }: NewKey, { json }: Settings): void {
  const { output } = context;
  if (json) {
    output.json({ ...book.place, key, ...shown });
    return;
  }
  const host = "mirror" in book.place ? new URL(book.place.mirror).host : "MIRROR";
  output.line(`The key of ${shown.name}, which is shown this once:\n\n  ${strong(key)}\n`);
  output.line(`${usage(key, host)}\n${book.takesEffect}`);
}

function listed(keys: readonly ShownKey[], now: number): string {
  const rows = keys.map(({ name, allow, deny, push, delete: deletes, expires, rate, from }) => [
    from === "configured" ? `${name} ${quiet("(ACCESS_KEYS)")}` : name,
    [allow.join(" ") || "all", ...(deny.length > 0 ? [`but not ${deny.join(" ")}`] : [])].join(" "),
    [push.join(" ") || "nothing", ...(deletes.length > 0 ? [`deletes ${deletes.join(" ")}`] : [])].join(", "),
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
