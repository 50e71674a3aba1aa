/** Wrangler: what it is given, and what it prints. No secret is ever among its arguments. */
import { spawn } from "node:child_process";
import { resolve } from "node:path";
import * as v from "valibot";
import { parseJson } from "../../src/oci/json.ts";
import { hasCode } from "../files.ts";

export interface Wrangler {
  /**
   * Runs a command of Wrangler's.
   * @param options.input its standard input; without it, it has this program's terminal, and can ask.
   * @param options.isKept whether what it prints is returned and not shown.
   * @param options.report a file to which it adds what it did, in lines of JSON.
   */
  run(args: readonly string[], options?: RunOptions): Promise<WranglerRun>;
  /** `[vars]` of its configuration. */
  readVars(target: Target): Promise<Readonly<Record<string, unknown>>>;
}

export interface RunOptions {
  input?: string;
  isKept?: boolean;
  report?: string;
}

export interface WranglerRun {
  code: number;
  /** Empty unless it was to be kept. */
  output: string;
  errors: string;
}

/** Which configuration is meant, as in Wrangler's options. */
interface Target {
  config?: string | undefined;
  env?: string | undefined;
}

interface Surroundings {
  env: Readonly<Record<string, string | undefined>>;
  cwd: string;
}

/** It is a development dependency: a mirror on one machine doesn't need it. */
const NOT_INSTALLED =
  "wrangler isn't installed; run npm install without --omit=dev, and start this with npm run";

/** The Wrangler that npm puts on the PATH of its scripts. */
export function installedWrangler(surroundings: Surroundings): Wrangler {
  return {
    run: (args, options) => runProgram(surroundings, args, options),
    readVars: (target) => readVars(surroundings, target),
  };
}

async function readVars({ cwd }: Surroundings, { config = "wrangler.toml", env }: Target) {
  // It prints on import what doesn't concern a deploy.
  process.env.WRANGLER_LOG ??= "error";
  const { unstable_readConfig } = await importWrangler();
  delete process.env.WRANGLER_LOG;
  return unstable_readConfig({ config: resolve(cwd, config), env }).vars;
}

async function importWrangler(): Promise<typeof import("wrangler")> {
  try {
    return await import("wrangler");
  } catch (error) {
    throw hasCode(error, "ERR_MODULE_NOT_FOUND") ? new Error(NOT_INSTALLED) : error;
  }
}

async function runProgram(
  { env, cwd }: Surroundings,
  args: readonly string[],
  { input, isKept = false, report }: RunOptions = {},
): Promise<WranglerRun> {
  const shown = isKept ? "pipe" : "inherit";
  const child = spawn("wrangler", args, {
    stdio: [input === undefined ? "inherit" : "pipe", shown, shown],
    env: {
      ...env,
      WRANGLER_SEND_METRICS: "false",
      ...(report === undefined ? {} : { WRANGLER_OUTPUT_FILE_PATH: report }),
    },
    cwd,
  });
  let output = "";
  let errors = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    errors += text;
  });
  // One that ends without reading its input closes it before all is written.
  child.stdin?.once("error", () => {});
  child.stdin?.end(input);
  // An interrupt at the terminal reaches Wrangler too; what is to be cleaned up after it comes once it has ended.
  const wait = () => {};
  process.on("SIGINT", wait);
  try {
    return await new Promise((resolve, reject) => {
      child.once("error", () => reject(new Error(NOT_INSTALLED)));
      child.once("close", (code) => resolve({ code: code ?? 1, output, errors }));
    });
  } finally {
    process.off("SIGINT", wait);
  }
}

/**
 * The names of the secrets that are deployed.
 * @param target options that say which Worker.
 * @returns null if there is no such Worker yet.
 * @throws Error with Wrangler's own words if that can't be found out.
 */
export async function deployedSecrets(
  wrangler: Wrangler,
  target: readonly string[],
): Promise<ReadonlySet<string> | null> {
  const { code, output, errors } = await wrangler.run(["secret", "list", "--format", "json", ...target], {
    isKept: true,
  });
  if (code === 0) return new Set(namesIn(output));
  if (/Worker "[^"]*".* not found/.test(output + errors)) return null;
  throw new Error(
    `Cloudflare doesn't say which secrets are deployed; npx wrangler login may be missing:\n${errors || output}`,
  );
}

/** Uploads the list of keys to a Worker that is deployed, beside its other secrets. */
export async function pushKeys(wrangler: Wrangler, list: string, target: readonly string[]): Promise<number> {
  const { code } = await wrangler.run(["secret", "bulk", ...target], {
    input: JSON.stringify({ ACCESS_KEYS: list }),
  });
  return code;
}

const Deployed = v.object({ type: v.literal("deploy"), targets: v.array(v.string()) });

/** The first address at which a deployed mirror is reached, as Wrangler's report says; null if it says none. */
export function addressIn(report: string): string | null {
  const targets = report.split("\n").flatMap((line) => parseJson(Deployed, line)?.targets ?? []);
  return targets.find((target) => /^https:\/\/[^/\s*]+$/.test(target)) ?? null;
}

function namesIn(output: string): string[] {
  const listed = parseJson(v.array(v.object({ name: v.string() })), output.slice(output.indexOf("[")));
  if (listed === null) {
    throw new Error(`wrangler secret list printed something that isn't its list:\n${output}`);
  }
  return listed.map(({ name }) => name);
}
