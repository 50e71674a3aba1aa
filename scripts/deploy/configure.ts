/** wrangler.toml as a deploy needs it: changed by what was chosen, or, in a dry run, a changed copy beside it. */
import { readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { parse } from "smol-toml";
import { differenceText } from "../config/changes.ts";
import { put } from "../config/write-file.ts";
import { readIfThere } from "../files.ts";
import type { Output } from "../terminal/output.ts";
import { type Choices, settingsOf } from "./choices.ts";
import { withSettings } from "./wrangler-file.ts";

export interface ConfigureOptions {
  cwd: string;
  /** As Wrangler's --config. */
  config?: string | undefined;
  dryRun: boolean;
  output: Output;
}

/**
 * Does a deploy's work with the configuration that was chosen. What changes is shown.
 * @param work gets the configuration's file; undefined: the usual one.
 */
export async function withConfiguration<Result>(
  choices: Choices,
  { cwd, config, dryRun, output }: ConfigureOptions,
  work: (config: string | undefined) => Promise<Result>,
): Promise<Result> {
  const settings = settingsOf(choices);
  if (settings.length === 0) return work(config);
  const path = resolve(cwd, config ?? "wrangler.toml");
  const before = await readFile(path, "utf8");
  const after = withSettings(before, settings);
  if (after === before) return work(config);
  const change = { path, before, after, mode: 0o644, warning: null };
  output.line(`${differenceText(change)}\n`);
  if (!dryRun) {
    // Git has what was there; a copy that Wrangler could take for its configuration would only be in the way.
    await put({ ...change, before: null });
    return work(config);
  }
  const copy = join(dirname(path), `.wrangler-dry-run-${process.pid}.toml`);
  await writeFile(copy, after);
  try {
    return await work(copy);
  } finally {
    await rm(copy, { force: true });
  }
}

/** The routes of a configuration. */
export async function routesIn(cwd: string, config = "wrangler.toml"): Promise<unknown> {
  const file = parse((await readIfThere(resolve(cwd, config))) ?? "");
  return file.routes ?? (file.route === undefined ? [] : [file.route]);
}
