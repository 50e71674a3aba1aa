/** How far work has come: bars on a terminal, a line for each thing that is done elsewhere, nothing beside JSON. */
import { MultiBar, type SingleBar } from "cli-progress";
import { cleaned } from "./clean.ts";
import { size } from "./words.ts";

export interface Task {
  /** @param amount bytes, or whatever the task is counted in. */
  advance(amount: number): void;
  /** Ends it. @param outcome as `copied`; what is worth no line leaves it out. */
  done(outcome?: string): void;
}

export interface Progress {
  /**
   * Begins to show one thing.
   * @param total in bytes, unless `unit` says otherwise; 0 where it isn't known.
   */
  start(name: string, total: number, unit?: "bytes" | "things"): Task;
  /** A line of its own, which may be coloured: what others say in it has to be clean. */
  say(line: string): void;
  /** Takes the bars away. Nothing may be shown after it. */
  stop(): void;
}

/** @param options.quiet for a program that reads the output. */
export function openProgress({
  quiet = false,
  output = process.stderr,
}: {
  quiet?: boolean;
  output?: NodeJS.WriteStream;
} = {}): Progress {
  if (quiet) return { start: () => ({ advance: () => {}, done: () => {} }), say: () => {}, stop: () => {} };
  const { start, ...others } = output.isTTY ? bars(output) : lines(output);
  return { ...others, start: (name, ...rest) => withCleanEnd(start(cleaned(name), ...rest)) };
}

function withCleanEnd({ advance, done }: Task): Task {
  return { advance, done: (outcome) => done(cleaned(outcome)) };
}

function lines(output: NodeJS.WriteStream): Progress {
  const say = (line: string) => void output.write(`${line}\n`);
  return {
    start: (name, total, unit = "bytes") => ({
      advance: () => {},
      done: (outcome) => {
        const amount = unit === "bytes" && total > 0 ? ` ${size(total)}` : "";
        if (outcome !== undefined) say(`${name}${amount} ${outcome}`);
      },
    }),
    say,
    stop: () => {},
  };
}

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

function bars(output: NodeJS.WriteStream): Progress {
  const multi = new MultiBar({
    stream: output,
    format: "{name} {bar} {amount}",
    barsize: 24,
    barCompleteChar: "█",
    barIncompleteChar: "░",
    clearOnComplete: true,
    // What is left of a terminal whose program was ended with the cursor hidden is a nuisance.
    hideCursor: false,
    // Its handler would keep an interrupt from ending the program; ours is below.
    gracefulExit: false,
    emptyOnZero: true,
    linewrap: false,
  });
  const say = (line: string) => {
    multi.log(`${line}\n`);
    multi.update();
  };
  // While there are bars the terminal doesn't wrap lines, which whoever interrupts the program wants back.
  const interrupted = (signal: NodeJS.Signals) => {
    stop();
    process.kill(process.pid, signal);
  };
  const stop = () => {
    for (const signal of SIGNALS) process.off(signal, interrupted);
    multi.stop();
  };
  for (const signal of SIGNALS) process.once(signal, interrupted);
  return {
    start: (name, total, unit = "bytes") => {
      const write = unit === "bytes" ? size : String;
      let value = 0;
      const amount = () => (total > 0 ? `${write(value)} / ${write(total)}` : write(value));
      const bar: SingleBar = multi.create(total, 0, { name, amount: amount() });
      return {
        advance: (by) => {
          value += by;
          bar.update(value, { amount: amount() });
        },
        done: (outcome) => {
          multi.remove(bar);
          if (outcome === undefined) return;
          say(`${name} ${unit === "bytes" && total > 0 ? `${write(total)} ` : ""}${outcome}`);
        },
      };
    },
    say,
    stop,
  };
}
