/** Wrangler as a program: what it is given, and what it says. No secret is ever among its arguments. */
import { spawn } from "node:child_process";

export interface WranglerRun {
  code: number;
  /** Empty unless it was to be kept. */
  output: string;
  errors: string;
}

/**
 * Runs Wrangler, which npm puts on the PATH of its scripts.
 * @param input what it reads; without it, it has this program's terminal, and can ask.
 * @param isKept whether what it prints is returned and not shown.
 */
export async function wrangler(
  args: readonly string[],
  { input, isKept = false }: { input?: string; isKept?: boolean } = {},
): Promise<WranglerRun> {
  const shown = isKept ? "pipe" : "inherit";
  const child = spawn("wrangler", args, {
    stdio: [input === undefined ? "inherit" : "pipe", shown, shown],
    env: { ...process.env, WRANGLER_SEND_METRICS: "false" },
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
      child.once("error", () =>
        reject(new Error("wrangler can't be run; run npm install, and start this with npm run")),
      );
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
export async function deployedSecrets(target: readonly string[]): Promise<ReadonlySet<string> | null> {
  const { code, output, errors } = await wrangler(["secret", "list", "--format", "json", ...target], {
    isKept: true,
  });
  if (code === 0) return new Set(namesIn(output));
  if (/Worker "[^"]*".* not found/.test(output + errors)) return null;
  throw new Error(
    `Cloudflare can't be asked which secrets are deployed; npx wrangler login may be missing:\n${errors || output}`,
  );
}

/** Uploads the list of keys to a Worker that is deployed, beside its other secrets. */
export async function pushKeys(list: string, target: readonly string[]): Promise<number> {
  const { code } = await wrangler(["secret", "bulk", ...target], {
    input: JSON.stringify({ ACCESS_KEYS: list }),
  });
  return code;
}

function namesIn(output: string): string[] {
  try {
    const listed: { name: string }[] = JSON.parse(output.slice(output.indexOf("[")));
    return listed.map(({ name }) => name);
  } catch {
    throw new Error(`wrangler secret list printed something that isn't its list:\n${output}`);
  }
}
