/** Starts the servers as child processes and makes sure that none outlives the benchmark, however it ends. */
import { type ChildProcess, fork, type SpawnOptions, spawn } from "node:child_process";
import { constants } from "node:fs";
import { access, mkdtemp, open, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

export interface Running {
  pid: number;
  /** SIGTERM, and SIGKILL after ten seconds. */
  stop(): Promise<void>;
}

/** Something is missing on this machine; the message says what to install. */
export class MissingProgram extends Error {}

const START_DEADLINE = 30_000;
const STOP_DEADLINE = 10_000;

/** The folder with all files of one run, and the processes that run in it. */
export class Workshop {
  readonly folder: string;
  readonly #running = new Set<ChildProcess>();

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async open(): Promise<Workshop> {
    return new Workshop(await mkdtemp(join(tmpdir(), "portolan-bench-")));
  }

  /** Ends every process that is still there and removes the folder. */
  async close(): Promise<void> {
    await Promise.all([...this.#running].map(end));
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  /** Starts a program; standard output goes to `<name>.out`, standard error to `<name>.err` in the folder. */
  async start(name: string, command: readonly string[], ready: () => Promise<boolean>): Promise<Running> {
    // The kernel signals the program when this process dies, even if it is killed.
    const [program = "", ...rest] = ["setpriv", "--pdeathsig", "TERM", ...command];
    const child = await this.#spawn(name, (stdio) => spawn(program, rest, stdio));
    return this.#started(name, child, ready);
  }

  /** Starts a script in this Node, which reports `{port}` once it serves, and exits with this process. */
  async startScript(name: string, script: string, settings: object): Promise<Running & { port: number }> {
    const child = await this.#spawn(name, (options) =>
      fork(script, [JSON.stringify(settings)], { ...options, stdio: [...asList(options.stdio), "ipc"] }),
    );
    let port = 0;
    child.on("message", (message) => {
      if (typeof message === "object" && message !== null && "port" in message) port = Number(message.port);
    });
    return { ...(await this.#started(name, child, async () => port !== 0)), port };
  }

  async #spawn(name: string, start: (options: SpawnOptions) => ChildProcess): Promise<ChildProcess> {
    const out = await open(join(this.folder, `${name}.out`), "a");
    const error = await open(join(this.folder, `${name}.err`), "a");
    try {
      const env = { PATH: process.env.PATH ?? "", HOME: this.folder, TMPDIR: this.folder, LANG: "C.UTF-8" };
      const child = start({ stdio: ["ignore", out.fd, error.fd], env, cwd: this.folder });
      this.#running.add(child);
      child.once("exit", () => this.#running.delete(child));
      // Reported by `#started`, which finds the process gone.
      child.once("error", () => this.#running.delete(child));
      return child;
    } finally {
      await out.close();
      await error.close();
    }
  }

  async #started(name: string, child: ChildProcess, ready: () => Promise<boolean>): Promise<Running> {
    const until = Date.now() + START_DEADLINE;
    while (!(await ready().catch(() => false))) {
      const gone = child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
      if (gone || Date.now() > until) {
        const log = await readFile(join(this.folder, `${name}.err`), "utf8");
        await end(child);
        throw new Error(`${name} ${gone ? "ended at its start" : "does not serve"}:\n${log.slice(-2_000)}`);
      }
      await sleep(30);
    }
    return { pid: child.pid ?? 0, stop: () => end(child) };
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_DEADLINE);
  await gone;
  clearTimeout(timer);
}

function asList(stdio: SpawnOptions["stdio"]): ("ignore" | number)[] {
  return Array.isArray(stdio) ? stdio.filter((each) => each === "ignore" || typeof each === "number") : [];
}

/** @throws MissingProgram naming the Debian package. */
export async function requireProgram(program: string, debianPackage: string): Promise<string> {
  // Debian installs daemons outside an ordinary user's PATH.
  for (const folder of [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/sbin"]) {
    const file = join(folder, program);
    const isThere = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return file;
  }
  throw new MissingProgram(`${program} not found: install Debian's package ${debianPackage}`);
}

/** A loopback port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}
