/** `portolan COMMAND`: what it prints and what it exits with, run in this process or in one of its own. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { PassThrough } from "node:stream";
import { fileURLToPath } from "node:url";
import type { Surroundings } from "../../../scripts/commands/context.ts";
import type { Wrangler } from "../../../scripts/deploy/wrangler.ts";
import { run } from "../../../scripts/program.ts";
import { DEADLINE, within } from "../../sockets/support/deadline.ts";
import "./plain.ts";
import { shortWait } from "./wait.ts";

export interface Finished {
  code: number | null;
  output: string;
  errors: string;
  /** What was printed with --json. */
  json(): unknown;
}

export interface Options {
  environment?: Record<string, string>;
  cwd?: string;
  wrangler?: Wrangler;
  /** Milliseconds until a command shows that it is still working; by itself it doesn't. */
  patience?: number;
  /** What is typed on a terminal; left out, there is no terminal. */
  stdin?: NodeJS.ReadableStream;
}

/** Runs a command in this process, with nothing of the tests' own environment: no proxies, no logins. */
export async function portolan(args: readonly string[], options: Options = {}): Promise<Finished> {
  const {
    environment = {},
    cwd = PROJECT,
    stdin = new PassThrough(),
    patience = DEADLINE,
    ...others
  } = options;
  const [stdout, stderr] = [new Printed(), new Printed()];
  const code = await run(args, {
    stdin: stdin as Surroundings["stdin"],
    stdout: stdout as unknown as Surroundings["stdout"],
    stderr: stderr as unknown as Surroundings["stderr"],
    env: { PATH: process.env.PATH, HOME: tmpdir(), ...environment },
    cwd,
    wait: shortWait,
    patience,
    ...others,
  });
  return { code, output: stdout.text, errors: stderr.text, json: () => JSON.parse(stdout.text) };
}

/** A stream that keeps what is written to it. */
class Printed extends PassThrough {
  text = "";

  constructor() {
    super();
    this.setEncoding("utf8").on("data", (text: string) => {
      this.text += text;
    });
  }
}

export interface RunOptions {
  environment?: Record<string, string>;
  cwd?: string;
  /** Milliseconds. */
  deadline?: number;
  /** Whether it is run as a user does, by npm, which takes longer and prints two lines of its own. */
  byNpm?: boolean;
  /** Kills it at once, as a power cut would. */
  kill?: AbortSignal;
}

export const PROJECT = fileURLToPath(new URL("../../..", import.meta.url));

/** The same in a process of its own: for what holds of the process. */
export async function spawnPortolan(args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const { environment = {}, cwd = PROJECT, deadline = DEADLINE, byNpm = false, kill } = options;
  const [program, ...start] = byNpm
    ? ["npm", "run", "portolan", "--"]
    : [process.execPath, `${PROJECT}scripts/portolan.js`];
  const child = spawn(program ?? "", [...start, ...args], {
    cwd,
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env.PATH, HOME: tmpdir(), ...environment },
  });
  kill?.addEventListener("abort", () => child.kill("SIGKILL"));
  let output = "";
  let errors = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    errors += text;
  });
  try {
    await within(`portolan ${args[0]} to end`, deadline, once(child, "close"));
  } finally {
    child.kill("SIGKILL");
  }
  return { code: child.exitCode, output, errors, json: () => JSON.parse(output) };
}

/** A URL of this machine where nothing listens: no port that is given out, none of a service, none that fetch refuses. */
export const UNREACHABLE = "http://127.0.0.1:4";
