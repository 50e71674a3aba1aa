/** Progress: bars on a terminal, otherwise a line for each finished task, and nothing with JSON output. */
import { createRequire } from "node:module";
import type { SingleBar } from "cli-progress";
import { cleaned } from "./clean.ts";
import { size } from "./format.ts";

export interface Task {
  /** @param amount bytes, or the unit that the task is counted in. */
  advance(amount: number): void;
  /** Ends it. @param outcome as `copied`; without one, no line is printed. */
  done(outcome?: string): void;
}

export interface Progress {
  /**
   * Starts to show a task.
   * @param total in bytes, unless `unit` says otherwise; 0 if unknown.
   */
  start(name: string, total: number, unit?: "bytes" | "things"): Task;
  /** Waits for work of unknown length, and shows activity once it takes longer than `patience`. */
  during<Value>(name: string, work: Promise<Value>): Promise<Value>;
  /** Prints a line, which may be coloured; untrusted text in it must be sanitized. */
  say(line: string): void;
  /** Removes all of it; may be called again. Nothing may be shown afterwards. */
  stop(): void;
}

/** Milliseconds. */
const PATIENCE = 2_000;

/**
 * @param options.quiet for a program that reads the output.
 * @param options.patience milliseconds before activity is shown.
 */
export function openProgress({
  quiet = false,
  output = process.stderr,
  patience = PATIENCE,
}: {
  quiet?: boolean;
  output?: NodeJS.WriteStream;
  patience?: number | undefined;
} = {}): Progress {
  if (quiet) {
    const start = () => ({ advance: () => {}, done: () => {} });
    return { start, during: (_, work) => work, say: () => {}, stop: () => {} };
  }
  const { start, wait, ...others } = output.isTTY ? bars(output) : lines(output);
  return {
    ...others,
    start: (name, ...rest) => withCleanEnd(start(cleaned(name), ...rest)),
    during: async (name, work) => {
      let end = () => {};
      const timer = setTimeout(() => {
        end = wait(cleaned(name));
      }, patience);
      try {
        return await work;
      } finally {
        clearTimeout(timer);
        end();
      }
    },
  };
}

/** What is shown, and where; `wait` shows activity until the returned function is called. */
type Display = Omit<Progress, "during"> & { wait: (name: string) => () => void };

function withCleanEnd({ advance, done }: Task): Task {
  return { advance, done: (outcome) => done(cleaned(outcome)) };
}

function lines(output: NodeJS.WriteStream): Display {
  const say = (line: string) => void output.write(`${line}\n`);
  return {
    start: (name, total, unit = "bytes") => ({
      advance: () => {},
      done: (outcome) => {
        const amount = unit === "bytes" && total > 0 ? ` ${size(total)}` : "";
        if (outcome !== undefined) say(`${name}${amount} ${outcome}`);
      },
    }),
    wait: (name) => {
      say(`${name} …`);
      return () => {};
    },
    say,
    stop: () => {},
  };
}

const FRAMES = [..."⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"];
/** Milliseconds. */
const FRAME = 100;

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

function bars(output: NodeJS.WriteStream): Display {
  // Loaded here, since only a terminal needs it.
  const { MultiBar } = createRequire(import.meta.url)("cli-progress") as typeof import("cli-progress");
  const multi = new MultiBar({
    stream: output,
    format: "{name} {bar} {amount}",
    barsize: 24,
    barCompleteChar: "█",
    barIncompleteChar: "░",
    clearOnComplete: true,
    // A program that is killed would leave the terminal without a cursor.
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
  // While there are bars the terminal doesn't wrap lines: an interrupt has to restore that.
  const interrupted = (signal: NodeJS.Signals) => {
    stop();
    process.kill(process.pid, signal);
  };
  const spinners = new Set<NodeJS.Timeout>();
  let isStopped = false;
  const stop = () => {
    if (isStopped) return;
    isStopped = true;
    for (const spinner of spinners) clearInterval(spinner);
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
    wait: (name) => {
      const started = performance.now();
      const shown = () => {
        const elapsed = performance.now() - started;
        const frame = FRAMES[Math.floor(elapsed / FRAME) % FRAMES.length];
        return { name, frame, elapsed: `${Math.round(elapsed / 1000)} s` };
      };
      const bar = multi.create(1, 0, shown(), { format: "{frame} {name} {elapsed}" });
      const spinner = setInterval(() => bar.update(0, shown()), FRAME).unref();
      spinners.add(spinner);
      return () => {
        clearInterval(spinner);
        spinners.delete(spinner);
        multi.remove(bar);
      };
    },
    say,
    stop,
  };
}
