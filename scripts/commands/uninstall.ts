/** `portolan uninstall`: removes what `portolan install` wrote. */
import { Command } from "commander";
import { removeFiles, stepsToForget } from "../install/installation.ts";
import { good } from "../terminal/colours.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit.ts";
import { attempt } from "./options.ts";
import { SUMMARIES } from "./summaries.ts";

export const uninstall = (context: Context): Command =>
  new Command("uninstall")
    .description(SUMMARIES.uninstall)
    .option("--root <folder>", "the folder that stands for /", "/")
    .action(({ root }: { root: string }) =>
      attempt(context, {}, async () => {
        const removed = await removeFiles(root);
        if (removed.length === 0) throw new Error("there is no service of Portolan's to remove");
        const [reload, ...others] = stepsToForget();
        context.output.line(`${removed.map((path) => `${good("✓")} ${path} is removed`).join("\n")}

Left to do, as root:
  ${reload}
and, for what was pulled, the keys and the settings to be deleted too:
${others.map((step) => `  ${step}`).join("\n")}`);
        return EXIT.good;
      }),
    );
