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
}

const PORTOLAN = fileURLToPath(new URL("../../../scripts/portolan.ts", import.meta.url));

/** Runs a command to its end, with nothing of the tests' own environment: no proxies, no logins, no colours. */
export async function portolan(args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const { environment = {}, deadline = 20_000 } = options;
  const child = spawn(process.execPath, [PORTOLAN, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env.PATH, HOME: tmpdir(), ...environment },
  });
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
