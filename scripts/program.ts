/** The commands, each of which is loaded only when it is used, and what they have in common. */
import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { type Context, contextIn, type Surroundings } from "./commands/context.ts";
import { EXIT } from "./commands/exit.ts";
import { SUMMARIES } from "./commands/summaries.ts";

type Name = keyof typeof SUMMARIES;
type Make = (context: Context) => Command;

/** Each command is a file of `commands/`, which reads its options and prints what was found; the work is done elsewhere. */
const COMMANDS: Readonly<Record<Name, () => Promise<Make>>> = {
  config: async () => (await import("./commands/config.ts")).config,
  verify: async () => (await import("./commands/verify.ts")).verify,
  inspect: async () => (await import("./commands/inspect.ts")).inspect,
  warm: async () => (await import("./commands/warm.ts")).warm,
  status: async () => (await import("./commands/status.ts")).status,
  ls: async () => (await import("./commands/ls.ts")).ls,
  rm: async () => (await import("./commands/rm.ts")).rm,
  gc: async () => (await import("./commands/gc.ts")).gc,
  prune: async () => (await import("./commands/prune.ts")).prune,
  recall: async () => (await import("./commands/recall.ts")).recall,
  pin: async () => (await import("./commands/pin.ts")).pin,
  tags: async () => (await import("./commands/tags.ts")).tags,
  release: async () => (await import("./commands/release.ts")).release,
  gone: async () => (await import("./commands/gone.ts")).gone,
  mirrors: async () => (await import("./commands/mirrors.ts")).mirrors,
  doctor: async () => (await import("./commands/doctor.ts")).doctor,
  copy: async () => (await import("./commands/copy.ts")).copy,
  push: async () => (await import("./commands/push.ts")).push,
  save: async () => (await import("./commands/save.ts")).save,
  sync: async () => (await import("./commands/sync.ts")).sync,
  key: async () => (await import("./commands/key.ts")).key,
  install: async () => (await import("./commands/install.ts")).install,
  uninstall: async () => (await import("./commands/uninstall.ts")).uninstall,
  deploy: async () => (await import("./commands/deploy.ts")).deploy,
  undeploy: async () => (await import("./commands/undeploy.ts")).undeploy,
};

/** The commands as `--help` groups them. A command that is in none wouldn't compile. */
const GROUPS: Readonly<Record<Name, string>> = {
  ...inGroup("Use a mirror:", ["config", "verify", "inspect", "warm", "save", "mirrors", "doctor"]),
  ...inGroup("Copy and push images:", ["copy", "sync", "push"]),
  ...inGroup("Manage what a mirror stores:", ["status", "ls", "rm", "pin", "gc", "prune", "recall"]),
  ...inGroup("Follow tags:", ["tags", "release", "gone"]),
  ...inGroup("Run a mirror:", ["deploy", "undeploy", "install", "uninstall", "key"]),
};

function inGroup<N extends Name>(group: string, names: readonly N[]): Record<N, string> {
  return Object.fromEntries(names.map((name) => [name, group])) as Record<N, string>;
}

/**
 * Runs `portolan ARGS`.
 * @returns the exit code. Wrong usage is 2, so that 1 always is a result; beside `--json` it is reported as JSON.
 */
export async function run(args: readonly string[], surroundings: Surroundings): Promise<number> {
  const context = contextIn(surroundings);
  const program = new Command("portolan")
    .description("Checks mirrors of container images, sets up their clients, and copies images.")
    .version(version())
    .commandsGroup("Help:")
    .helpCommand("help [command]", "Shows how a command is used.");
  const wanted = args.filter((each) => !each.startsWith("-")).find((each) => each !== "help");
  for (const name of Object.keys(GROUPS) as Name[]) {
    const command =
      name === wanted ? (await COMMANDS[name]())(context) : new Command(name).description(SUMMARIES[name]);
    program.addCommand(command.helpGroup(GROUPS[name]));
  }
  const json = args.includes("--json");
  connect(program, context, json);
  try {
    await program.parseAsync(args, { from: "user" });
    return context.exitCode;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return EXIT.good;
    if (json) context.output.json({ error: error.message.replace(/^error: /, "").replaceAll("\n", " ") });
    return EXIT.unknown;
  }
}

/** Makes a command and its subcommands print to the given output, and throw instead of ending the process. */
function connect(command: Command, context: Context, json: boolean): void {
  command.exitOverride().configureOutput({
    writeOut: (text) => void context.stdout.write(text),
    writeErr: (text) => void (json || context.stderr.write(text)),
  });
  for (const each of command.commands) connect(each, context, json);
}

function version(): string {
  const text = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  return JSON.parse(text).version;
}
