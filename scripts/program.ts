/** The commands, each of which is loaded only when it is asked for, and what holds for all of them. */
import { readFileSync } from "node:fs";
import { Command, type CommanderError } from "commander";
import { EXIT } from "./commands/exit.ts";
import { SUMMARIES } from "./commands/summaries.ts";
import { handleOutputErrors, printJson } from "./terminal/output.ts";

type Name = keyof typeof SUMMARIES;

/** Each command is a file of `commands/`, which reads its options and says what it found; the work is done elsewhere. */
const COMMANDS: Readonly<Record<Name, () => Promise<Command>>> = {
  config: async () => (await import("./commands/config.ts")).config,
  verify: async () => (await import("./commands/verify.ts")).verify,
  inspect: async () => (await import("./commands/inspect.ts")).inspect,
  warm: async () => (await import("./commands/warm.ts")).warm,
  mirrors: async () => (await import("./commands/mirrors.ts")).mirrors,
  doctor: async () => (await import("./commands/doctor.ts")).doctor,
  copy: async () => (await import("./commands/copy.ts")).copy,
  sync: async () => (await import("./commands/sync.ts")).sync,
  key: async () => (await import("./commands/key.ts")).key,
  deploy: async () => (await import("./commands/deploy.ts")).deploy,
};

export async function main(args: readonly string[]): Promise<void> {
  handleOutputErrors(EXIT.unknown);
  const program = new Command("portolan")
    .description("Checks, copies and sets up what a mirror of container images gives.")
    .version(version());
  const wanted = args.filter((each) => !each.startsWith("-")).find((each) => each !== "help");
  for (const [name, load] of Object.entries(COMMANDS)) {
    program.addCommand(
      name === wanted ? await load() : new Command(name).description(SUMMARIES[name as Name]),
    );
  }
  handleUsage(program, args.includes("--json"));
  await program.parseAsync(args, { from: "user" });
}

/** Wrong usage exits with 2, so that 1 always means what was found; beside `--json` it is reported as JSON. */
function handleUsage(command: Command, json: boolean): void {
  command.exitOverride(({ exitCode, message }: CommanderError) => {
    if (json && exitCode !== 0) printJson({ error: message.replace(/^error: /, "").replaceAll("\n", " ") });
    process.exit(exitCode === 0 ? EXIT.good : EXIT.unknown);
  });
  if (json) command.configureOutput({ writeErr: () => {} });
  for (const each of command.commands) handleUsage(each, json);
}

function version(): string {
  const text = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  return JSON.parse(text).version;
}
