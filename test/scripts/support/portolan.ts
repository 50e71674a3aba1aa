/** `portolan COMMAND` as a child process: what it prints and what it ends with. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { within } from "../../sockets/support/deadline.ts";

export interface Finished {
  code: number | null;
  output: string;
  errors: string;
  /** What was printed with --json. */
  json(): unknown;
}

export interface RunOptions {
  environment?: Record<string, string>;
  /** Milliseconds. */
  deadline?: number;
  /** Whether it is run as a user does, by npm, which takes longer and prints two lines of its own. */
  byNpm?: boolean;
  /** Kills it at once, as a power cut would. */
  kill?: AbortSignal;
}

const PROJECT = fileURLToPath(new URL("../../..", import.meta.url));

/** Runs a command to its end, with nothing of the tests' own environment: no proxies, no logins, no colours. */
export async function portolan(args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const { environment = {}, deadline = 20_000, byNpm = false, kill } = options;
  const [program, ...start] = byNpm
    ? ["npm", "run", "portolan", "--"]
    : [process.execPath, `${PROJECT}scripts/portolan.js`];
  const child = spawn(program ?? "", [...start, ...args], {
    cwd: PROJECT,
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

/** A URL of this machine where nobody listens: no port that is given out, none of a service, none that fetch refuses. */
export const NOBODY = "http://127.0.0.1:4";
