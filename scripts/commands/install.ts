/** `portolan install`: the mirror as a service of this machine. */
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { type Outcome, serviceFiles, stepsToStart, writeFiles } from "../install/installation.ts";
import { serviceOf } from "../install/service.ts";
import { ENVIRONMENT, KEYS, NAME, type Service } from "../install/unit.ts";
import { good } from "../terminal/colours.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit.ts";
import { attempt } from "./options.ts";
import { SUMMARIES } from "./summaries.ts";

interface Settings {
  dryRun: boolean;
  root: string;
  project: string;
}

const PROJECT = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "");

export const install = (context: Context): Command =>
  new Command("install")
    .description(SUMMARIES.install)
    .argument("[option...]", "options of npm start, after --")
    .option("--dry-run", "print the files, and write nothing", false)
    .option("--root <folder>", "the folder that stands for /, such as that of an image of a machine", "/")
    .option("--project <folder>", "where the project is on the machine that it is for", PROJECT)
    .addHelpText(
      "after",
      `
Examples:
  npm run portolan -- install --dry-run
  npm run portolan -- install
  npm run portolan -- install -- --host 0.0.0.0 --data /srv/portolan --var DOMAIN=example.com

It needs root's rights, starts nothing, and prints what is left to do. Variables that are secret go into ${ENVIRONMENT}.`,
    )
    .action((options: string[], settings: Settings) =>
      attempt(context, {}, async () => {
        const service = serviceOf(settings.project, options);
        const files = serviceFiles(service);
        if (settings.dryRun) {
          context.output.line(files.map(({ path, text }) => `# ${path}\n${text}`).join("\n"));
          return EXIT.good;
        }
        const outcomes = await writeFiles(files, settings.root);
        context.output.line(report(outcomes, service));
        return EXIT.good;
      }),
    );

function report(outcomes: ReadonlyMap<string, Outcome>, service: Service): string {
  const files = [...outcomes].map(([path, outcome]) => `${good("✓")} ${path} ${WORDS[outcome]}`);
  return `${files.join("\n")}

Left to do, as root:
${stepsToStart(service)
  .map((step) => `  ${step}`)
  .join("\n")}

On an address that others can reach it requires access keys, which take effect at once:
  sudo -u ${NAME} ${service.project}/scripts/portolan.js key add NAME --file ${KEYS}
Its log: journalctl -u ${NAME} -f`;
}

const WORDS: Readonly<Record<Outcome, string>> = {
  written: "is written",
  unchanged: "is as it should be",
  kept: "is there and stays as it is",
};
