/** What a command runs in: the process of its own, or whatever a test gives it. */

import type { Wait } from "../../src/registry/retry.ts";
import type { Wrangler } from "../deploy/wrangler.ts";
import { type Output, outputTo } from "../terminal/output.ts";
import { EXIT } from "./exit.ts";

export interface Surroundings {
  stdin: NodeJS.ReadStream;
  stdout: NodeJS.WriteStream;
  stderr: NodeJS.WriteStream;
  env: Readonly<Record<string, string | undefined>>;
  cwd: string;
  /** Left out: the one that npm installed. */
  wrangler?: Wrangler;
  /** Milliseconds until a command shows that it is still working. */
  patience?: number;
  /** Waits between two attempts of a request. */
  wait?: Wait;
}

export interface Context extends Surroundings {
  output: Output;
  exitCode: number;
}

export function contextIn(surroundings: Surroundings): Context {
  const { stdout, stderr } = surroundings;
  return { ...surroundings, output: outputTo(stdout, stderr), exitCode: EXIT.good };
}
