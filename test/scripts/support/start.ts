/** `npm start`, in this process or in one of its own: what it prints, how it ends, and which processes it leaves behind. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { EventEmitter } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { type Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import "./plain.ts";
import { start } from "../../../scripts/start.ts";
import { DEADLINE, until, within } from "../../sockets/support/deadline.ts";

const SERVE = fileURLToPath(new URL("../../../scripts/start.js", import.meta.url));

export interface ServeOptions {
  /** The working directory; where a data folder lies that isn't given otherwise. */
  folder: string;
  /** Put before node, such as a tracer. */
  wrapper?: readonly string[];
}

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** What all that run it have in common: waiting for what it prints. */
abstract class Printing {
  output = "";
  errors = "";

  protected abstract readonly hasEnded: boolean;

  /** Waits until it has printed where it listens, on standard error where standard output is for programs. */
  async ready(): Promise<string> {
    const url = () => /listens on (https?:\S+)/.exec(this.output + this.errors)?.[1];
    await until(
      `npm start to print where it listens; it printed ${this.output}${this.errors}`,
      DEADLINE,
      () => {
        if (this.hasEnded) throw new Error(`it ended instead: ${this.output}${this.errors}`);
        return url() !== undefined;
      },
    );
    return url() ?? "";
  }

  /** Waits until it has printed something like this, and returns the line. */
  async line(pattern: RegExp): Promise<string> {
    const find = () => this.output.split("\n").find((line) => pattern.test(line));
    await until(`a line like ${pattern}`, DEADLINE, () => find() !== undefined);
    return find() ?? "";
  }
}

/** `npm start` in this process, for what it prints and serves. */
export class Start extends Printing {
  readonly #signals = new EventEmitter();
  readonly #ended: Promise<number>;
  protected hasEnded = false;

  constructor(
    args: readonly string[],
    { folder, environment }: { folder: string; environment?: Record<string, string> },
  ) {
    super();
    this.#ended = start(args, {
      stdout: written((text) => {
        this.output += text;
      }),
      stderr: written((text) => {
        this.errors += text;
      }),
      cwd: folder,
      signals: this.#signals,
      ...(environment === undefined ? {} : { environment }),
    }).finally(() => {
      this.hasEnded = true;
    });
    this.#ended.catch(() => {});
  }

  /** Its exit code, once it has ended by itself. */
  end(): Promise<number> {
    return within("npm start to end", DEADLINE, this.#ended);
  }

  /** Stops it without waiting for requests under way. */
  async stop(): Promise<void> {
    await Promise.race([this.ready(), this.#ended]).catch(() => {});
    this.#signals.emit("SIGTERM");
    this.#signals.emit("SIGTERM");
    await this.end();
  }
}

function written(take: (text: string) => void): Writable {
  return new Writable({
    decodeStrings: false,
    write: (text: string, _, done) => {
      take(text);
      done();
    },
  });
}

/** `npm start` in a process of its own, for what holds of processes. */
export class Serve extends Printing {
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;
  readonly #ended: Promise<Ended>;

  /** Runs it with these arguments, in a process group of its own. */
  constructor(args: readonly string[], { folder, wrapper = [] }: ServeOptions) {
    super();
    const [program = "", ...rest] = [...wrapper, process.execPath, SERVE, ...args];
    this.#child = spawn(program, rest, {
      cwd: folder,
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
      // Nothing of the tests' own environment, in which Vitest has set what would change a program's output.
      env: { PATH: process.env.PATH, HOME: folder, TMPDIR: folder },
    });
    this.#child.stdout.setEncoding("utf8").on("data", (text: string) => {
      this.output += text;
    });
    this.#child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.errors += text;
    });
    this.#ended = new Promise((resolve, reject) => {
      this.#child.once("error", reject);
      this.#child.once("close", (code, signal) => resolve({ code, signal }));
    });
    this.#ended.catch(() => {});
  }

  protected get hasEnded(): boolean {
    return this.#child.exitCode !== null;
  }

  get pid(): number {
    const { pid } = this.#child;
    if (pid === undefined) throw new Error("the program could not be started");
    return pid;
  }

  /** Sends a signal to it alone, or to all of its group as a terminal does at Ctrl-C. */
  signal(name: NodeJS.Signals, to: "alone" | "group" = "alone"): void {
    process.kill(to === "group" ? -this.pid : this.pid, name);
  }

  end(): Promise<Ended> {
    return within("npm start to end", DEADLINE, this.#ended);
  }

  /** Makes sure that nothing of it goes on. */
  async kill(): Promise<void> {
    try {
      process.kill(-this.pid, "SIGKILL");
    } catch {
      // All of it has ended already.
    }
    await this.end().catch(() => {});
  }
}

/** Runs it to its end, for arguments that it refuses. */
export async function refused(
  args: readonly string[],
  options: { folder: string; environment?: Record<string, string> },
): Promise<{ code: number; errors: string; output: string }> {
  const started = new Start(args, options);
  const code = await started.end();
  return { code, errors: started.errors, output: started.output };
}

/** Every process that descends from this one, with its command's name. Linux only: it reads /proc. */
export function descendants(pid: number): Map<number, string> {
  const found = new Map<number, string>();
  const parents = processes();
  const collect = (parent: number): void => {
    for (const child of parents.filter(({ ppid }) => ppid === parent)) {
      found.set(child.pid, child.name);
      collect(child.pid);
    }
  };
  collect(pid);
  return found;
}

/** Whether the process is there and no zombie that its new parent has yet to take note of. */
export function isAlive(pid: number): boolean {
  return processes().some((each) => each.pid === pid && each.state !== "Z");
}

function processes(): { pid: number; ppid: number; name: string; state: string }[] {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((pid) => {
      try {
        const found = /^\d+ \((.*)\) (\S) (\d+)/s.exec(readFileSync(`/proc/${pid}/stat`, "latin1"));
        if (!found) return [];
        return [{ pid: Number(pid), name: found[1] ?? "", state: found[2] ?? "", ppid: Number(found[3]) }];
      } catch {
        // It ended between the listing and the look.
        return [];
      }
    });
}
