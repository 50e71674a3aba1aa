/** What the project's files configure for the Worker: wrangler.toml, and .dev.vars for secrets. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseEnv } from "node:util";
import { parse } from "smol-toml";
import * as v from "valibot";
import { readIfThere } from "../files.ts";

/** The parts of wrangler.toml that apply on one machine. The bindings themselves have other implementations here. */
const wranglerFile = v.object({
  compatibility_date: v.string(),
  compatibility_flags: v.optional(v.array(v.string()), []),
  durable_objects: v.object({ bindings: v.array(v.object({ name: v.string(), class_name: v.string() })) }),
  vars: v.optional(v.record(v.string(), v.unknown()), {}),
});

export interface Project {
  compatibilityDate: string;
  compatibilityFlags: readonly string[];
  /** Class by the name of the binding. */
  durableObjects: ReadonlyMap<string, string>;
  /** Variables; those of .dev.vars over those of wrangler.toml. */
  vars: Record<string, unknown>;
}

/** @throws Error if a file can't be read. */
export async function readProject(root: string): Promise<Project> {
  const file = v.parse(wranglerFile, parse(await readFile(join(root, "wrangler.toml"), "utf8")));
  const secrets = await readIfThere(join(root, ".dev.vars"));
  return {
    compatibilityDate: file.compatibility_date,
    compatibilityFlags: file.compatibility_flags,
    durableObjects: new Map(file.durable_objects.bindings.map((each) => [each.name, each.class_name])),
    vars: { ...file.vars, ...(secrets === null ? {} : parseEnv(secrets)) },
  };
}
